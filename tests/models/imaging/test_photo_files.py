"""Photo files: what is in them besides pixels survives reading and writing, or is said."""

import tracemalloc
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging import opening
from face_latents.models.imaging.photo_files.deep import write_deep_png, write_deep_tiff
from face_latents.models.imaging.photo_files.read import read_photo
from face_latents.models.imaging.photo_files.write import _to_16_bits, encode_photo
from face_latents.models.imaging.photos import load_image, map_rows, to_uint8
from loop_support import case
from PIL import Image, ImageCms, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

ORIENTATION, COPYRIGHT = 0x0112, 0x8298
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]  # only its colour space is read
NOISE = np.random.default_rng(0)


def numbers(*shape, dtype=np.uint8):
    return NOISE.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def rights(orientation=1):
    exif = Image.Exif()
    exif[COPYRIGHT], exif[ORIENTATION] = "Jane Doe", orientation
    return exif


def shell(channels, kind, **options):
    file = BytesIO()
    Image.fromarray(np.zeros((1, 1, channels), np.uint8)).save(file, kind, **options)
    return file.getvalue()


def deep(channels, kind, **options):
    write = write_deep_png if kind == "PNG" else write_deep_tiff
    array = numbers(6, 8, channels, dtype=np.uint16)
    return array, write(array, shell(channels, kind, **options))


def again(photo, path):
    """Write a photo, read it again."""
    data, lost = encode_photo(photo, path)
    path.write_bytes(data)
    return read_photo(path), lost


def assert_equal(name, one, other):
    with case(file=name):
        assert torch.equal(one.frames, other.frames)
        assert (one.alpha is None) == (other.alpha is None)
        assert one.alpha is None or torch.equal(one.alpha, other.alpha)
        for trait in ("format", "depth", "grey", "profile", "xmp", "texts"):
            assert getattr(one.traits, trait) == getattr(other.traits, trait), trait
        assert dict(exif_of(one)) == dict(exif_of(other))
        assert one.traits.dpi == pytest.approx(other.traits.dpi, abs=0.5)


def exif_of(photo):
    exif = Image.Exif()
    exif.load(photo.traits.exif)
    return exif


def files(folder):
    """Lossless files of many kinds, by name."""
    palette = Image.fromarray(numbers(6, 8, 3)).quantize(7)
    text = PngInfo()
    text.add_text("Author", "Jane Doe")
    text.add(b"gAMA", (45455).to_bytes(4, "big"))
    everything = {"icc_profile": SRGB, "exif": rights().tobytes(), "dpi": (300, 300)}
    pictures = {
        "rgb.png": (numbers(6, 8, 3), everything),
        "texts.png": (numbers(6, 8, 3), {"pnginfo": text}),
        "rgba.png": (numbers(6, 8, 4), everything),
        "grey.png": (numbers(6, 8), {"icc_profile": GREY, "dpi": (72, 72)}),
        "grey_alpha.png": (numbers(6, 8, 2), {}),
        "grey16.png": (numbers(6, 8, dtype=np.uint16), {"dpi": (300, 300)}),
        "rgb.tif": (numbers(6, 8, 3), everything),
        "rgba.tif": (numbers(6, 8, 4), everything),
        "grey.tiff": (numbers(6, 8), {"compression": "tiff_lzw"}),
        "grey16.tif": (numbers(6, 8, dtype=np.uint16), {}),
        "float.tif": (NOISE.random((6, 8), np.float32), {}),
        "float255.tif": (NOISE.integers(0, 256, (6, 8)).astype(np.float32), {}),
        "rgb.webp": (numbers(6, 8, 3), {"lossless": True, "icc_profile": SRGB}),
        "rgba.webp": (numbers(6, 8, 4), {"lossless": True, "exact": True, "xmp": b"<x/>"}),
        "rgb.bmp": (numbers(6, 8, 3), {"dpi": (300, 300)}),
    }
    for name, (array, options) in pictures.items():
        Image.fromarray(array).save(folder / name, **options)
    palette.save(folder / "palette.png", transparency=3)
    Image.fromarray(numbers(6, 8, 3)).save(folder / "key.png", transparency=(1, 2, 3))
    for channels in (2, 3, 4):
        _, data = deep(channels, "PNG", exif=rights().tobytes(), dpi=(300, 300))
        (folder / f"deep{channels}.png").write_bytes(data)
    for channels in (3, 4):
        _, data = deep(channels, "TIFF", icc_profile=SRGB, exif=rights(), dpi=(300, 300))
        (folder / f"deep{channels}.tif").write_bytes(data)
    return sorted(folder.iterdir())


def test_lossless_files_come_back_whole(tmp_path):
    (tmp_path / "in").mkdir()
    for path in files(tmp_path / "in"):
        photo = read_photo(path)
        assert photo.frames.shape[-1] == 3
        back, lost = again(photo, tmp_path / path.name)
        assert_equal(path.name, photo, back)
        assert lost == [], path.name


def test_eight_bit_colours_are_those_of_load_image(tmp_path):
    for path in files(tmp_path):
        photo = read_photo(path)
        if photo.traits.depth == 8:
            assert torch.equal(photo.frames, load_image(path)[0]), path.name


def test_sixteen_bits_are_read_in_full(tmp_path):
    for kind, channels in (("PNG", 2), ("PNG", 3), ("PNG", 4), ("TIFF", 3), ("TIFF", 4)):
        array, data = deep(channels, kind)
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(data)
        photo = read_photo(path)
        colours = array[..., : 1 if channels == 2 else 3].astype(np.float32) / np.float32(65535)
        with case(kind=kind, channels=channels):
            assert photo.traits.depth == 16
            assert torch.equal(photo.frames[0], torch.from_numpy(colours).expand(6, 8, 3))
            if channels in (2, 4):
                opacity = array[..., -1].astype(np.float32) / np.float32(65535)
                assert torch.equal(photo.alpha[0], torch.from_numpy(opacity))


def test_every_orientation_becomes_upright(tmp_path):
    array = numbers(6, 8, 3)
    for orientation in range(1, 9):
        exif = rights(orientation)
        exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = 8, 6
        for name in ("a.png", "a.tif", "a.webp", "a.jpg", "deep.png", "deep.tif"):
            path = tmp_path / name
            if name.startswith("deep"):
                kind = "PNG" if name.endswith("png") else "TIFF"
                path.write_bytes(deep(3, kind, exif=exif.tobytes())[1])
            else:
                lossless = {"lossless": True} if name == "a.webp" else {}
                picture = Image.fromarray(array)
                picture.save(path, exif=exif.tobytes(), **lossless)
            photo = read_photo(path)
            back, _ = again(photo, tmp_path / "out.png")
            with case(file=name, orientation=orientation):
                assert torch.equal(back.frames, photo.frames)
                assert exif_of(back)[ORIENTATION] == 1
                assert exif_of(back)[COPYRIGHT] == "Jane Doe"
                inner = exif_of(back).get_ifd(0x8769)
                assert (inner[0xA003], inner[0xA002]) == tuple(photo.frames.shape[1:3])


def test_a_jpeg_keeps_its_tables_and_subsampling(tmp_path):
    ramp = np.linspace(0, 255, 64)
    array = np.stack(np.broadcast_arrays(ramp[:, None], ramp, ramp[::-1]), -1).astype(np.uint8)
    kinds = (71, 0, "RGB"), (90, 1, "RGB"), (85, 2, "RGB"), (60, -1, "L")
    for quality, subsampling, mode in kinds:
        path = tmp_path / "a.jpg"
        extra = {} if mode == "L" else {"subsampling": subsampling}
        picture = Image.fromarray(array).convert(mode)
        picture.save(path, quality=quality, comment=b"hi", exif=rights().tobytes(), **extra)
        back, lost = again(read_photo(path), tmp_path / "b.jpg")
        one, other = Image.open(path), Image.open(tmp_path / "b.jpg")
        with case(quality=quality, mode=mode):
            assert other.mode == mode
            assert other.quantization == one.quantization
            assert JpegImagePlugin.get_sampling(other) == JpegImagePlugin.get_sampling(one)
            assert other.info["comment"] == b"hi"
            assert lost == []
            assert float((back.frames - read_photo(path).frames).abs().max()) < 5 / 255


def test_tables_that_no_jpeg_can_name_are_not_kept(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(numbers(16, 16, 3)).save(path, quality=80)
    sound = path.read_bytes()
    more = b"".join(b"\xff\xdb\x00\x43" + bytes([n]) + bytes([9] * 64) for n in range(2, 8))
    path.write_bytes(sound[:2] + more + sound[2:])
    photo = read_photo(path)
    assert photo.traits.jpeg == {}
    assert Image.open(BytesIO(encode_photo(photo, path)[0])).size == (16, 16)


def test_a_size_that_the_format_cannot_hold_is_refused_with_advice(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(numbers(1, 16400, 3)).save(path)
    with pytest.raises(FaceLatentsError, match=r"16400 x 1 .* as WEBP .*\.png"):
        encode_photo(read_photo(path), tmp_path / "photo.webp")


def test_what_a_format_cannot_hold_is_said(tmp_path):
    _, data = deep(4, "PNG", icc_profile=SRGB, exif=rights().tobytes(), dpi=(300, 300))
    (tmp_path / "a.png").write_bytes(data)
    photo = read_photo(tmp_path / "a.png")
    photo = replace(photo, traits=replace(photo.traits, texts={"Author": "Jane"}))
    alpha, depth = "its transparency (what it hid shows)", "its depth of 16 bits (8 here)"
    profile, exif, texts, dpi = "its colour profile", "its EXIF data", "its texts", "its dpi"
    wanted = {
        "a.png": [],
        "a.tif": [texts],
        "a.jpg": [alpha, depth, texts],
        "a.webp": [depth, texts, dpi],
        "a.bmp": [alpha, depth, profile, exif, texts],
    }
    for name, phrases in wanted.items():
        assert encode_photo(photo, tmp_path / name)[1] == phrases, name


def test_colours_that_become_rgb_lose_a_profile_that_is_not_theirs(tmp_path):
    cmyk = SRGB[:16] + b"CMYK" + SRGB[20:]
    Image.fromarray(numbers(6, 8, 4), "CMYK").save(tmp_path / "a.jpg", icc_profile=cmyk)
    back, lost = again(read_photo(tmp_path / "a.jpg"), tmp_path / "b.jpg")
    assert back.traits.profile == b""
    assert lost == [
        "its CMYK colours (they become RGB)",
        "its colour profile, which is not one of RGB",
    ]


def test_exif_too_long_for_a_jpeg_is_said(tmp_path):
    exif = rights()
    exif[0x010E] = "x" * 70_000
    Image.fromarray(numbers(6, 8, 3)).save(tmp_path / "a.png", exif=exif.tobytes())
    assert encode_photo(read_photo(tmp_path / "a.png"), tmp_path / "b.jpg")[1] == ["its EXIF data"]


def test_a_tiffs_layout_does_not_go_along(tmp_path):
    Image.fromarray(numbers(64, 8, 3)).save(
        tmp_path / "a.tif", compression="tiff_lzw", exif=rights(), tiffinfo=rights()
    )
    for name in ("b.jpg", "b.png", "b.tif"):
        back, _ = again(read_photo(tmp_path / "a.tif"), tmp_path / name)
        assert set(exif_of(back)) <= {COPYRIGHT, ORIENTATION}, name


def test_a_photo_of_200_megapixels_is_refused_with_advice(tmp_path, monkeypatch):
    path = tmp_path / "wide.png"
    Image.fromarray(numbers(20, 30, 3)).save(path)
    monkeypatch.setattr(opening, "MOST_PIXELS", 300)
    for read in (read_photo, load_image):
        with pytest.raises(FaceLatentsError, match=r"wide\.png' has .* Save a copy at 70% of its"):
            read(path)


@pytest.mark.parametrize("make", [to_uint8, lambda image: map_rows(_to_16_bits, image, np.uint16)])
def test_numbers_of_a_large_photo_take_no_copies_of_it(make):
    image = NOISE.random((1000, 300, 3), np.float32) * 1.2 - 0.1
    tracemalloc.start()
    made = make(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < made.nbytes + image.nbytes / 10
    most = np.iinfo(made.dtype).max
    assert np.abs(made - image.clip(0, 1) * most).max() <= 1

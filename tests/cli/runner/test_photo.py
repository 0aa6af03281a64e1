"""Reading photos: the pixels by hand, for every kind of file a photo may be."""

import numpy as np
import pytest
import torch
from face_latents.cli.runner.folders import Folders
from face_latents.cli.runner.standins import stand_ins
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging.photos import list_pictures, load_image
from PIL import Image

ORIENTATION = 0x0112


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def as_float(array):
    return torch.from_numpy(np.asarray(array).astype(np.float32) / np.float32(255.0))


def no_mask(frames=1):
    return torch.zeros(frames, 64, 64)


def test_rgb(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image, mask = load_image(tmp_path / "a.png")
    assert image.dtype == torch.float32
    assert torch.equal(image[0], as_float(pixels))
    assert torch.equal(mask, no_mask())


def test_grey(tmp_path, pixels):
    Image.fromarray(pixels[..., 0]).save(tmp_path / "a.png")
    image, _ = load_image(tmp_path / "a.png")
    assert torch.equal(image[0], as_float(pixels[..., :1]).repeat(1, 1, 3))


def test_alpha_is_inverted_into_the_mask(tmp_path, pixels):
    alpha = np.random.default_rng(1).integers(0, 256, (5, 7, 1), dtype=np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(tmp_path / "a.png")
    image, mask = load_image(tmp_path / "a.png")
    assert torch.equal(image[0], as_float(pixels))
    assert torch.equal(mask[0], 1 - as_float(alpha)[..., 0])


def test_grey_with_alpha(tmp_path, pixels):
    Image.fromarray(pixels[..., :2], mode="LA").save(tmp_path / "a.png")
    image, mask = load_image(tmp_path / "a.png")
    assert torch.equal(image[0], as_float(pixels[..., :1]).repeat(1, 1, 3))
    assert torch.equal(mask[0], 1 - as_float(pixels[..., 1]))


def test_palette_and_its_transparent_colour(tmp_path):
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    picture.save(tmp_path / "a.png", transparency=1)
    image, mask = load_image(tmp_path / "a.png")
    assert torch.equal(image[0, 0], torch.eye(3))
    assert mask[0, 0].tolist() == [0.0, 1.0, 0.0]


def test_sixteen_bit_grey(tmp_path):
    values = np.array([[0, 1, 255, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    image, _ = load_image(tmp_path / "a.png")
    expected = torch.from_numpy(values.astype(np.float32) * np.float32(1 / 65535))
    assert torch.equal(image[0, :, :, 1], expected)
    assert torch.equal(image[0, :, :, 0], image[0, :, :, 2])


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a.transpose(1, 0, 2)[::-1, ::-1]),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation(tmp_path, pixels, orientation, turn):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    image, _ = load_image(tmp_path / "a.png")
    assert torch.equal(image[0], as_float(turn(pixels).copy()))


def test_frames_become_a_batch_and_odd_sizes_are_left_out(tmp_path, pixels):
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    image, mask = load_image(tmp_path / "a.webp")
    assert image.shape == (2, 5, 7, 3)
    assert torch.equal(image[1], as_float(255 - pixels))
    assert torch.equal(mask, no_mask(2))
    pages = [frames[0], frames[1].resize((3, 3)), frames[1]]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert load_image(tmp_path / "a.tif")[0].shape == (2, 5, 7, 3)


def test_of_an_mpo_only_the_first_picture_counts(tmp_path, pixels):
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(tmp_path / "a.mpo", save_all=True, append_images=frames[1:])
    assert len(load_image(tmp_path / "a.mpo")[0]) == 1


def test_jpeg_is_what_pillow_decodes(tmp_path):
    wave = np.sin(np.arange(64) / 9)[:, None] * np.cos(np.arange(48) / 7)
    array = np.stack([wave, wave[::-1], -wave], -1) * 127 + 128
    Image.fromarray(array.astype(np.uint8)).save(tmp_path / "a.jpg", quality=80)
    image, _ = load_image(tmp_path / "a.jpg")
    assert torch.equal(image[0], as_float(np.asarray(Image.open(tmp_path / "a.jpg"))))


def test_half_a_file_gives_what_is_there_with_a_warning(tmp_path, caplog):
    array = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(data[: len(data) // 2])
    assert load_image(tmp_path / "half.jpg")[0].shape == (1, 64, 64, 3)
    assert "half.jpg' is damaged" in caplog.text
    caplog.clear()
    load_image(tmp_path / "a.jpg")
    assert caplog.text == ""
    with pytest.raises(FaceLatentsError, match=r"half\.jpg' is damaged"):
        load_image(tmp_path / "half.jpg", whole=True)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FaceLatentsError, match=r"a\.png' cannot be read as a picture"):
        load_image(tmp_path / "a.png")


def test_load_image_mask_channels(tmp_path, pixels):
    alpha = pixels[..., :1]
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(tmp_path / "a.png")
    loader = stand_ins(Folders([tmp_path], tmp_path / "out"))["LoadImageMask"]()
    for index, name in enumerate(("red", "green", "blue")):
        assert torch.equal(
            loader.load_image_mask("a.png", name)[0][0], as_float(pixels)[..., index]
        )
    assert torch.equal(loader.load_image_mask("a.png", "alpha")[0][0], 1 - as_float(alpha)[..., 0])


def test_names_in_a_workflow_cannot_leave_the_input_folder(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "secret.png"
    inside.mkdir()
    Image.new("RGB", (2, 2)).save(outside)
    (inside / "link.png").symlink_to(outside)
    folders = Folders([inside], tmp_path / "out")
    for name in ("../secret.png", str(outside), "link.png", "a\0b", "", "."):
        assert folders.find(name) is None, name
    assert folders.find(folders.grant(outside)) == outside


def test_marked_names_come_from_the_output_folder(tmp_path):
    (tmp_path / "out").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "out" / "a.png")
    folders = Folders([tmp_path / "in"], tmp_path / "out")
    assert folders.find("a.png [output]") == tmp_path / "out" / "a.png"
    assert folders.find("a.png") is None


def test_granted_names_never_hide_each_other(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "a.png")
    folders = Folders([tmp_path], tmp_path / "out")
    first, second = (folders.grant(tmp_path / name / "a.png") for name in ("x", "y"))
    assert first == "a.png"
    assert folders.find(first) == tmp_path / "x" / "a.png"
    assert folders.find(second) == tmp_path / "y" / "a.png"


def test_pictures_of_a_folder(tmp_path):
    for name in ("b.JPG", "a.png", ".hidden.png", "notes.txt", "c.webp"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [path.name for path in list_pictures(tmp_path)] == ["a.png", "b.JPG", "c.webp"]

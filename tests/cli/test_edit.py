"""`edit` on photo files of many kinds: what is in them stays, and the original is safe."""

import numpy as np
import pytest
import torch
from face_latents.cli import demo as demo_module
from face_latents.cli.main import main
from face_latents.models.imaging.photo_files.deep import write_deep_png
from face_latents.models.imaging.photo_files.read import read_photo
from face_latents.models.imaging.photos import load_image
from PIL import Image, ImageCms, JpegImagePlugin
from skimage import data

pytestmark = pytest.mark.usefixtures("face_model")  # loaded once, not by every command

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, COPYRIGHT = 0x0112, 0x8298


def head():
    return Image.fromarray(data.astronaut()).crop((110, 0, 350, 240))


def rights(orientation=1):
    exif = Image.Exif()
    exif[COPYRIGHT], exif[ORIENTATION] = "Jane Doe", orientation
    return exif.tobytes()


@pytest.fixture
def cut_out(tmp_path):
    """A 16-bit cut-out, lying on its side, with profile, rights and dpi."""
    deep = np.asarray(head().rotate(90)).astype(np.uint16) * 256 + 77
    alpha = np.broadcast_to(np.arange(240, dtype=np.uint16)[:, None, None] * 273, (240, 240, 1))
    Image.new("RGBA", (1, 1)).save(
        tmp_path / "a.png", icc_profile=SRGB, exif=rights(6), dpi=(300, 300)
    )
    shell = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(write_deep_png(np.concatenate([deep, alpha], -1), shell))
    return tmp_path / "a.png"


def edit(photo, out, *more):
    return main(["edit", str(photo), "-o", str(out), *more])


def test_an_edit_keeps_all_that_is_in_the_file(cut_out, tmp_path, capsys):
    assert edit(cut_out, tmp_path / "b.png", "--set", "smile=2") == 0
    assert capsys.readouterr().err == ""
    before, after = read_photo(cut_out), read_photo(tmp_path / "b.png")
    assert torch.equal(after.alpha, before.alpha)
    assert after.traits.depth == 16
    assert after.traits.profile == SRGB
    assert after.traits.dpi == pytest.approx((300, 300), abs=0.1)
    exif = Image.open(tmp_path / "b.png").getexif()
    assert dict(exif) == {COPYRIGHT: "Jane Doe", ORIENTATION: 1}
    corner = after.frames[:, :20, :20] - before.frames[:, :20, :20]
    assert float(corner.abs().max()) <= 1 / 255
    assert float((after.frames - before.frames).abs().max()) > 8 / 255


def test_without_a_change_all_of_it_comes_back(cut_out, tmp_path, capsys):
    assert edit(cut_out, tmp_path / "b.tif") == 0
    before, after = read_photo(cut_out), read_photo(tmp_path / "b.tif")
    assert torch.equal(after.frames, before.frames)
    assert torch.equal(after.alpha, before.alpha)
    assert edit(cut_out, tmp_path / "b.jpg") == 0
    assert capsys.readouterr().err == (
        f"{tmp_path / 'b.jpg'} is without what a.png had: its transparency (what it hid shows), "
        "its depth of 16 bits (8 here).\n"
    )


def test_an_unchanged_jpeg_is_the_file_itself(tmp_path):
    head().rotate(90).save(tmp_path / "a.jpg", quality=80, exif=rights(6))
    assert edit(tmp_path / "a.jpg", tmp_path / "b.jpeg", "--set", "smile=0") == 0
    assert (tmp_path / "b.jpeg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_a_photo_that_becomes_a_jpeg_keeps_its_colours_in_full_size(tmp_path):
    head().save(tmp_path / "a.png")
    assert edit(tmp_path / "a.png", tmp_path / "b.jpg") == 0
    assert JpegImagePlugin.get_sampling(Image.open(tmp_path / "b.jpg")) == 0


def test_grey_and_float_photos_stay_what_they_are(tmp_path):
    grey = head().convert("L")
    grey.save(tmp_path / "grey.png")
    Image.fromarray(np.asarray(grey).astype(np.float32) / 255).save(tmp_path / "float.tif")
    for name, mode in (("grey.png", "L"), ("float.tif", "F")):
        out = tmp_path / f"edited_{name}"
        assert edit(tmp_path / name, out, "--set", "smile=2") == 0
        assert Image.open(out).mode == mode


def test_the_face_alone_keeps_the_profile(cut_out, tmp_path):
    assert edit(cut_out, tmp_path / "b.png", "--crop") == 0
    with Image.open(tmp_path / "b.png") as picture:
        assert picture.info["icc_profile"] == SRGB


def test_the_original_is_never_overwritten_by_mistake(tmp_path, capsys):
    path = tmp_path / "a.jpg"
    head().save(path)
    before = path.read_bytes()
    (tmp_path / "link.jpg").symlink_to(path)
    for out in (path, tmp_path / "link.jpg", tmp_path / "." / "a.jpg"):
        assert edit(path, out, "--set", "smile=2") == 2
        assert "is the original, which would be lost" in capsys.readouterr().err
        assert path.read_bytes() == before
    assert edit(path, path, "--set", "smile=2", "--force") == 0
    assert path.read_bytes() != before
    Image.open(path).save(tmp_path / "a.webp")
    morph = ["morph", str(tmp_path / "a.webp"), str(path), "-o", str(tmp_path / "a.webp")]
    assert main([*morph, "--frames", "2"]) == 2
    assert "is the original" in capsys.readouterr().err


def test_run_keeps_what_the_host_does_not_forbid(cut_out, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    cut_out.rename(tmp_path / "in" / "a.png")
    photo = tmp_path / "in" / "a.png"
    workflow = demo_module.WORKFLOWS / "Add a smile.json"
    args = ["run", str(workflow), "--input", str(photo), "--output", str(tmp_path / "out")]
    assert main([*args, "--no-progress", "--set", "Add Direction.strength=0"]) == 0
    assert "Save Image does not keep, as in ComfyUI: its transparency" in capsys.readouterr().err
    with Image.open(tmp_path / "out" / "add_a_smile_00001_.png") as saved:
        assert saved.info["icc_profile"] == SRGB
        assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert dict(saved.getexif()) == {COPYRIGHT: "Jane Doe", ORIENTATION: 1}
        assert "workflow" in saved.text
        pixels = np.asarray(saved)
    assert np.array_equal(pixels, (load_image(photo)[0][0] * 255).numpy().astype(np.uint8))


def test_a_picture_of_several_photos_keeps_the_profile_they_share(tmp_path):
    for name, options in (("a", {"exif": rights()}), ("b", {})):
        head().save(tmp_path / f"{name}.png", icc_profile=SRGB, **options)
    out = tmp_path / "m.webp"
    morph = ["morph", str(tmp_path / "a.png"), str(tmp_path / "b.png"), "-o", str(out)]
    assert main([*morph, "--frames", "2"]) == 0
    assert Image.open(out).info["icc_profile"] == SRGB


@pytest.fixture
def half(tmp_path):
    """Photos whose end is missing; the face is in the part that is there."""
    (tmp_path / "in").mkdir()
    tall = Image.new("RGB", (240, 480), "grey")
    tall.paste(head())
    for name in ("a.jpg", "b.png"):
        tall.save(tmp_path / "in" / name)
        content = (tmp_path / "in" / name).read_bytes()
        (tmp_path / "in" / name).write_bytes(content[: int(len(content) * 0.95)])
    return tmp_path / "in"


def test_a_broken_download_is_named(half, tmp_path, capsys, caplog):
    for name in ("a.jpg", "b.png"):
        assert edit(half / name, tmp_path / name, "--set", "smile=2") == 1
        assert f"{half / name}' is damaged: the end of the file is missing" in caplog.text
        assert (tmp_path / name).exists()
        caplog.clear()
    head().save(half / "whole.png")
    workflow = demo_module.WORKFLOWS / "Add a smile.json"
    args = ["run", str(workflow), "--input", str(half), "--output", str(tmp_path / "out")]
    assert main([*args, "--no-progress"]) == 1
    listed = capsys.readouterr().err.split("2 photos failed or are damaged:\n")[1]
    damaged = "damaged, a part of the picture is missing"
    assert listed == f"  a.jpg  {damaged}\n  b.png  {damaged}\n"
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def moving(count=3):
    """An animation: the head, a wall, the head in a mirror, ..."""
    wall = Image.new("RGB", (240, 240), (90, 120, 90))
    return [head(), wall, head().transpose(Image.Transpose.FLIP_LEFT_RIGHT)][:count]


def test_every_frame_of_an_animation_is_edited(tmp_path, capsys):
    first, *others = moving()
    timing = {"duration": [100, 200, 300], "loop": 2}
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, lossless=True, **timing)
    for name in ("b.webp", "b.gif", "b.png", "b.tif"):
        assert edit(tmp_path / "a.webp", tmp_path / name, "--set", "smile=2") == 0
        assert "no face in 1 frames: 2." in capsys.readouterr().err
        with Image.open(tmp_path / name) as picture:
            assert picture.n_frames == 3, name
        if name != "b.tif":
            assert read_photo(tmp_path / name).traits.durations == (100, 200, 300), name
            assert read_photo(tmp_path / name).traits.loop == 2, name
    before, after = (load_image(tmp_path / name)[0] for name in ("a.webp", "b.webp"))
    changed = (before != after).flatten(1).any(1).tolist()
    assert changed == [True, False, True]
    assert edit(tmp_path / "a.webp", tmp_path / "b.jpg", "--set", "smile=2") == 0
    assert "its 3 frames (only the first is here)" in capsys.readouterr().err


def test_one_face_of_several_is_chosen_by_its_number(tmp_path, capsys):
    both = Image.new("RGB", (480, 240), "grey")
    both.paste(head())
    both.paste(head().resize((200, 200)), (260, 20))
    both.save(tmp_path / "a.png")
    assert edit(tmp_path / "a.png", tmp_path / "b.png", "--set", "smile=2", "--faces", "1") == 0
    change = (load_image(tmp_path / "b.png")[0] != load_image(tmp_path / "a.png")[0])[0].any(-1)
    assert not change[:, :240].any()
    assert change[:, 240:].any()
    assert edit(tmp_path / "a.png", tmp_path / "c.png", "--faces", "7") == 2
    assert not (tmp_path / "c.png").exists()
    with pytest.raises(SystemExit):
        edit(tmp_path / "a.png", tmp_path / "c.png", "--faces", "some")
    assert "largest, all or a number, but is 'some'" in capsys.readouterr().err


def test_places_that_cannot_be_written_to_are_told_before_anything_is_computed(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    head().save(tmp_path / "in" / "a.png")
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "out"
    workflow = demo_module.WORKFLOWS / "Add a smile.json"
    photo, out = str(tmp_path / "in" / "a.png"), str(place / "b.png")
    for args in (
        ["edit", photo, "-o", out],
        ["encode", photo, str(place / "b.safetensors")],
        ["morph", photo, photo, "-o", str(place)],
        ["run", str(workflow), "--input", photo, "--output", str(place)],
    ):
        assert main(args) == 2
        assert f"Nothing can be written into '{place}'" in capsys.readouterr().err
    assert edit(tmp_path / "in", tmp_path / "b.png") == 2
    assert "run WORKFLOW.json --input FOLDER" in capsys.readouterr().err
    assert edit(tmp_path / "in" / "a.png", tmp_path / "in") == 2

"""One limit of pixels for every way in, told from the header; nothing is decoded before."""

from __future__ import annotations

import re
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from face_latents.cli.demo import WORKFLOWS
from face_latents.cli.main import main
from face_latents.cli.runner.graph import read_workflow_file
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging import opening, photos
from face_latents.models.imaging.photo_files import read
from loop_support import case
from PIL import Image, ImageFile

ROOT = Path(__file__).resolve().parents[3]
SIDE = 13_300  # Pillow by itself refuses from about 13,400 only
READERS = (photos.load_image, read.read_photo, read.read_header)


def small(kind: str, **options: object) -> bytes:
    file = BytesIO()
    Image.new("RGB", (16, 16), "teal").save(file, kind, **options)
    return file.getvalue()


def large_jpeg() -> bytes:
    """A small JPEG whose header claims SIDE x SIDE pixels."""
    data, side = bytearray(small("JPEG")), SIDE.to_bytes(2, "big")
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = side + side
    return bytes(data)


def large_png() -> bytes:
    data, side = bytearray(small("PNG")), SIDE.to_bytes(4, "big")
    data[16:24] = side + side
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.fixture
def nothing_decoded(monkeypatch):
    def load(self):
        raise AssertionError(f"decoded {self.size}")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)


def test_a_header_of_too_many_pixels_is_refused_before_decoding(tmp_path, nothing_decoded, capsys):
    for name, data in (("a.jpg", large_jpeg()), ("a.png", large_png())):
        path = tmp_path / name
        path.write_bytes(data)
        for reader in READERS:
            with (
                case(name=name, reader=reader),
                pytest.raises(FaceLatentsError, match=r"13300 x 13300.* Save a copy at 60%"),
            ):
                reader(path)
        for command in ("encode", "edit", "morph", "demo"):
            out = str(tmp_path / "out.safetensors")
            words = {
                "encode": ["encode", str(path), out],
                "edit": ["edit", str(path), "-o", str(tmp_path / "out.png")],
                "morph": ["morph", str(path), str(path), "-o", str(tmp_path / "out.gif")],
                "demo": ["demo", str(path), "--output", str(tmp_path / "demo")],
            }[command]
            with case(name=name, command=command):
                assert main(words) == 2
                assert "13300 x 13300 pixels" in capsys.readouterr().err
        workflow = str(WORKFLOWS / "Add a smile.json")
        with case(name=name, command="run"):
            words = ["run", workflow, "--input", str(path), "--output", str(tmp_path / "run")]
            assert main(words) != 0
            told = capsys.readouterr()
            assert "13300 x 13300 pixels" in told.err + told.out
    with pytest.raises(FaceLatentsError, match="13300 x 13300"):
        read_workflow_file(tmp_path / "a.png")


def test_ffmpeg_gets_no_larger_pictures_either(tmp_path):
    pytest.importorskip("av")
    from face_latents.cli.runner.photo_av import load_image_av

    (tmp_path / "a.jpg").write_bytes(large_jpeg())
    with pytest.raises(FaceLatentsError, match="13300 x 13300"):
        load_image_av(tmp_path / "a.jpg")


def test_frames_and_pages_count_together(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MOST_PIXELS", 16 * 16 * 3)
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue", "white")]
    for name in ("a.gif", "a.webp", "a.tif", "a.png"):
        path = tmp_path / name
        frames[0].save(path, save_all=True, append_images=frames[1:3])
        assert len(photos.load_image(path)[0]) == 3, name
        frames[0].save(path, save_all=True, append_images=frames[1:])
        for reader in READERS[:2]:
            with (
                case(name=name, reader=reader),
                pytest.raises(FaceLatentsError, match="4 frames of 16 x 16"),
            ):
                reader(path)
        assert len(photos.load_image(path, first_only=True)[0]) == 1, name


def test_a_large_page_behind_a_small_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MOST_PIXELS", 16 * 16 * 3)
    small_page, large_page = Image.new("RGB", (4, 4)), Image.new("RGB", (64, 64))
    small_page.save(tmp_path / "a.tif", save_all=True, append_images=[large_page])
    with pytest.raises(FaceLatentsError, match="64 x 64"):
        photos.load_image(tmp_path / "a.tif")


def test_a_page_without_a_size_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    page = Image.new("RGB", (4, 4))
    page.save(path, save_all=True, append_images=[page])
    data, order = bytearray(path.read_bytes()), "little"
    start = int.from_bytes(data[4:8], order)
    count = int.from_bytes(data[start : start + 2], order)
    second = int.from_bytes(data[start + 2 + 12 * count : start + 6 + 12 * count], order)
    assert data[second + 2 : second + 4] == b"\x00\x01"  # the tag of the width
    data[second + 2] = 1
    path.write_bytes(data)
    for reader in READERS:
        with case(reader=reader), pytest.raises(FaceLatentsError, match=r"a\.tif' cannot be read"):
            reader(path)


def test_formats_that_run_other_programs_are_not_opened(tmp_path):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(FaceLatentsError, match="cannot be read as a picture"):
        photos.load_image(tmp_path / "a.png")


def test_pillows_own_limit_tells_the_same(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(large_jpeg())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE // 3)  # it refuses twice as many
    with pytest.raises(
        FaceLatentsError, match=r"large\. A file may have 64 million pixels,.* at 60%"
    ):
        photos.load_image(tmp_path / "a.jpg")


def test_pixels_are_the_same_strip_by_strip(tmp_path, monkeypatch):
    Image.effect_noise((37, 29), 90).convert("RGB").save(tmp_path / "a.png")
    whole = photos.load_image(tmp_path / "a.png")[0]
    monkeypatch.setattr(photos, "_STRIP", 37 * 4)
    assert whole.equal(photos.load_image(tmp_path / "a.png")[0])


def test_pictures_from_outside_are_opened_in_one_place():
    """Two more open what they have just written themselves."""
    own = {"models/imaging/photo_files/write.py", "lab/training/finder/augment.py"}
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("cli", "lab", "models", "nodes")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"\bImage\.open\(", path.read_text(encoding="utf-8"))
    }
    assert found == {"models/imaging/opening.py"} | own

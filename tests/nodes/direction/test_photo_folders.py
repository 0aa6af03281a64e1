"""Photos of input folders: which folders there are, what is refused, what is left out."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError, NoFaceError
from face_latents.models.imaging import opening
from face_latents.nodes import host
from face_latents.nodes.direction import photo_folders
from face_latents.nodes.direction.photo_folders import (
    encode_folder,
    folder_stamp,
    label_folders,
    list_photo_folders,
    photo_folder,
    photos_in,
)
from face_latents.nodes.model import cut
from nodes_support import CODES, landmarks_for, mesh_face, run, tiny_model
from PIL import Image

MODEL = tiny_model()
SMALL = 90  # a photo of less height shows a small face


@pytest.fixture(autouse=True)
def root(monkeypatch, tmp_path):
    """The input folder; every photo brighter than black shows a face in its middle."""
    monkeypatch.setattr(host.stand_alone, "input", tmp_path / "input")
    (tmp_path / "input").mkdir()

    def find(photo, wanted, number):
        if float(photo.max()) == 0:
            raise NoFaceError(f"No face was found in photo {number + 1}. Try another.")
        eyes = 20 if photo.shape[0] < SMALL else 60
        mesh = landmarks_for(photo.unsqueeze(0), mesh_face(55, 45, eyes))
        return cut.faces_from_landmarks(mesh, 0, *photo.shape[:2])

    monkeypatch.setattr(cut, "find_all", find)
    return tmp_path / "input"


def picture(path, seed=0, size=(110, 90), mode="RGB", **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).integers(1, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(values, "RGBA").convert("RGB" if mode == "P" else "RGBA").convert(mode)
    image.save(path, **more)
    return image


def codes_of(image):
    """What Encode Face gives for the same photo."""
    pixels = torch.from_numpy(np.array(image.convert("RGB")).astype(np.float32) / 255.0)[None]
    return run(
        "FaceLatentsEncode",
        image=pixels,
        face_model=MODEL,
        faces="largest",
        index=0,
        min_score=0.5,
    )[0].samples


def test_codes_are_those_of_encode_face_in_the_order_of_the_names(root):
    first, second = picture(root / "a" / "1.png", 1), picture(root / "a" / "2.png", 2)
    picture(root / "a" / "below" / "3.png", 3)
    found = encode_folder(photo_folder("a"), MODEL)
    assert found.codes.shape == (2, CODES)
    assert torch.allclose(found.codes, torch.cat([codes_of(first), codes_of(second)]), atol=1e-6)
    assert [path.name for path in found.files] == ["1.png", "2.png"]
    assert found.skipped == ()
    (root / "a" / "4.HEIC").touch()
    (root / "a" / "notes.txt").touch()
    (others,) = encode_folder(photo_folder("a"), MODEL).skipped
    assert others.startswith("1 .heic. Save HEIC")
    assert found.report() == "2 photo(s) used"


def test_many_photos_go_through_in_parts(root, monkeypatch):
    for number in range(5):
        picture(root / "a" / f"{number}.png", number)
    whole = encode_folder(photo_folder("a"), MODEL).codes
    monkeypatch.setattr(photo_folders, "_CHUNK_BYTES", 2 * 12 * MODEL.template.size**2)
    MODEL.module.batches.clear()
    assert torch.allclose(encode_folder(photo_folder("a"), MODEL).codes, whole, atol=1e-6)
    assert MODEL.module.batches == [2, 2, 1]


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16"])
def test_grey_alpha_palette_and_sixteen_bit_are_read(root, mode):
    if mode == "I;16":
        values = np.random.default_rng(0).integers(0, 65536, (90, 110), dtype=np.uint16)
        (root / "a").mkdir()
        Image.fromarray(values).save(root / "a" / "x.png")
    else:
        picture(root / "a" / "x.png", mode=mode)
    found = encode_folder(photo_folder("a"), MODEL)
    assert found.codes.shape == (1, CODES)
    assert bool(torch.isfinite(found.codes).all())


def test_photos_are_turned_upright(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(root / "a" / "x.png", exif=exif)
    upright = turned.transpose(Image.Transpose.ROTATE_270)
    found = encode_folder(photo_folder("a"), MODEL)
    assert torch.allclose(found.codes, codes_of(upright), atol=1e-6)


def test_what_cannot_be_used_is_left_out_and_reported(root, tmp_path):
    picture(root / "a" / "good.png")
    (root / "a" / "text.png").write_text("no picture")
    (root / "a" / "empty.jpg").touch()
    Image.new("RGB", (90, 90)).save(root / "a" / "black.png")
    picture(tmp_path / "outside.png")
    (root / "a" / "link.png").symlink_to(tmp_path / "outside.png")
    found = encode_folder(photo_folder("a"), MODEL)
    assert len(found.codes) == 1
    report = found.report()
    assert "1 photo(s) used\n4 left out:" in report
    for words in ("text.png", "empty.jpg", "black.png: No face", "link.png: it is a link"):
        assert words in report
    assert str(root) not in report


def test_limits(root, monkeypatch):
    for number in range(4):
        picture(root / "a" / f"{number}.png", number, size=(60, 50 + number))
    found = encode_folder(photo_folder("a"), MODEL, most=3)
    assert (len(found.codes), found.skipped) == (3, ("1 photos beyond the first 3",))
    monkeypatch.setattr(opening, "MOST_PIXELS", 60 * 51)
    assert "60 x 52 pixels" in encode_folder(photo_folder("a"), MODEL).report()
    monkeypatch.setattr(photo_folders, "LARGEST_FILE", 10)
    with pytest.raises(FaceLatentsError, match=r"None of the 4 photos in 'a'.*larger than"):
        encode_folder(photo_folder("a"), MODEL)


def test_no_face_anywhere_is_an_error(root):
    (root / "a").mkdir()
    Image.new("RGB", (90, 90)).save(root / "a" / "black.png")
    with pytest.raises(FaceLatentsError, match=r"None of the 1 photos in 'people'.*No face"):
        encode_folder(photo_folder("a"), MODEL, what="people")


def test_cancel_stops_at_the_next_photo(root, monkeypatch):
    for number in range(3):
        picture(root / "a" / f"{number}.png", number)

    class Cancelled(BaseException):
        pass

    calls = []

    def cancel():
        calls.append(1)
        if len(calls) == 2:  # the first is at the start
            raise Cancelled

    monkeypatch.setattr(host, "check_interrupt", cancel)
    with pytest.raises(Cancelled):
        encode_folder(photo_folder("a"), MODEL)
    assert len(calls) == 2


def test_folders_are_listed_with_their_depth(root):
    picture(root / "top.png")
    picture(root / "people" / "anna" / "1.png")
    picture(root / "people" / "ben" / "1.JPG")
    picture(root / "cats" / "1.webp")
    picture(root / ".hidden" / "1.png")
    (root / "empty").mkdir()
    (root / "text").mkdir()
    (root / "text" / "a.txt").touch()
    assert list_photo_folders() == ["cats", "people/anna", "people/ben"]
    assert list(label_folders("people")) == ["anna", "ben"]
    assert photo_folder("people\\anna") == photo_folder(" people/anna/ ") == root / "people/anna"


def test_a_missing_input_folder_lists_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "input", tmp_path / "nowhere")
    assert list_photo_folders() == []
    with pytest.raises(FaceLatentsError, match=r"There is no folder 'x'.*Make a folder"):
        photo_folder("x")


@pytest.mark.parametrize(
    "name",
    ["", "  ", "/", "..", "a/../..", "../input", "/etc", "\\\\server\\x", "C:\\x", "c:x", "~",
     "a\0b", "con", "a/NUL", "what?", "n" * 300],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(root, name):
    picture(root / "a" / "1.png")
    with pytest.raises(FaceLatentsError, match=r"[Ff]older"):
        photo_folder(name)


def test_links_in_a_circle_are_refused(root):
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(FaceLatentsError, match=r"cannot be read|no folder"):
        photo_folder("loop")
    assert "loop" not in list_photo_folders()


def test_links_out_of_the_input_folder_are_refused(root, tmp_path):
    picture(tmp_path / "private" / "1.png")
    picture(root / "labels" / "real" / "1.png")
    (root / "out").symlink_to(tmp_path / "private")
    (root / "labels" / "sneaky").symlink_to(tmp_path / "private")
    assert list_photo_folders() == ["labels/real"]
    assert list(label_folders("labels")) == ["real"]
    for name in ("out", "labels/sneaky"):
        with pytest.raises(FaceLatentsError, match="leads out of"):
            photo_folder(name)


def test_unknown_folders_name_those_that_exist(root):
    picture(root / "cats" / "1.png")
    with pytest.raises(FaceLatentsError, match=r"no folder 'dogs'.*there: cats"):
        photo_folder("dogs")
    with pytest.raises(FaceLatentsError, match=r"'cats' has no sub-folders.*cats/glasses"):
        label_folders("cats")
    (root / "none").mkdir()
    with pytest.raises(FaceLatentsError, match=r"'none' holds no pictures \(avif"):
        photos_in(photo_folder("none"))


def test_the_stamp_follows_names_times_and_sizes(root):
    folder = root / "a"
    picture(folder / "1.png")
    first = folder_stamp([folder])
    assert folder_stamp([folder]) == first
    os.utime(folder / "1.png", ns=(1, 1))
    touched = folder_stamp([folder])
    picture(folder / "2.png")
    added = folder_stamp([folder])
    (folder / "note.txt").touch()
    assert folder_stamp([folder]) == added
    (folder / "2.png").rename(folder / "3.png")
    assert len({first, touched, added, folder_stamp([folder]), folder_stamp([root / "no"])}) == 5


def test_small_faces_are_told(root):
    picture(root / "a" / "large.png", 1)
    picture(root / "a" / "small.png", 2, size=(110, 80))
    found = encode_folder(photo_folder("a"), MODEL)
    assert found.notable
    assert len(found.codes) == 2
    assert "1 with a face under 60 pixels" in found.report()
    assert "small.png" in found.report()
    assert "large.png" not in found.report()

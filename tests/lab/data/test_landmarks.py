"""Sets of photos with a teacher's landmarks: which count, and where their points lie."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.lab.data.canonical import read_canonical_faces
from face_latents.lab.data.landmarks import (
    ROOM,
    SIDE,
    checksum,
    load_landmarks,
    mirrored_order,
    teacher_photos,
)
from face_latents.lab.training.face.run import canonical_mesh
from face_latents.models.errors import FaceLatentsError
from face_latents.models.geometry.templates import WIDE
from face_support import five_of, geometry, make_face_sets, random_faces

IRISES = (468, 473)
DARK = torch.tensor([40.0, 25.0, 15.0])  # how irises are drawn


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_sets(tmp_path_factory.mktemp("sets"), 8, 3)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A set that a test may change."""
    return make_face_sets(tmp_path / "sets", 4, 2)


def rewrite(table: Path, row: int, **values: str) -> None:
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[row] |= values
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_points_are_in_photo_pixels_and_in_the_template(sets: Path) -> None:
    for name in ("faces", "sharp"):  # counted in other parts of a pixel
        photos = teacher_photos(sets / name, "train")
        assert len(photos) == 8
        for photo in photos:
            five = five_of(photo.points)
            assert (five.mean(0) - (WIDE.points - 0.5).mean(0).float()).abs().max() < 1e-3
            picture = photo.read()
            assert picture.shape == (3, 96, 96)
            for x, y in photo.pixels[list(IRISES), :2].long().tolist():
                assert (picture[:, y, x] - DARK).abs().max() < 60


def test_only_photos_that_the_teacher_found_count(own: Path) -> None:
    before = {photo.name for photo in teacher_photos(own / "faces", "train")}
    file = own / "faces" / "landmarks-00.npz"
    parts = dict(np.load(file))
    parts["found"][0], parts["eye_gap"][1] = False, 0.4
    np.savez(file, **parts)
    kept = {photo.name for photo in teacher_photos(own / "faces", "train")}
    assert before - kept == {"faces_0.png", "faces_1.png"}


def test_pictures_whose_terms_are_not_settled_are_no_training_data(own: Path) -> None:
    table = own / "sharp" / "metadata.csv"
    rewrite(table, 0, generator="FLUX1_dev")
    rewrite(table, 4, generator="FLUX1_pro")
    assert "sharp_0.png" not in {p.name for p in teacher_photos(own / "sharp", "train")}
    assert "sharp_4.png" in {p.name for p in teacher_photos(own / "sharp", "val")}


def test_a_folder_that_is_no_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match="no table and 0 files of landmarks"):
        teacher_photos(tmp_path, "train")


def test_crops_show_the_face_where_its_points_say(sets: Path, tmp_path: Path) -> None:
    faces = load_landmarks(sets, "train", cache_dir=tmp_path)
    assert len(faces) == 24
    assert faces.crops.shape == (24, 3, SIDE, SIDE)
    for crop, points in zip(faces.crops, faces.points, strict=True):
        for x, y in ((points[list(IRISES), :2] / ROOM + 0.5) * SIDE).long().tolist():
            assert (crop[:, y, x] - DARK).abs().max() < 60
    again = load_landmarks(sets / "gone", "train", cache_dir=tmp_path)  # from the cache
    assert torch.equal(again.crops, faces.crops)
    assert again.names == faces.names
    assert len(load_landmarks(sets, "val", sets=("faces",))) == 3


def test_the_order_of_mirrored_points_is_told_by_the_mean() -> None:
    assert torch.equal(mirrored_order(random_faces(200)), geometry()["order"])


def test_the_checksum_tells_data_apart() -> None:
    points = random_faces(2)
    first = checksum(["a", "b"], points)
    assert first == checksum(["a", "b"], points.clone())
    assert first != checksum(["a", "c"], points)
    assert first != checksum(["a", "b"], points + 0.1)


def test_canonical_faces_have_their_features_in_the_same_pixels(sets: Path, tmp_path: Path) -> None:
    photos, canon = teacher_photos(sets / "faces", "train"), geometry()["canon"]
    mesh = canonical_mesh(geometry(), 64)
    faces = read_canonical_faces(photos, canon, mesh, tmp_path / "kept.pt")
    assert faces.pictures.shape == (8, 3, 64, 64)
    for x, y in ((canon[list(IRISES), :2] + 0.5) * 64).long().tolist():
        assert (faces.pictures[:, :, y, x] - DARK).abs().max() < 80
    assert torch.equal(faces.column("smile"), torch.tensor([float(p.row["smile"]) for p in photos]))
    kept = read_canonical_faces(photos, canon, mesh, tmp_path / "kept.pt")
    assert torch.equal(kept.pictures, faces.pictures)

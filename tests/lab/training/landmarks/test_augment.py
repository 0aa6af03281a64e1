"""What the landmark network sees in training: points stay on their places of the picture."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.data.landmarks import LandmarkSet, load_landmarks
from face_latents.lab.training.landmarks import augment
from face_latents.models.finder.landmarks_net import CROP_SIZE
from face_support import geometry, make_face_sets

DARK = torch.tensor([40.0, 25.0, 15.0]) / 255


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> LandmarkSet:
    folder = make_face_sets(tmp_path_factory.mktemp("sets"), 8, 2)
    return load_landmarks(folder, "train", sets=("faces",))


def draw(faces: LandmarkSet, count: int = 64, seed: int = 0) -> augment.LandmarkBatch:
    rows = torch.arange(count) % len(faces)
    generator = torch.Generator().manual_seed(seed)
    return augment.draw_batch(faces, rows, geometry()["order"], generator)


def test_points_stay_on_what_they_mark(faces: LandmarkSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "_spoil", lambda crops, *_: crops)
    batch = draw(faces)
    assert 0 < (~batch.is_face).sum() < 16
    seen = 0
    for crop, points, is_face in zip(batch.crops, batch.points, batch.is_face, strict=True):
        if not is_face:
            continue
        for x, y in ((points[[468, 473], :2] + 0.5) * CROP_SIZE).long().tolist():
            assert (crop[:, y, x] - DARK).abs().max() < 0.25
            seen += 1
    assert seen > 90
    right = batch.points[batch.is_face, 473, 0] > batch.points[batch.is_face, 468, 0]
    assert right.all()  # the viewer's right eye stays that, mirrored or not


def test_faces_are_turned_moved_and_resized(faces: LandmarkSet) -> None:
    points = draw(faces, 400).points
    across = points[:, 473, :2] - points[:, 468, :2]
    roll = torch.rad2deg(torch.atan2(across[:, 1], across[:, 0]))
    assert 6 < roll.std() < 20
    assert roll.abs().max() > 25
    assert 0.05 < across.norm(dim=1).log().std() < 0.3
    assert points[:, 1, :2].std(0).min() > 0.03


def test_light_and_grain_differ_and_repeat(faces: LandmarkSet) -> None:
    batch, again = draw(faces), draw(faces)
    assert torch.equal(batch.crops, again.crops)
    assert batch.crops.min() >= 0
    assert batch.crops.max() <= 1
    assert not torch.equal(batch.crops, draw(faces, seed=1).crops)
    grey = (batch.crops - batch.crops.mean(1, keepdim=True)).abs().amax((1, 2, 3)) < 0.2
    assert 0 < grey.sum() < 32
    assert batch.crops.mean((1, 2, 3)).std() > 0.03

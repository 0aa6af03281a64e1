"""A training of the dense landmarks that takes seconds."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from face_latents.lab.training import loop
from face_latents.lab.training.landmarks import run
from face_latents.lab.training.landmarks.run import LandmarkTraining, train_landmarks
from face_latents.models.bundled import bundled_file
from face_latents.models.files.tensors import load_tensors, read_header
from face_latents.models.finder.dense_landmarks import load_dense_landmarks
from face_latents.models.finder.landmarks_net import POINTS
from face_support import geometry, make_face_sets

SETTINGS = LandmarkTraining(steps=2, refine_steps=2, batch=4, device="cpu")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_sets(tmp_path_factory.mktemp("sets"), 8, 3)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "STARTING_FACES", 160)


class Clock:
    """Time that stands still until it is over."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.slow
def test_a_training_makes_the_file_that_finds_points(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = train_landmarks(sets, tmp_path / "whole", SETTINGS)["model"]
    landmarks = load_dense_landmarks(made)
    points, confidence = landmarks.find(torch.rand(2, 3, 128, 128))
    assert points.shape == (2, POINTS, 3)
    assert ((confidence > 0) & (confidence < 1)).all()
    # a few steps after its start from the mean face
    assert (points.mean(0) - geometry()["shape.mean"])[..., :2].norm(dim=1).mean() < 0.15
    metadata = read_header(made).metadata
    assert json.loads(metadata["settings"]) == asdict(SETTINGS)
    assert json.loads(metadata["steps"]) == {"first": 2, "refine": 2}
    assert len(metadata["data_checksum"]) == 16
    assert torch.equal(landmarks.mirrored, geometry()["order"])

    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("refine", 1):
            clock.now = 1e9

    stopped = replace(SETTINGS, minutes=1.0)
    with pytest.raises(loop.Paused, match="after 1 steps"):
        train_landmarks(sets, tmp_path / "stopped", stopped, progress=stop)
    clock.now = 0.0
    again = train_landmarks(sets, tmp_path / "stopped", SETTINGS)["model"]
    first, second = load_tensors(made)[0], load_tensors(again)[0]
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, msg=name)


def test_the_bundled_landmarks_are_those_that_the_command_makes() -> None:
    metadata = read_header(bundled_file("landmarks.safetensors")).metadata
    told, default = json.loads(metadata["settings"]), asdict(LandmarkTraining())
    for free in ("minutes", "device", "resume"):  # how a run is cut up does not change its result
        told.pop(free, None)
        default.pop(free)
    assert told == default
    whole = {"first": LandmarkTraining().steps, "refine": LandmarkTraining().refine_steps}
    assert json.loads(metadata["steps"]) == whole
    assert metadata["data_checksum"]

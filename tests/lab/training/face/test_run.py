"""A training of the face model that takes seconds, from data to the file that ships."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from face_latents.lab.directions.recipes import RECIPES
from face_latents.lab.training import loop
from face_latents.lab.training.face import export, render
from face_latents.lab.training.face.critic import Critic, critic_loss, fooling_loss
from face_latents.lab.training.face.run import FaceTraining, train_face
from face_latents.models.bundled import bundled_file
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import load_face_model
from face_latents.models.files.tensors import load_tensors, read_header
from face_support import SCORES, make_face_sets

SETTINGS = FaceTraining(
    size=64, shapes=6, appearances=8, steps=3, batch=2, sharp=1, mouth_steps=3, mouth_batch=2
)
STAGES = ("face.geometry.safetensors", "face.appearance.safetensors", "canonical_faces_train.pt",
          "canonical_sharp_train.pt")  # fmt: skip


class Clock:
    """Time that stands still until it is over."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts, warm-up and ranges of a small training."""
    monkeypatch.setattr(render, "PART", 32)
    monkeypatch.setattr(render, "WARM_STEPS", 1)
    monkeypatch.setattr(export, "FACES_FOR_RANGES", 2)
    monkeypatch.setattr(export, "natural_range", lambda net, codes, vector: (-1.0, 2.0))


@pytest.mark.slow
def test_a_training_makes_a_model_with_its_directions(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets, whole, stopped = (
        make_face_sets(tmp_path / "sets"),
        tmp_path / "whole",
        tmp_path / "stopped",
    )
    model = train_face(sets, whole / "face.safetensors", SETTINGS)
    assert model.template.name == "wide"
    assert model.template.size == 64
    assert list(model.directions) == [recipe.name for recipe in RECIPES]
    for recipe in RECIPES:
        direction = model.directions[recipe.name]
        assert direction.group == recipe.group
        assert recipe.plus in direction.unit
        assert direction.safe_range == (-1.0, 2.0)
        assert direction.vector.isfinite().all()
        assert direction.vector.abs().max() > 0, recipe.name
    assert model.directions["age"].reading is not None
    assert model.expressions is not None
    assert model.expressions.names == SCORES[1:]
    codes = model.sample(2, seed=0)
    assert model.decode(codes).shape == (2, 3, 64, 64)
    assert model.encode(model.decode(codes).clamp(0, 1)).isfinite().all()
    metadata = read_header(whole / "face.safetensors").metadata
    assert json.loads(metadata["settings"]) == asdict(SETTINGS)
    assert len(metadata["data_checksum"]) == 16
    assert "CC BY 4.0" in metadata["attribution"]
    assert (whole / "face.renderer.samples.png").is_file()
    assert (whole / "face.painter.samples.png").is_file()
    assert (whole / "face.renderer.curve.csv").is_file()
    again = load_face_model(whole / "face.safetensors")
    assert torch.equal(again.decode(codes), model.decode(codes))

    # stopped after two steps, and taken up
    stopped.mkdir()
    for name in STAGES:
        shutil.copy(whole / name, stopped / name)
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("render", 2):
            clock.now = 1e9

    limited = replace(SETTINGS, minutes=1.0)
    with pytest.raises(loop.Paused, match="after 2 steps"):
        train_face(sets, stopped / "face.safetensors", limited, progress=stop)
    assert not (stopped / "face.safetensors").exists()
    clock.now = 0.0
    train_face(sets, stopped / "face.safetensors", SETTINGS)
    first, second = (load_tensors(folder / "face.safetensors")[0] for folder in (whole, stopped))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, msg=name)


def test_without_data_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match=r"must hold a table"):
        train_face(tmp_path, tmp_path / "face.safetensors", SETTINGS)
    assert not (tmp_path / "face.safetensors").exists()


def test_the_critic_is_fooled_where_it_counts() -> None:
    torch.manual_seed(0)
    critic = Critic(64, width=8)
    scores = critic(torch.rand(4, 3, 32, 32), (16, 8))
    assert [s.shape[-1] for s in scores] == [8, 2]
    nothing = [torch.zeros_like(s) for s in scores]
    assert fooling_loss(scores, nothing) == 0
    everywhere = [torch.ones_like(s) for s in scores]
    real, fake = (
        [torch.full_like(s, 2.0) for s in scores],
        [torch.full_like(s, -2.0) for s in scores],
    )
    assert critic_loss(real, fake, everywhere) == 0  # beyond the margin
    assert critic_loss(fake, real, everywhere) == pytest.approx(12, rel=1e-3)
    assert critic_loss(real, real, nothing) == 0


def test_the_bundled_model_is_the_one_that_the_command_makes() -> None:
    metadata = read_header(bundled_file("face.safetensors")).metadata
    told, default = json.loads(metadata["settings"]), asdict(FaceTraining())
    for free in ("minutes", "resume"):  # how a run is cut up does not change its result
        told.pop(free, None)
        default.pop(free)
    assert told == default
    assert metadata["data_checksum"]

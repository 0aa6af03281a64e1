"""Set Attribute in the attribute's own unit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.values import Direction, FaceLatent, Reading
from nodes_support import CODES, random_latent, run, tiny_model

MODEL = tiny_model()
WEIGHTS = torch.linspace(0.5, 2, CODES)
AGE = replace(MODEL.directions["age"], reading=Reading(WEIGHTS, 37.0, "years"))


def set_to(latent: FaceLatent, direction: Direction, value: float, **more: str):
    return run(
        "FaceLatentsSetAttribute", face_latent=latent, direction=direction, value=value, **more
    )


def test_faces_are_as_old_as_was_asked_and_move_only_along_the_direction():
    latent = random_latent(MODEL, 3)
    moved, text = set_to(latent, AGE, 60.0, unit="own")
    read = moved.samples @ WEIGHTS + 37
    torch.testing.assert_close(read, torch.full((3,), 60.0))
    change = moved.samples - latent.samples
    along = change @ AGE.vector / AGE.vector.square().sum()
    torch.testing.assert_close(change, along[:, None] * AGE.vector, atol=1e-4, rtol=0)
    lines = text.splitlines()
    assert len(lines) == 3
    for line, start, strength in zip(lines, latent.samples @ WEIGHTS + 37, along, strict=True):
        assert line.startswith(f"age: {start:.1f} -> 60.0 years, strength {strength:.2f}")
        assert ("looks natural from -2 to 3" in line) == (not -2 <= strength <= 3)
    again, _ = set_to(moved, AGE, 60.0, unit="own")
    torch.testing.assert_close(again.samples, moved.samples, atol=1e-4, rtol=0)


def test_the_standard_unit_is_what_it_was():
    latent, smile = random_latent(MODEL, 2), MODEL.directions["smile"]
    for direction in (smile, AGE):
        moved, text = set_to(latent, direction, 1.5)
        coefficient = moved.samples @ direction.vector / direction.vector.square().sum()
        torch.testing.assert_close(coefficient, torch.full((2,), 1.5))
        assert "-> 1.5 standard units" in text
    # without a unit of its own, a direction keeps the standard one
    same, text = set_to(latent, smile, 1.5, unit="own")
    assert torch.equal(same.samples, set_to(latent, smile, 1.5)[0].samples)
    assert "standard units" in text


def test_a_scaled_direction_reaches_the_same_age():
    latent = random_latent(MODEL)
    (double,) = run("FaceLatentsScaleDirection", direction=AGE, factor=-2.0)
    torch.testing.assert_close(
        set_to(latent, double, 20.0, unit="own")[0].samples,
        set_to(latent, AGE, 20.0, unit="own")[0].samples,
        atol=1e-4,
        rtol=0,
    )


def test_one_face_is_set_along_each_direction_of_a_batch():
    batch = replace(AGE, vector=torch.stack([AGE.vector, MODEL.directions["smile"].vector]))
    moved, text = set_to(random_latent(MODEL), batch, 60.0, unit="own")
    torch.testing.assert_close(moved.samples @ WEIGHTS + 37, torch.full((2,), 60.0))
    assert len(text.splitlines()) == 2
    assert len(set_to(random_latent(MODEL), batch, 1.0)[1].splitlines()) == 2


def test_a_direction_that_changes_no_age_is_told():
    across = AGE.vector - WEIGHTS * (AGE.vector @ WEIGHTS) / (WEIGHTS @ WEIGHTS)
    across = across - WEIGHTS * (across @ WEIGHTS) / (WEIGHTS @ WEIGHTS)
    flat = replace(AGE, vector=torch.where(across.abs() > 0, across, 0.0) * 1e-3)
    with pytest.raises(FaceLatentsError, match="does not change what is measured in years"):
        set_to(random_latent(MODEL), flat, 60.0, unit="own")


def test_heads_turn_to_an_angle(face_model, encoded_astronaut):
    (direction, info) = run(
        "FaceLatentsLoadDirection", face_model=face_model, direction="head_turn"
    )
    assert "measured in degrees: strength 1 adds 5" in info
    moved, text = set_to(encoded_astronaut, direction, -10.0, unit="own")
    pose = face_model.module.shape.pose(moved.samples[:, :6])
    assert float(pose[0, 0]) == pytest.approx(-10, abs=1e-3)
    assert torch.equal(
        pose[0, 1:3], face_model.module.shape.pose(encoded_astronaut.samples[:, :6])[0, 1:3]
    )
    assert "-> -10.0 degrees" in text

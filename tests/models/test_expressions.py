"""Expressions and readings of models: what they change, and that they come back from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.face_model import (
    Expressions,
    FaceModel,
    load_face_model,
    save_face_model,
)
from face_latents.models.files.tensors import load_tensors, save_tensors
from face_latents.models.files.values import load_direction, save_direction
from face_latents.models.values import Direction, Reading
from face_support import COUNT, face_model_of, random_tensors, small_net

NAMES = ("eyeBlinkLeft", "browInnerUp", "jawOpen")


def made_up() -> Expressions:
    generator = torch.Generator().manual_seed(4)
    # halves come back from a file as they went in
    readings, effects = (torch.randn(3, COUNT, generator=generator).half() for _ in range(2))
    return Expressions(NAMES, readings.float(), effects.float())


def test_a_face_takes_over_what_goes_with_a_difference_of_scores() -> None:
    expressions, codes = made_up(), torch.randn(2, COUNT)
    source = torch.randn(2, COUNT)
    change = expressions.change(codes, source)
    scores = (source - codes) @ expressions.readings.T
    torch.testing.assert_close(change, scores @ expressions.effects)
    assert expressions.change(codes, codes).abs().max() == 0
    parts = [expressions.change(codes, source, eyes=eyes, mouth=not eyes) for eyes in (True, False)]
    torch.testing.assert_close(parts[0] + parts[1], change)
    torch.testing.assert_close(parts[1], scores[:, 2:] @ expressions.effects[2:])


def test_expressions_of_another_size_are_refused() -> None:
    with pytest.raises(FaceLatentsError, match="3 scores"):
        Expressions(NAMES, torch.zeros(2, COUNT), torch.zeros(3, COUNT))


def test_a_model_file_keeps_expressions_and_readings(tmp_path: Path) -> None:
    path, model = tmp_path / "face.safetensors", face_model_of(small_net())
    reading = Reading(torch.randn(COUNT), 37.0, "years", 18.0)
    age = Direction(torch.randn(COUNT), model.space, "age", reading=reading)
    tensors = random_tensors()
    expressions = made_up()
    save_face_model(path, tensors, {}, model.template, {"age": age}, expressions)
    loaded = load_face_model(path)
    assert loaded.expressions is not None
    assert loaded.expressions.names == NAMES
    assert torch.equal(loaded.expressions.readings, expressions.readings)
    assert torch.equal(loaded.expressions.effects, expressions.effects)
    found = loaded.directions["age"].reading
    assert found is not None
    assert (found.zero, found.unit) == (37.0, "years")
    assert torch.equal(found.weights, reading.weights)
    assert found.least == 18
    # they are no part of the network
    save_face_model(path, tensors, {}, model.template)
    assert load_face_model(path).space.model_id == loaded.space.model_id
    assert load_face_model(path).expressions is None


def test_damaged_expressions_are_refused(tmp_path: Path) -> None:
    path, model = tmp_path / "face.safetensors", face_model_of(small_net())
    save_face_model(path, random_tensors(), {}, model.template, {}, made_up())
    tensors, metadata = load_tensors(path)
    for name, tensor in (("effects", torch.zeros(3, COUNT + 1)), ("readings", torch.zeros(2))):
        save_tensors(path, {**tensors, f"expressions.{name}": tensor}, metadata)
        with pytest.raises(UnsupportedModelError, match="expressions"):
            load_face_model(path)
    save_tensors(path, tensors, {**metadata, "expressions": "7"})
    with pytest.raises(UnsupportedModelError, match="expressions"):
        load_face_model(path)


def test_a_direction_file_keeps_its_reading(tmp_path: Path) -> None:
    path, model = tmp_path / "age.safetensors", face_model_of(small_net())
    reading = Reading(torch.randn(COUNT), 37.0, "years")
    age = Direction(torch.randn(COUNT), model.space, "age", reading=reading)
    save_direction(path, age)
    found = load_direction(path).reading
    assert found is not None
    assert torch.equal(found.weights, reading.weights)
    assert (found.zero, found.unit) == (37.0, "years")
    save_direction(path, replace(age, reading=None))
    assert load_direction(path).reading is None
    with pytest.raises(FaceLatentsError, match="reading of direction 'age'"):
        replace(age, reading=Reading(torch.zeros(3), 0.0, "years"))


def test_poses_are_read_in_degrees_exactly(face_model: FaceModel) -> None:
    net = face_model.module
    codes = torch.randn(5, *face_model.space.shape, generator=torch.Generator().manual_seed(0))
    degrees = net.shape.pose(codes[:, :6])[:, :3]
    for number, name in enumerate(("head_turn", "head_nod", "head_tilt")):
        reading = face_model.directions[name].reading
        assert reading is not None
        assert reading.unit == "degrees"
        torch.testing.assert_close(reading.of(codes), degrees[:, number])
    assert face_model.directions["smile"].reading is None


def test_the_bundled_model_reads_ages_and_expressions(face_model: FaceModel) -> None:
    assert face_model.expressions is not None
    age = face_model.directions["age"]
    assert age.reading is not None
    assert age.reading.unit == "years"
    gained = float((age.reading.weights * age.vector).sum())
    assert 5 < gained < 40
    codes = torch.randn(2, *face_model.space.shape, generator=torch.Generator().manual_seed(0))
    mirror = face_model.capabilities.mirror
    assert mirror is not None
    change = face_model.expressions.change(codes[:1], codes[1:])
    mirrored = mirror(face_model.expressions.change(mirror(codes[:1]), mirror(codes[1:])))
    torch.testing.assert_close(mirrored, change, atol=2e-3, rtol=2e-3)

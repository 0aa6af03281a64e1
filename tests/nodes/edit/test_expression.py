"""Copy Expression: what is taken over, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.face_model import Expressions, FaceModel
from face_latents.models.values import Direction, FaceLatent
from face_latents.nodes.edit.expression import PARTS
from face_support import COUNT, face_model_of, random_codes, small_net
from nodes_support import random_latent, run, tiny_model

NAMES = ("eyeBlinkLeft", "browInnerUp", "jawOpen", "mouthSmileLeft")


def model_with_expressions() -> FaceModel:
    readings, effects = torch.zeros(4, COUNT), torch.zeros(4, COUNT)
    for score in range(4):  # each score is read off one number, and changes another one too
        readings[score, 6 + score] = 0.5
        effects[score, 6 + score], effects[score, COUNT - 1 - score] = 2.0, 1.0
    model = face_model_of(small_net())
    turns = {
        reading.unit + str(number): Direction(
            reading.weights, model.space, "turn", safe_range=(-9, 9), group="pose", reading=reading
        )
        for number, reading in enumerate(model.capabilities.readings)
    }
    return replace(model, directions=turns, expressions=Expressions(NAMES, readings, effects))


MODEL = model_with_expressions()


def faces(count: int, seed: int) -> FaceLatent:
    return FaceLatent(random_codes(count, seed), MODEL.space)


def copy(target: FaceLatent, source: FaceLatent, parts: str = PARTS[0], strength: float = 1.0):
    return run(
        "FaceLatentsCopyExpression",
        face_latent=target,
        expression_of=source,
        face_model=MODEL,
        parts=parts,
        strength=strength,
    )[0].samples


@pytest.mark.parametrize("parts", PARTS)
def test_strength_zero_and_ones_own_expression_change_nothing(parts):
    target = faces(2, 1)
    assert torch.equal(copy(target, faces(2, 2), parts, 0.0), target.samples)
    assert torch.equal(copy(target, target, parts), target.samples)


def test_each_part_is_taken_over_and_nothing_else():
    target, source = faces(2, 1), faces(2, 2)
    apart = source.samples - target.samples
    shape, pose = apart[:, 6:10], apart[:, :3]
    look = shape.flip(1) / 2
    for parts, eyes, mouth, turned in (
        ("expression", 1, 1, 0),
        ("expression and pose", 1, 1, 1),
        ("pose", 0, 0, 1),
        ("mouth", 0, 1, 0),
        ("eyes and brows", 1, 0, 0),
    ):
        change = copy(target, source, parts) - target.samples
        wanted = torch.zeros_like(change)
        wanted[:, :3] = turned * pose
        share = torch.tensor([eyes, eyes, mouth, mouth])
        wanted[:, 6:10] += share * shape
        wanted[:, -4:] += share.flip(0) * look
        torch.testing.assert_close(change, wanted, atol=1e-5, rtol=0)


def test_more_strength_exaggerates_the_expression_but_turns_no_further():
    target, source = faces(1, 1), faces(1, 2)
    once, twice = (copy(target, source, PARTS[1], s) - target.samples for s in (1.0, 2.0))
    torch.testing.assert_close(twice[:, 6:], 2 * once[:, 6:], atol=1e-5, rtol=0)
    torch.testing.assert_close(twice[:, :6], once[:, :6])


def test_heads_turn_as_far_as_looks_natural():
    target, source = faces(2, 1), faces(2, 2)
    limited = {n: replace(d, safe_range=(-0.01, 0.02)) for n, d in MODEL.directions.items()}
    (result,) = run(
        "FaceLatentsCopyExpression",
        face_latent=target,
        expression_of=source,
        face_model=replace(MODEL, directions=limited),
        parts="pose",
        strength=1.0,
    )
    std = MODEL.module.shape.pose_std[:3]
    steps = (result.samples - target.samples)[:, :3] / std
    wanted = ((source.samples - target.samples)[:, :3] / std).clamp(-0.01, 0.02)
    torch.testing.assert_close(steps, wanted, atol=1e-6, rtol=0)
    assert torch.equal(result.samples[:, 3:], target.samples[:, 3:])


def test_one_expression_serves_many_faces_and_one_face_takes_many():
    many, one = faces(3, 1), faces(1, 2)
    each = torch.cat([copy(many.take([i]), one) for i in range(3)])
    torch.testing.assert_close(copy(many, one), each)
    assert copy(one, many).shape == (3, COUNT)
    with pytest.raises(FaceLatentsError, match="face_latent holds 3 faces and expression_of 2"):
        copy(many, faces(2, 4))


def test_models_that_cannot_are_refused():
    other, latent = tiny_model(), random_latent(tiny_model())
    inputs = {"face_latent": latent, "expression_of": latent, "strength": 1.0}
    for parts, said in (("expression", "show expressions"), ("pose", "the pose apart")):
        with pytest.raises(FaceLatentsError, match=said):
            run("FaceLatentsCopyExpression", face_model=other, parts=parts, **inputs)
    with pytest.raises(SpaceMismatchError):
        run("FaceLatentsCopyExpression", face_model=MODEL, parts="pose", **inputs)


def test_a_photo_without_a_face_gives_and_takes_nothing(encoded_astronaut, face_model):
    (context,) = encoded_astronaut.contexts
    assert context is not None
    empty = replace(
        encoded_astronaut,
        samples=torch.zeros_like(encoded_astronaut.samples),
        contexts=(replace(context, has_face=False),),
    )
    for target, source in ((encoded_astronaut, empty), (empty, encoded_astronaut)):
        (result,) = run(
            "FaceLatentsCopyExpression",
            face_latent=target,
            expression_of=source,
            face_model=face_model,
            parts="expression and pose",
            strength=1.0,
        )
        assert torch.equal(result.samples, target.samples)
        assert result.contexts == target.contexts

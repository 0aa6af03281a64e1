"""Nodes that move codes along directions, and nodes that make directions."""

from __future__ import annotations

import math

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.values import Direction, FaceLatent, join_latents
from hypothesis import given, settings
from hypothesis import strategies as st
from nodes_support import encode, photos, random_latent, run, tiny_model

MODEL = tiny_model()
SMILE, AGE = MODEL.directions["smile"], MODEL.directions["age"]


def coefficient(latent: FaceLatent, direction: Direction) -> torch.Tensor:
    n = direction.vector.double()
    return latent.samples.double() @ n / (n @ n)


def test_strength_zero_is_bit_identical_and_so_is_its_decode():
    latent = encode(MODEL, photos(3))
    moved = run("FaceLatentsAddDirection", face_latent=latent, direction=SMILE, strength=0.0)[0]
    assert torch.equal(moved.samples, latent.samples)
    pictures = [
        run("FaceLatentsDecode", face_model=MODEL, face_latent=each)[0] for each in (latent, moved)
    ]
    assert torch.equal(*pictures)


@settings(deadline=None, max_examples=25)
@given(st.floats(-10, 10))
def test_adding_then_subtracting_returns(strength):
    latent = random_latent(MODEL, 2)
    there = run("FaceLatentsAddDirection", face_latent=latent, direction=SMILE, strength=strength)
    back = run(
        "FaceLatentsAddDirection", face_latent=there[0], direction=SMILE, strength=-strength
    )[0]
    torch.testing.assert_close(back.samples, latent.samples, atol=2e-5, rtol=0)
    torch.testing.assert_close(
        coefficient(there[0], SMILE) - coefficient(latent, SMILE),
        torch.full((2,), strength, dtype=torch.float64),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf, "a lot", None])
def test_strength_that_is_no_number_is_refused(strength):
    with pytest.raises(FaceLatentsError, match="strength"):
        run(
            "FaceLatentsAddDirection",
            face_latent=random_latent(MODEL),
            direction=SMILE,
            strength=strength,
        )


@pytest.mark.parametrize("node", ["AddDirection", "SetAttribute", "RemoveFeature"])
def test_direction_of_another_model_is_refused_by_name(node):
    other = tiny_model("b" * 16).directions["smile"]
    inputs = {
        "AddDirection": {"direction": other, "strength": 1.0},
        "SetAttribute": {"direction": other, "value": 1.0},
        "RemoveFeature": {"feature": other, "strength": 1.0, "mode": "subtract"},
    }[node]
    with pytest.raises(SpaceMismatchError, match=r"'smile'.*a{16}.*b{16}"):
        run(f"FaceLatents{node}", face_latent=random_latent(MODEL), **inputs)


def test_wrong_values_on_wires_are_named():
    with pytest.raises(FaceLatentsError, match=r"'face_latent' needs a face latent.*dict"):
        run("FaceLatentsAddDirection", face_latent={"samples": 1}, direction=SMILE, strength=1.0)
    with pytest.raises(FaceLatentsError, match=r"'direction' needs a direction.*FaceLatent"):
        run(
            "FaceLatentsAddDirection",
            face_latent=random_latent(MODEL),
            direction=random_latent(MODEL),
            strength=1.0,
        )


def test_codes_and_directions_with_nan_are_refused():
    broken = random_latent(MODEL)
    broken.samples[0, 0] = math.nan
    with pytest.raises(FaceLatentsError, match="not numbers"):
        run("FaceLatentsAddDirection", face_latent=broken, direction=SMILE, strength=1.0)
    vector = torch.full_like(SMILE.vector, math.inf)
    with pytest.raises(FaceLatentsError, match=r"'bent'.*not numbers"):
        run(
            "FaceLatentsAddDirection",
            face_latent=random_latent(MODEL),
            direction=Direction(vector, MODEL.space, "bent"),
            strength=1.0,
        )


def test_remove_feature_projects_out_what_is_there_and_keeps_the_rest():
    latent = random_latent(MODEL, 4)
    clean = run(
        "FaceLatentsRemoveFeature",
        face_latent=latent,
        feature=SMILE,
        strength=1.0,
        mode="project out",
    )[0]
    assert coefficient(clean, SMILE).abs().max() < 1e-6
    change = clean.samples - latent.samples
    cosine = torch.cosine_similarity(change, SMILE.vector.expand_as(change)).abs()
    torch.testing.assert_close(cosine, torch.ones(4), atol=1e-5, rtol=0)
    subtracted = run(
        "FaceLatentsRemoveFeature", face_latent=latent, feature=SMILE, strength=2.0, mode="subtract"
    )[0]
    torch.testing.assert_close(subtracted.samples, latent.samples - 2 * SMILE.vector)


def test_set_attribute_makes_different_faces_equal_in_it():
    latent = random_latent(MODEL, 5)
    result = run("FaceLatentsSetAttribute", face_latent=latent, direction=AGE, value=1.5)[0]
    torch.testing.assert_close(
        coefficient(result, AGE), torch.full((5,), 1.5, dtype=torch.float64), atol=1e-5, rtol=0
    )


def test_zero_direction_is_refused_where_it_has_no_meaning():
    zero = Direction(torch.zeros_like(SMILE.vector), MODEL.space, "nothing")
    with pytest.raises(FaceLatentsError, match=r"Set Attribute: .*zero"):
        run(
            "FaceLatentsSetAttribute",
            face_latent=random_latent(MODEL),
            direction=zero,
            value=1.0,
        )


def test_scale_direction_reverses_with_its_safe_range():
    scaled = run("FaceLatentsScaleDirection", direction=SMILE, factor=-2.0)[0]
    torch.testing.assert_close(scaled.vector, SMILE.vector * -2)
    assert scaled.safe_range == (-1.5, 1.0)
    assert "smile" in scaled.unit
    assert SMILE.safe_range == (-2.0, 3.0)


def test_condition_direction_is_perpendicular_to_all_others():
    third = Direction(torch.randn(24), MODEL.space, "third")
    result = run(
        "FaceLatentsConditionDirection",
        direction=SMILE,
        independent_of_1=AGE,
        independent_of_3=third,
    )[0]
    for other in (AGE, third):
        assert abs(float(result.vector @ other.vector)) < 1e-4
    assert float(result.vector.norm()) == pytest.approx(float(SMILE.vector.norm()), rel=1e-5)
    assert result.name == "smile without age, third"
    with pytest.raises(FaceLatentsError, match="Condition Direction"):
        run("FaceLatentsConditionDirection", direction=SMILE, independent_of_1=SMILE)


def test_direction_between_leads_from_one_mean_to_the_other():
    start, end = random_latent(MODEL, 3, seed=1), random_latent(MODEL, 5, seed=2)
    direction = run(
        "FaceLatentsDirectionBetween", from_faces=start, to_faces=end, name="towards b"
    )[0]
    torch.testing.assert_close(direction.vector, end.samples.mean(0) - start.samples.mean(0))
    assert direction.name == "towards b"
    with pytest.raises(FaceLatentsError, match="same mean"):
        run("FaceLatentsDirectionBetween", from_faces=start, to_faces=start, name="x")


def test_batches_of_faces_and_directions():
    batch = Direction(torch.randn(3, 24), MODEL.space, "three")
    one, three, two = (random_latent(MODEL, count) for count in (1, 3, 2))
    for latent in (one, three):
        moved = run("FaceLatentsAddDirection", face_latent=latent, direction=batch, strength=2.0)
        torch.testing.assert_close(moved[0].samples, latent.samples + 2 * batch.vector)
    with pytest.raises(FaceLatentsError, match=r"3 directions.*2 faces"):
        run("FaceLatentsAddDirection", face_latent=two, direction=batch, strength=1.0)


def test_inputs_are_never_changed():
    latent = join_latents([encode(MODEL, photos(2)), random_latent(MODEL)])
    before = latent.samples.clone(), SMILE.vector.clone(), AGE.vector.clone()
    photo = latent.contexts[0].photo.clone()
    run("FaceLatentsAddDirection", face_latent=latent, direction=SMILE, strength=3.0)
    run("FaceLatentsSetAttribute", face_latent=latent, direction=SMILE, value=3.0)
    run("FaceLatentsRemoveFeature", face_latent=latent, feature=AGE, strength=1.0, mode="subtract")
    run("FaceLatentsScaleDirection", direction=SMILE, factor=0.0)
    run("FaceLatentsConditionDirection", direction=SMILE, independent_of_1=AGE)
    run("FaceLatentsMorph", face_latent=latent, frames=5, path="spline", loop=True)
    run("FaceLatentsMean", face_latent=latent, weights="", mode="LOL")
    run("FaceLatentsDistanceMatrix", face_latent=latent, metric="angle")
    assert torch.equal(latent.samples, before[0])
    assert torch.equal(SMILE.vector, before[1])
    assert torch.equal(AGE.vector, before[2])
    assert torch.equal(latent.contexts[0].photo, photo)

"""Lerp, Slerp, Morph, Mean Face, Join, Select, and the measuring nodes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.space import LatentSpace
from face_latents.models.values import FaceLatent, join_latents
from face_latents.nodes import host
from face_latents.nodes.measure import distance as measure
from nodes_support import (
    CODES,
    encode,
    landmarks_for,
    photos,
    random_latent,
    run,
    tiny_model,
)
from PIL import Image

MODEL = tiny_model()

blends = pytest.mark.parametrize("node", ["FaceLatentsLerp", "FaceLatentsSlerp"])


@blends
def test_ends_are_exact_and_the_middle_is_between(node):
    a, b = random_latent(MODEL, 2, seed=1), random_latent(MODEL, 2, seed=2)
    assert torch.equal(run(node, a=a, b=b, t=0.0)[0].samples, a.samples)
    assert torch.equal(run(node, a=a, b=b, t=1.0)[0].samples, b.samples)
    middle = run(node, a=a, b=b, t=0.5)[0].samples
    torch.testing.assert_close(
        (middle - a.samples).norm(dim=1), (middle - b.samples).norm(dim=1), rtol=0.2, atol=0
    )


def test_slerp_keeps_the_norm_that_lerp_loses():
    a, b = random_latent(MODEL, 8, seed=1), random_latent(MODEL, 8, seed=2)
    ends = (a.samples.norm(dim=1) + b.samples.norm(dim=1)) / 2
    slerp = run("FaceLatentsSlerp", a=a, b=b, t=0.5)[0].samples.norm(dim=1)
    lerp = run("FaceLatentsLerp", a=a, b=b, t=0.5)[0].samples.norm(dim=1)
    torch.testing.assert_close(slerp, ends)
    assert (lerp < 0.95 * ends).all()


@blends
def test_one_face_against_many_and_batches_that_do_not_fit(node):
    one, three = random_latent(MODEL, 1, seed=1), random_latent(MODEL, 3, seed=2)
    assert len(run(node, a=one, b=three, t=0.3)[0]) == 3
    assert len(run(node, a=three, b=one, t=0.3)[0]) == 3
    with pytest.raises(FaceLatentsError, match="a holds 3 faces and b 2"):
        run(node, a=three, b=random_latent(MODEL, 2), t=0.3)


@blends
def test_result_belongs_to_the_photo_of_a_or_else_of_b(node):
    a, b = encode(MODEL, photos(1)), encode(MODEL, photos(2))
    assert run(node, a=a, b=b, t=0.5)[0].contexts == a.contexts * 2
    free = random_latent(MODEL)
    assert run(node, a=free, b=b, t=0.5)[0].contexts == b.contexts


@blends
def test_t_that_is_no_number_and_other_models_are_refused(node):
    a = random_latent(MODEL)
    with pytest.raises(FaceLatentsError, match="'t' is nan"):
        run(node, a=a, b=a, t=math.nan)
    with pytest.raises(SpaceMismatchError, match=r"inputs a and b.*a{16}.*b{16}"):
        run(node, a=a, b=random_latent(tiny_model("b" * 16)), t=0.5)


def test_slerp_in_w_turns_around_the_mean():
    mean = torch.full((CODES,), 10.0)
    space = LatentSpace("w", (CODES,), "w" * 16, mean, torch.ones(CODES))
    offsets = torch.randn(2, CODES, generator=torch.Generator().manual_seed(0))
    a, b = (FaceLatent((mean + offset)[None], space) for offset in offsets)
    middle = run("FaceLatentsSlerp", a=a, b=b, t=0.5)[0].samples - mean
    assert float(middle.norm()) == pytest.approx(float(offsets.norm(dim=1).mean()), rel=1e-4)


@pytest.mark.parametrize("path", ["slerp", "lerp", "spline"])
@pytest.mark.parametrize("loop", [False, True])
def test_morph_passes_through_its_keyframes(path, loop):
    keyframes = random_latent(MODEL, 3)
    frames = run("FaceLatentsMorph", face_latent=keyframes, frames=13, path=path, loop=loop)[0]
    assert len(frames) == 13
    for code in keyframes.samples:
        assert (frames.samples - code).norm(dim=1).min() < 1e-5
    assert torch.equal(frames.samples[0], keyframes.samples[0])
    if not loop:
        assert torch.equal(frames.samples[-1], keyframes.samples[-1])


def test_morph_needs_keyframes_and_room_for_them():
    with pytest.raises(FaceLatentsError, match="at least two faces"):
        run("FaceLatentsMorph", face_latent=random_latent(MODEL), frames=5, path="lerp", loop=False)
    four = random_latent(MODEL, 4)
    with pytest.raises(FaceLatentsError, match="Set frames to 4"):
        run("FaceLatentsMorph", face_latent=four, frames=3, path="lerp", loop=False)
    with pytest.raises(FaceLatentsError, match="between 1 and 4096"):
        run("FaceLatentsMorph", face_latent=four, frames=10**9, path="lerp", loop=False)


def test_mean_with_weights():
    latent = encode(MODEL, photos(3))
    mean = run("FaceLatentsMean", face_latent=latent, weights="", mode="arithmetic")[0]
    torch.testing.assert_close(mean.samples[0], latent.samples.mean(0))
    assert mean.contexts == latent.contexts[:1]
    weighted = run("FaceLatentsMean", face_latent=latent, weights="2, 1;1", mode="arithmetic")[0]
    expected = (2 * latent.samples[0] + latent.samples[1] + latent.samples[2]) / 4
    torch.testing.assert_close(weighted.samples[0], expected)


def test_lol_mean_keeps_the_length_of_gaussian_codes():
    latent = random_latent(MODEL, 16)
    norm = latent.samples.norm(dim=1).mean()
    lol = run("FaceLatentsMean", face_latent=latent, weights="", mode="LOL")[0].samples.norm()
    plain = run("FaceLatentsMean", face_latent=latent, weights="", mode="arithmetic")[0]
    assert plain.samples.norm() < 0.5 * norm
    assert 0.6 * norm < lol < 1.5 * norm


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("1, 2", "2 weights for 3 face"),
        ("1, x, 2", "must be numbers"),
        ("1, nan, 2", "finite"),
        ("0 0 0", "Mean Face"),
        ("1, -1, 0", "add up to 0"),
    ],
)
def test_weights_that_make_no_mean(weights, message):
    with pytest.raises(FaceLatentsError, match=message):
        run(
            "FaceLatentsMean",
            face_latent=random_latent(MODEL, 3),
            weights=weights,
            mode="arithmetic",
        )


def test_join_and_select():
    a, b = encode(MODEL, photos(2)), random_latent(MODEL)
    joined = run("FaceLatentsJoin", a=a, b=b, d=a)[0]
    assert len(joined) == 5
    assert joined.contexts == (*a.contexts, None, *a.contexts)
    for index in (0, 2, -1, -5):
        chosen = run("FaceLatentsSelect", face_latent=joined, index=index)[0]
        assert torch.equal(chosen.samples, joined.samples[index][None])
        assert chosen.contexts == (joined.contexts[index],)
    for index in (5, -6):
        with pytest.raises(FaceLatentsError, match="numbered 0 to 4"):
            run("FaceLatentsSelect", face_latent=joined, index=index)
    with pytest.raises(SpaceMismatchError, match="inputs a and c"):
        run("FaceLatentsJoin", a=a, b=b, c=random_latent(tiny_model("b" * 16)))
    with pytest.raises(FaceLatentsError, match="'b' needs a face latent"):
        run("FaceLatentsJoin", a=a, b=None)


def test_distance_of_pairs_and_of_one_against_many():
    a, b = random_latent(MODEL, 3, seed=1), random_latent(MODEL, 3, seed=2)
    value, text = run("FaceLatentsDistance", a=a, b=b, metric="euclidean")
    expected = (a.samples - b.samples).norm(dim=1)
    assert value == pytest.approx(float(expected.mean()), rel=1e-6)
    assert [float(line) for line in text.splitlines()] == pytest.approx(expected.tolist(), abs=1e-4)
    assert run("FaceLatentsDistance", a=a, b=a, metric="cosine")[0] == 0
    assert isinstance(value, float)
    one = run("FaceLatentsSelect", face_latent=a, index=0)[0]
    assert len(run("FaceLatentsDistance", a=one, b=b, metric="angle")[1].splitlines()) == 3


def test_whitened_distance_needs_a_spread():
    space = LatentSpace("z", (CODES,), "n" * 16)
    latent = FaceLatent(torch.randn(2, CODES), space)
    for node, inputs in (
        ("FaceLatentsDistance", {"a": latent, "b": latent}),
        ("FaceLatentsDistanceMatrix", {"face_latent": latent}),
    ):
        with pytest.raises(FaceLatentsError, match="Choose euclidean or rms"):
            run(node, metric="whitened", **inputs)
    assert (
        run(
            "FaceLatentsDistance", a=random_latent(MODEL), b=random_latent(MODEL), metric="whitened"
        )[0]
        == 0
    )


def test_distance_matrix_is_drawn_and_previewed(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path / "temp")
    latent = join_latents([encode(MODEL, photos(2)), random_latent(MODEL)])
    node = NODE_CLASS_MAPPINGS["FaceLatentsDistanceMatrix"]()
    result = node.execute(face_latent=latent, metric="euclidean")
    image, text = result["result"]
    assert image.ndim == 4
    assert image.shape[0] == 1
    assert image.shape[-1] == 3
    assert 300 < min(image.shape[1:3]) <= max(image.shape[1:3]) <= 1100
    matrix = [[float(x) for x in line.split(",")] for line in text.splitlines()]
    expected = torch.cdist(latent.samples, latent.samples)
    torch.testing.assert_close(torch.tensor(matrix), expected, atol=1e-3, rtol=0)
    (preview,) = result["ui"]["images"]
    assert preview["type"] == "temp"
    assert (Path(tmp_path) / "temp" / preview["filename"]).is_file()
    assert torch.equal(node.execute(face_latent=latent, metric="euclidean")["result"][0], image)


def test_distance_matrix_shows_faces_only_where_they_are_true(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path)
    shown = []
    monkeypatch.setattr(
        measure,
        "matrix_chart",
        lambda *_, row_pictures, **more: shown.append(row_pictures) or Image.new("RGB", (4, 4)),
    )
    latent, aligned = run(
        "FaceLatentsEncode",
        image=photos(),
        face_model=MODEL,
        faces="all",
        index=0,
        min_score=0.5,
        face_landmarks=landmarks_for(photos()),
    )
    smile = MODEL.directions["smile"]
    edited = run("FaceLatentsAddDirection", face_latent=latent, direction=smile, strength=1.0)[0]
    both = join_latents([latent, edited, random_latent(MODEL)])
    run("FaceLatentsDistanceMatrix", face_latent=both, metric="rms")
    run("FaceLatentsDistanceMatrix", face_latent=both, metric="rms", face_model=MODEL)
    (photo, *others), decoded = shown
    assert torch.equal(photo, aligned[0].permute(2, 0, 1))
    assert others == [None, None]
    torch.testing.assert_close(torch.stack(decoded), MODEL.decode(both.samples))


@pytest.mark.parametrize("count", [1, 2, 40, 64])
def test_distance_matrix_of_few_and_many(count, monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path)
    image, text = run(
        "FaceLatentsDistanceMatrix", face_latent=random_latent(MODEL, count), metric="angle"
    )
    assert max(image.shape[1:3]) <= 1100
    assert len(text.splitlines()) == count


def test_distance_matrix_of_too_many(monkeypatch, tmp_path):
    monkeypatch.setattr(host.stand_alone, "temp", tmp_path)
    with pytest.raises(FaceLatentsError, match="up to 64 faces; this batch has 65"):
        run("FaceLatentsDistanceMatrix", face_latent=random_latent(MODEL, 65), metric="rms")

"""Layers of codes: named by words and numbers, moved alone, mixed between faces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.models.errors import FaceLatentsError, SpaceMismatchError
from face_latents.models.files.values import load_direction, save_direction
from face_latents.models.layers import choose_layers, keep_layers, lift_direction, parse_layers
from face_latents.models.space import LatentSpace
from face_latents.models.values import Direction, FaceLatent
from face_latents.nodes import host
from nodes_support import random_latent, run, tiny_model

LAYERS, SIZE = 10, 6
W_PLUS = LatentSpace("w_plus", (LAYERS, SIZE), "c" * 16, torch.zeros(LAYERS, SIZE))
W = LatentSpace("w", (SIZE,), "c" * 16)


def latent(count: int = 1, seed: int = 0) -> FaceLatent:
    generator = torch.Generator().manual_seed(seed)
    return FaceLatent(torch.randn(count, LAYERS, SIZE, generator=generator), W_PLUS)


def w_direction(space: LatentSpace = W) -> Direction:
    return Direction(torch.arange(1.0, SIZE + 1), space, "older", unit="a year")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", range(10)),
        ("", range(10)),
        ("coarse", [0, 1, 2, 3]),
        (" Middle ", [4, 5, 6, 7]),
        ("fine", [8, 9]),
        ("3", [3]),
        ("0-3", [0, 1, 2, 3]),
        ("7-", [7, 8, 9]),
        ("4-5, 9; 0", [0, 4, 5, 9]),
        ("fine coarse 8-9", [0, 1, 2, 3, 8, 9]),
    ],
)
def test_layers_are_named_by_words_and_numbers(text, expected):
    assert parse_layers(text, 10) == tuple(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10", r"layers 0 to 9, so there is no layer 10"),
        ("2-10", "no layer 10"),
        ("5-2", "backwards"),
        ("-3", "'-3' is no layer"),
        ("hair", r"'hair' is no layer.*coarse"),
        ("1.5", "no layer"),
        ("99999999999999999999", "no layer"),
        ("1--2", "no layer"),
    ],
)
def test_what_is_no_layer_is_refused(text, words):
    with pytest.raises(FaceLatentsError, match=words):
        parse_layers(text, 10)


def test_groups_end_where_a_small_model_ends():
    assert parse_layers("middle", 6) == (4, 5)
    assert parse_layers("fine", 18) == tuple(range(8, 18))
    with pytest.raises(FaceLatentsError, match="none is 'fine'"):
        parse_layers("fine", 8)


def test_only_codes_of_layers_have_layers():
    plain = tiny_model().space
    assert choose_layers("all", plain) is None
    assert choose_layers("0-9", W_PLUS) is None  # all of them
    assert choose_layers("1", W_PLUS) == (1,)
    with pytest.raises(FaceLatentsError, match="have no layers"):
        choose_layers("coarse", plain)


def test_directions_of_w_move_every_layer_alike():
    there = lift_direction(w_direction(), W_PLUS)
    assert there.space is W_PLUS
    assert there.vector.shape == (LAYERS, SIZE)
    assert torch.equal(there.vector[0], there.vector[-1])
    batch = Direction(torch.randn(3, SIZE), W, "three")
    assert torch.equal(lift_direction(batch, W_PLUS).vector[:, 4], batch.vector)
    other = w_direction(LatentSpace("w", (SIZE,), "d" * 16))
    assert lift_direction(other, W_PLUS) is other
    assert lift_direction(there, W_PLUS) is there
    assert lift_direction(w_direction(), tiny_model().space).space is W


def test_only_layers_leaves_the_given_vector_alone():
    vector = torch.ones(2, LAYERS, SIZE)
    kept = keep_layers(vector, (0, 9))
    assert kept.sum(dim=(0, 2)).tolist() == [12.0, *[0.0] * 8, 12.0]
    assert vector.min() == 1


# --- nodes


@pytest.mark.parametrize("layers", ["all", "coarse", "2, 8-"])
def test_add_direction_moves_the_named_layers_only(layers):
    faces, direction = latent(3), w_direction()
    moved = run(
        "FaceLatentsAddDirection",
        face_latent=faces,
        direction=direction,
        strength=-1.5,
        layers=layers,
    )[0]
    chosen = list(parse_layers(layers, LAYERS))
    others = [layer for layer in range(LAYERS) if layer not in chosen]
    assert torch.equal(moved.samples[:, others], faces.samples[:, others])
    torch.testing.assert_close(
        moved.samples[:, chosen], faces.samples[:, chosen] - 1.5 * direction.vector
    )
    assert moved.space is W_PLUS


def test_add_direction_without_the_layers_input_moves_all_as_before():
    faces, direction = latent(), w_direction()
    inputs = {"face_latent": faces, "direction": direction, "strength": 2.0}
    saved, named = (
        run("FaceLatentsAddDirection", **inputs, **more)[0] for more in ({}, {"layers": "all"})
    )
    assert torch.equal(saved.samples, named.samples)
    zero = run("FaceLatentsAddDirection", **{**inputs, "strength": 0.0}, layers="fine")[0]
    assert torch.equal(zero.samples, faces.samples)


def test_add_direction_names_itself_when_layers_are_wrong():
    model = tiny_model()
    with pytest.raises(FaceLatentsError, match=r"^Add Direction: layers 'fine'.*have no layers"):
        run(
            "FaceLatentsAddDirection",
            face_latent=random_latent(model),
            direction=model.directions["smile"],
            strength=1.0,
            layers="fine",
        )
    with pytest.raises(FaceLatentsError, match="'layers' needs a text"):
        run(
            "FaceLatentsAddDirection",
            face_latent=latent(),
            direction=w_direction(),
            strength=1.0,
            layers=3,
        )
    with pytest.raises(SpaceMismatchError, match=r"'older'.*c{16}.*d{16}"):
        run(
            "FaceLatentsAddDirection",
            face_latent=latent(),
            direction=w_direction(LatentSpace("w", (SIZE,), "d" * 16)),
            strength=1.0,
        )


def test_a_w_direction_works_in_every_node_that_takes_one():
    faces, older = latent(2), w_direction()
    aged = run("FaceLatentsSetAttribute", face_latent=faces, direction=older, value=1.0)[0]
    flat = lift_direction(older, W_PLUS).vector.flatten()
    torch.testing.assert_close(
        aged.samples.flatten(1) @ flat / (flat @ flat), torch.ones(2), atol=1e-5, rtol=0
    )
    coarse = Direction(
        keep_layers(lift_direction(older, W_PLUS).vector, (0, 1)), W_PLUS, "coarse age"
    )
    clean = run("FaceLatentsConditionDirection", direction=coarse, independent_of_1=older)[0]
    assert abs(float(clean.vector.flatten() @ flat)) < 1e-4


def test_a_saved_w_direction_loads_for_the_model_of_its_space(tmp_path, monkeypatch):
    monkeypatch.setattr(host.stand_alone, "models", tmp_path)
    path = tmp_path / "directions" / "older.safetensors"
    path.parent.mkdir()
    save_direction(path, w_direction())
    assert load_direction(path).vector.shape == (SIZE,)
    model = tiny_model()
    layered = replace(model, space=W_PLUS, spaces={}, directions={}, name="layered")
    loaded = run(
        "FaceLatentsLoadDirection", face_model=layered, direction="directions/older.safetensors"
    )[0]
    assert loaded.vector.shape == (LAYERS, SIZE)
    with pytest.raises(SpaceMismatchError):
        run("FaceLatentsLoadDirection", face_model=model, direction="directions/older.safetensors")


@pytest.mark.parametrize("layers", ["coarse", "fine", "1, 4-5"])
def test_style_mix_takes_whole_layers_over(layers):
    a, b = latent(2, seed=1), latent(2, seed=2)
    mixed = run("FaceLatentsStyleMix", a=a, b=b, layers=layers, amount=1.0)[0]
    chosen = parse_layers(layers, LAYERS)
    for layer in range(LAYERS):
        source = b if layer in chosen else a
        assert torch.equal(mixed.samples[:, layer], source.samples[:, layer]), layer
    half = run("FaceLatentsStyleMix", a=a, b=b, layers=layers, amount=0.5)[0]
    torch.testing.assert_close(half.samples, (a.samples + mixed.samples) / 2)
    none = run("FaceLatentsStyleMix", a=a, b=b, layers=layers, amount=0.0)[0]
    assert torch.equal(none.samples, a.samples)


def test_style_mix_of_all_layers_is_b_and_batches_meet_one_face():
    one, three = latent(1, seed=1), latent(3, seed=2)
    before = one.samples.clone(), three.samples.clone()
    all_of_b = run("FaceLatentsStyleMix", a=one, b=three, layers="all", amount=1.0)[0]
    assert torch.equal(all_of_b.samples, three.samples)
    mixed = run("FaceLatentsStyleMix", a=three, b=one, layers="0", amount=1.0)[0]
    assert torch.equal(mixed.samples[:, 0], one.samples[:, 0].expand(3, SIZE))
    assert torch.equal(one.samples, before[0])
    assert torch.equal(three.samples, before[1])


def test_style_mix_refuses_what_cannot_be_mixed():
    model = tiny_model()
    plain = random_latent(model)
    with pytest.raises(FaceLatentsError, match=r"Style Mix: .*no layers to mix.*Lerp"):
        run("FaceLatentsStyleMix", a=plain, b=plain, layers="all", amount=1.0)
    with pytest.raises(SpaceMismatchError, match="Style Mix"):
        run("FaceLatentsStyleMix", a=latent(), b=plain, layers="all", amount=1.0)
    with pytest.raises(FaceLatentsError, match=r"^Style Mix: layers '12'"):
        run("FaceLatentsStyleMix", a=latent(), b=latent(), layers="12", amount=1.0)

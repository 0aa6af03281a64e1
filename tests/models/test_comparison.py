"""Distances of parts of codes: pose, shape, appearance, and what tells people apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from face_latents.latent_ops import distance
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model.comparison import PARTS, compare_part, select_part
from face_latents.models.values import Direction, FaceLatent
from face_support import COUNT, SHAPES, face_model_of, random_codes, small_net
from nodes_support import random_latent, run, tiny_model

NET = face_model_of(small_net())
LIGHT = torch.eye(COUNT)[-1]
MODEL = replace(NET, directions={"light": Direction(LIGHT, NET.space, "light", group="light")})
CODES = random_codes(4)


def apart(part: str, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return compare_part(MODEL, part, a, b, lambda x, y: distance(x, y))


def test_each_part_sees_its_own_numbers() -> None:
    moved = {"pose": 0, "shape": 6, "appearance": 6 + SHAPES}
    for changed, place in moved.items():
        other = CODES.clone()
        other[:, place] += 2
        for part in moved:
            wanted = 2.0 if part == changed else 0.0
            torch.testing.assert_close(apart(part, CODES, other), torch.full((4,), wanted))
        torch.testing.assert_close(apart("all", CODES, other), torch.full((4,), 2.0))


def test_pose_light_and_mirroring_make_no_other_person() -> None:
    mirror = MODEL.capabilities.mirror
    assert mirror is not None
    other = mirror(CODES) + 3 * LIGHT
    other[:, :6] += 1
    torch.testing.assert_close(apart("identity", CODES, other), torch.zeros(4), atol=1e-5, rtol=0)
    strangers = apart("identity", CODES, random_codes(4, seed=9))
    assert strangers.min() > 1
    assert apart("all", CODES, mirror(CODES)).min() > 1


def test_a_model_without_parts_is_told() -> None:
    model, codes = tiny_model(), random_latent(tiny_model(), 2).samples
    assert torch.equal(select_part(model, "all", codes), codes)
    for part in PARTS[1:]:
        with pytest.raises(FaceLatentsError, match=f"part '{part}'"):
            select_part(model, part, codes)


def test_nodes_compare_parts() -> None:
    latent = FaceLatent(CODES, MODEL.space)
    mirror = MODEL.capabilities.mirror
    assert mirror is not None
    other = FaceLatent(mirror(CODES), MODEL.space)
    inputs = {"a": latent, "b": other, "metric": "euclidean"}
    assert run("FaceLatentsDistance", **inputs)[0] > 1
    number, text = run("FaceLatentsDistance", face_model=MODEL, part="identity", **inputs)
    assert number == pytest.approx(0, abs=1e-5)
    assert text.splitlines() == ["0.0000"] * 4
    whitened = run(
        "FaceLatentsDistance", face_model=MODEL, part="pose", **inputs | {"metric": "whitened"}
    )
    plain = run("FaceLatentsDistance", face_model=MODEL, part="pose", **inputs)
    assert whitened[0] == pytest.approx(plain[0], rel=1e-5)
    with pytest.raises(FaceLatentsError, match="connect their face_model"):
        run("FaceLatentsDistance", part="identity", **inputs)

    batch = FaceLatent(torch.cat([CODES[:2], mirror(CODES[:2])]), MODEL.space)
    settings = {"face_latent": batch, "metric": "euclidean", "face_model": MODEL, "theme": "dark"}
    _, table = run("FaceLatentsDistanceMatrix", part="identity", **settings)
    rows = torch.tensor([[float(cell) for cell in row.split(",")] for row in table.splitlines()])
    assert torch.equal(rows, rows.T)
    assert rows[0, 2] == rows[1, 3] == rows[0, 0] == 0
    assert rows[0, 1] > 1
    _, whole = run("FaceLatentsDistanceMatrix", part="all", **settings)
    assert whole == run("FaceLatentsDistanceMatrix", **settings)[1]
    assert whole != table

"""Figures of what is read off codes, on codes that were made up."""

from __future__ import annotations

from dataclasses import replace

import torch
from face_latents.lab.evaluation.codes import measure_ages, measure_distances
from face_latents.models.face_model.comparison import PARTS
from face_latents.models.values import Direction, Reading
from face_support import COUNT, face_model_of, random_codes, small_net

MODEL = face_model_of(small_net())


def test_people_are_told_from_strangers_by_what_does_not_change() -> None:
    people, mirror = random_codes(8), MODEL.capabilities.mirror
    assert mirror is not None
    turned = people.clone()
    turned[:, :6] += 5 * random_codes(8, seed=2)[:, :6]
    everyday = random_codes(12, seed=3)
    figures = measure_distances(MODEL, people, turned, everyday, mirror(everyday[:5]))
    assert set(figures) == {f"{part}_{m}" for part in PARTS for m in ("euclidean", "cosine")}
    identity, whole, pose = (figures[f"{p}_euclidean"] for p in ("identity", "all", "pose"))
    assert identity["same"] == 0
    assert identity["recognised"] == 1
    assert identity["mirror"] < 1e-3
    assert identity["mirror_nearest"] == 1
    assert identity["strangers"] > 1
    assert identity["strangers"] >= identity["strangers_p1"]
    assert identity["everyday"] > 1
    assert whole["mirror"] > 1
    assert whole["same"] > 1
    assert pose["recognised"] < 0.9


def test_ages_are_compared_in_years() -> None:
    assert measure_ages(MODEL, random_codes(4), torch.zeros(4)) == {}
    weights = torch.ones(COUNT)
    age = Direction(
        2 * weights / COUNT, MODEL.space, "age", reading=Reading(weights, 40.0, "years")
    )
    model, codes = replace(MODEL, directions={"age": age}), random_codes(50)
    figures = measure_ages(model, codes, 2 * codes.sum(1) + 40)
    assert figures["slope"] == 0.5
    assert figures["years_per_strength"] == 2
    assert figures["error_years"] < figures["error_of_mean"]

"""How long a step with one face takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from ....models.face_model import FaceModel

ROUNDS = 30


def measure_speed(model: FaceModel) -> dict[str, float | int | str]:
    """Median milliseconds for one face: a slider step (add a direction, decode), and encode + add +
    decode.

    `slider_ms` and `roundtrip_ms` are in the faster of float32 and bfloat16, which `precision`
    names; the figures of both stand beside them. Both alternate, so a busy machine slows both.
    """
    size = model.template.size
    crop = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    code, vector = model.encode(crop), next(iter(model.directions.values())).vector
    precision = model.capabilities.precision
    given = None if precision is None else precision.dtype
    kinds = {"float32": torch.float32}
    if precision is not None:
        kinds["bfloat16"] = torch.bfloat16
    steps = {
        "slider": lambda: model.decode(code + 0.5 * vector),
        "roundtrip": lambda: model.decode(model.encode(crop) + 0.5 * vector),
    }
    times: dict[str, list[float]] = {f"{s}_ms_{k}": [] for s in steps for k in kinds}
    try:
        with torch.inference_mode():
            for turn in range(ROUNDS + 2):
                for kind, dtype in kinds.items():
                    if precision is not None:
                        precision.dtype = dtype
                    for name, step in steps.items():
                        spent = _milliseconds(step)
                        if turn >= 2:  # the first ones warm up
                            times[f"{name}_ms_{kind}"].append(spent)
    finally:
        if precision is not None and given is not None:
            precision.dtype = given
    medians = {name: round(statistics.median(values), 2) for name, values in times.items()}
    best = min(kinds, key=lambda kind: medians[f"slider_ms_{kind}"])
    return {
        "slider_ms": medians[f"slider_ms_{best}"],
        "roundtrip_ms": medians[f"roundtrip_ms_{best}"],
        "precision": best,
        "threads": torch.get_num_threads(),
        **medians,
    }


def _milliseconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return 1000 * (time.perf_counter() - began)

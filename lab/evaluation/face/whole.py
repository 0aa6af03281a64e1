"""Everything that is measured of the face model, its finder and Paste Back, in one dictionary."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ....models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ..finder.figures import FinderEvaluation, evaluate_finder
from ..paste import PasteEvaluation, evaluate_paste
from .figures import FaceEvaluation, evaluate_face

ROUNDS = 30


def evaluate_whole(
    data_dir: str | Path,
    settings: FaceEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure reconstruction and edits, the finder, Paste Back and speed.

    Args:
        data_dir: folder with `faces` (table and zips); the finder also needs `portraits_context`,
            Paste Back needs `portraits`. What has no data is left out, and named in `left_out`.
        settings: see there.
        model: None takes the bundled one.
        progress: called with (stage, done, total).

    Returns:
        The keys `recon`, `edits`, `groups`, `weights_mb`, `finder`, `paste`, `speed`.

    Raises:
        FaceLatentsError: the faces are not there.
    """
    data_dir = Path(data_dir)
    model = model or load_face_model(bundled_face_model_path())
    wanted = {part.strip() for part in settings.parts.split(",")}
    result: dict[str, object] = {}
    left_out: dict[str, str] = {}
    if "recon" in wanted:
        result |= evaluate_face(data_dir, settings, model=model, progress=progress)
    if "finder" in wanted:
        if (data_dir / "faces").is_dir() and (data_dir / "portraits_context").is_dir():
            progress("finder", 0, 1)
            result["finder"] = evaluate_finder(data_dir, FinderEvaluation())
        else:
            left_out["finder"] = "needs the folders faces and portraits_context"
    if "paste" in wanted:
        if (data_dir / "portraits").is_dir():
            pasting = PasteEvaluation(out_dir=settings.out_dir)
            result |= evaluate_paste(
                data_dir / "portraits", pasting, model=model, progress=progress
            )
        else:
            left_out["paste"] = "needs the folder portraits"
    if "speed" in wanted:
        progress("speed", 0, 1)
        result["speed"] = measure_speed(model)
    if left_out:
        result["left_out"] = left_out
    return result


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
                        began = time.perf_counter()
                        step()
                        if turn >= 2:  # the first ones warm up
                            spent = time.perf_counter() - began
                            times[f"{name}_ms_{kind}"].append(1000 * spent)
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

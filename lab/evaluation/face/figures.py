"""Evaluating a face model on faces it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....models.charts import picture_grid
from ....models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ....models.judge import age_group, load_judge, read
from ...data.faces import AGE_BINS, FaceSet, load_faces
from ...measures import psnr, sharpness
from .edits import evaluate_edits, share
from .recogniser import load_recogniser
from .subjects import BATCH, Subjects, decode

PARTS = ("recon", "finder", "paste", "speed")
_AGREEING = ("smile", "gender_expression", "age")


@dataclass(frozen=True)
class FaceEvaluation:
    """What is measured of a face model, and on what."""

    parts: Annotated[str, "recon measures edits and groups too"] = ",".join(PARTS)
    recogniser: Annotated[str | None, "MODULE:FUNCTION from crops to embeddings"] = None
    split: Annotated[str, "rows of the table to use"] = "val"
    edit_faces: Annotated[int, "how many faces are edited; all are reconstructed"] = 250
    out_dir: Annotated[Path | None, "folder for pictures"] = None
    cache_dir: Annotated[Path | None, "keeps the aligned crops for the next run"] = None


def evaluate_face(
    data_dir: str | Path,
    settings: FaceEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure reconstruction and edits.

    Args:
        data_dir: folder of `metadata.csv` and the face zips.
        settings: see there; `out_dir` gets `reconstruction.png` and an `edit_NAME.png` each.
        model: None takes the bundled one.
        progress: called with (stage, done, total).

    Returns:
        The keys `recon`, `edits`, `groups` and `weights_mb`; see the project's evaluation notes.
    """
    model = model or load_face_model(bundled_face_model_path())
    judge, recogniser = load_judge(), load_recogniser(settings.recogniser)
    faces = load_faces(
        data_dir,
        settings.split,
        template=model.template,
        cache_dir=settings.cache_dir,
        progress=progress,
    )
    with torch.no_grad():
        crops = faces.floats()
        codes = torch.cat([model.encode(part) for part in crops.split(BATCH)]).cpu()
        decoded = decode(model, codes)
        fidelity, clear = psnr(decoded.clamp(0, 1), crops), sharpness(decoded) / sharpness(crops)
        before, after = read(judge, crops), read(judge, decoded)
        agreement = _agreement(before, after)
        result: dict[str, object] = {
            "recon": {
                "psnr": round(float(fidelity.mean()), 2),
                "pca_psnr": _pca_psnr(model, crops),
                "sharpness_ratio": round(float(clear.median()), 3),
                "attribute_agreement": round(sum(agreement.values()) / len(agreement), 3),
                "agreement_by_attribute": {
                    name: round(same, 3) for name, same in agreement.items()
                },
            }
        }
        chosen = slice(0, settings.edit_faces)
        subjects = Subjects(
            model, crops[chosen], codes[chosen], decoded[chosen], faces.rows[chosen]
        )
        edits, succeeded = evaluate_edits(subjects, judge, recogniser, before, progress)
    result["edits"] = edits
    result["groups"] = _groups(faces, fidelity, clear, succeeded)
    weights = bundled_face_model_path().parent.glob("*.safetensors")
    result["weights_mb"] = round(sum(file.stat().st_size for file in weights) / 1e6, 2)
    if settings.out_dir is not None:
        draw_pictures(settings.out_dir, subjects)
    return result


def _agreement(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, float]:
    same = {}
    for name in _AGREEING:
        a, b = before[name], after[name]
        equal = age_group(a) == age_group(b) if name == "age" else (a > 0.5) == (b > 0.5)
        same[name] = float(equal.float().mean())
    return same


def _pca_psnr(model: FaceModel, crops: Tensor) -> float:
    """PSNR of principal components: of the model's own linear part, or the bundled model's."""
    quick = model.capabilities.quick_decode
    if quick is None:
        return _pca_psnr(load_face_model(bundled_face_model_path()), crops)
    values = [psnr(quick(model.encode(part)).clamp(0, 1), part) for part in crops.split(BATCH)]
    return round(float(torch.cat(values).mean()), 2)


def _groups(
    faces: FaceSet, fidelity: Tensor, clear: Tensor, succeeded: Tensor
) -> dict[str, dict[str, float | int | None]]:
    """Figures for each age bin and gender label; `succeeded` is that of `evaluate_edits`."""
    groups: dict[str, dict[str, float | int | None]] = {}
    for column, values in (("age_bin", AGE_BINS), ("gender", ("female", "male"))):
        for value in values:
            member = torch.tensor([row[column] == value for row in faces.rows])
            if not member.any():
                continue
            edited = member[: len(succeeded)]
            groups[f"{column}={value}"] = {
                "faces": int(member.sum()),
                "psnr": round(float(fidelity[member].mean()), 2),
                "sharpness_ratio": round(float(clear[member].median()), 3),
                "edit_success": share(succeeded[edited]) if edited.any() else None,
            }
    return groups


def draw_pictures(folder: Path, subjects: Subjects) -> None:
    """Faces and their decodes, and a sheet for every direction, a face a row."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [subjects.crops[:12], subjects.decoded[:12]]
    sheet = picture_grid(pictures, ["original", "decoded"], [], theme="light")
    sheet.save(folder / "reconstruction.png")
    for name, direction in subjects.model.directions.items():
        low, high = direction.safe_range
        strengths = [low, low / 2, 0.0, high / 2, high]
        rows = []
        for i in torch.arange(min(6, len(subjects)))[:, None]:
            changes = [strength * direction.vector for strength in strengths]
            decodes = decode(subjects.model, subjects.codes[i] + torch.stack(changes))
            rows.append(torch.cat([*(subjects.edited(i, change) for change in changes), decodes]))
        columns = [f"{kind} {s:+.1f}" for kind in ("photo", "decode") for s in strengths]
        picture_grid(rows, [], columns, theme="light").save(folder / f"edit_{name}.png")

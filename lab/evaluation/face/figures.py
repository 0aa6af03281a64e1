"""How well faces that a model was not trained on come out of its codes, and edits by groups."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ....models.charts import picture_grid
from ....models.face_model import FaceModel
from ....models.geometry.templates import AlignmentTemplate
from ....models.judge import Judge, age_group, read
from ...data.faces import AGE_BINS, FaceSet
from ...measures import psnr, sharpness
from .subjects import BATCH, Subjects, close_up, decode, median, share

_AGREEING = ("smile", "gender_expression", "age")
_SHOWN = 6  # faces of a sheet


class Reconstruction:
    """Faces, their codes and decodes, and how alike both are.

    Attributes:
        crops: `(N, 3, S, S)` in [0, 1].
        codes: `(N, *shape)`.
        decoded: `(N, 3, S, S)`.
        fidelity: PSNR of each face, `(N,)`, on what template "tight" shows.
        clear: sharpness of each decode over that of its crop, `(N,)`, there as well.
    """

    def __init__(self, model: FaceModel, faces: FaceSet) -> None:
        self.faces = faces
        self.crops = faces.floats()
        self.codes = torch.cat([model.encode(part).cpu() for part in self.crops.split(BATCH)])
        self.decoded = decode(model, self.codes)
        self.template: AlignmentTemplate = model.template
        drawn, real = (close_up(each, model.template) for each in (self.decoded, self.crops))
        self.fidelity = psnr(drawn.clamp(0, 1), real)
        self.clear = sharpness(drawn) / sharpness(real)

    def figures(self, judge: Judge) -> dict[str, object]:
        """`psnr`, `sharpness_ratio` and how often the judge reads the same."""
        before, after = (read(judge, each, self.template) for each in (self.crops, self.decoded))
        agreement = _agreement(before, after)
        return {
            "psnr": round(float(self.fidelity.mean()), 2),
            "sharpness_ratio": median(self.clear),
            "attribute_agreement": round(sum(agreement.values()) / len(agreement), 3),
            "agreement_by_attribute": {name: round(same, 3) for name, same in agreement.items()},
        }

    def groups(self, succeeded: Tensor | None) -> dict[str, dict[str, object]]:
        """Figures for each age bin and gender label; `succeeded` is that of `evaluate_edits`."""
        groups: dict[str, dict[str, object]] = {}
        for column, values in (("age_bin", AGE_BINS), ("gender", ("female", "male"))):
            for value in values:
                member = torch.tensor([row[column].lower() == value for row in self.faces.rows])
                if not member.any():
                    continue
                figures: dict[str, object] = {
                    "faces": int(member.sum()),
                    "psnr": round(float(self.fidelity[member].mean()), 2),
                    "sharpness_ratio": median(self.clear[member]),
                }
                edited = member[: 0 if succeeded is None else len(succeeded)]
                if succeeded is not None and edited.any():
                    figures["edit_success"] = share(succeeded[edited])
                groups[f"{column}={value}"] = figures
        return groups


def _agreement(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, float]:
    same = {}
    for name in _AGREEING:
        a, b = before[name], after[name]
        equal = age_group(a) == age_group(b) if name == "age" else (a > 0.5) == (b > 0.5)
        same[name] = float(equal.float().mean())
    return same


def draw_pictures(folder: Path, subjects: Subjects) -> None:
    """Faces and their decodes, and a sheet for every direction, a face a row, to its ends."""
    folder.mkdir(parents=True, exist_ok=True)
    some = subjects[:_SHOWN]
    pictures = [some.crops, decode(some.model, some.codes)]
    sheet = picture_grid(pictures, ["original", "decoded"], [], theme="light")
    sheet.save(folder / "reconstruction.png")
    for name, direction in some.model.directions.items():
        low, high = direction.safe_range
        strengths = [low, low / 2, 0.0, high / 2, high]
        columns = [
            some.edited(torch.arange(len(some)), strength * direction.vector)
            for strength in strengths
        ]
        rows = list(torch.stack(columns, 1))
        titles = [f"{strength:+.1f}" for strength in strengths]
        picture_grid(rows, [], titles, theme="light").save(folder / f"edit_{name}.png")

"""What the face table says of faces, as columns of a regression."""

from __future__ import annotations

import torch
from torch import Tensor

from ...data.canonical import CanonicalFaces
from ...data.faces import AGE_YEARS

LABELS = (
    "smile", "age", "gender", "glasses", "beard", "mouth_open", "light", "brightness", "contrast",
    "sharpness",
)  # fmt: skip
_BEARD = (0.15, 0.5)  # label at which there is none, and how much more is a full one
_LEAST = 0.02  # probability to which labels are bounded before they become log-odds


def read_labels(faces: CanonicalFaces) -> Tensor:
    """Labels `(N, 10)` in the table's own units (age in years, masculine = 1); probabilities of
    smiles and open mouths as log-odds."""

    def log_odds(name: str) -> Tensor:
        return torch.logit(faces.column(name), eps=_LEAST)

    none, full = _BEARD
    return torch.stack(
        [
            log_odds("smile"),
            torch.tensor([AGE_YEARS[row["age_bin"]] for row in faces.rows]),
            torch.tensor([float(row["gender"].lower() == "male") for row in faces.rows]),
            (faces.column("glasses") > 0.5).float(),
            ((faces.column("beard") - none) / full).clamp(0, 1),
            log_odds("mouth_open"),
            faces.column("light_left_right"),
            faces.column("brightness"),
            faces.column("contrast"),
            faces.column("sharpness_pct"),
        ],
        1,
    )

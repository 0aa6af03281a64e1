"""Labels of the face table as numbers: what the judge is trained on, and bases are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .faces import AGE_YEARS, FaceSet

BEARD_LABEL = (0.35, 0.07)  # of the table: where half of men show one, and its steepness


@dataclass(frozen=True)
class FaceLabel:
    """One attribute of the table.

    Attributes:
        column: of the table; "age" and "gender" are translated to numbers.
        parity: of a mirrored face: the same value (1), or the opposite one (-1).
    """

    column: str
    parity: int = 1


LABELS: Mapping[str, FaceLabel] = {
    "smile": FaceLabel("smile"),
    "age": FaceLabel("age"),
    "gender_expression": FaceLabel("gender"),
    "glasses": FaceLabel("glasses"),
    "beard": FaceLabel("beard"),
    "mouth_open": FaceLabel("mouth_open"),
    "light_left_right": FaceLabel("light_left_right", -1),
    "brightness": FaceLabel("brightness"),
    "head_turn": FaceLabel("yaw_proxy", -1),
}


def label_values(faces: FaceSet, name: str) -> Tensor:
    """Values `(N,)` of a label in the table's own unit (age in years, masculine = 1).

    The table's beard label is no probability: it hardly passes 0.6 even for full beards, so it is
    brought to one here.

    Raises:
        KeyError: no such label.
    """
    column = LABELS[name].column
    if column == "age":
        return torch.tensor([AGE_YEARS[row["age_bin"]] for row in faces.rows])
    if column == "gender":
        return torch.tensor([float(row["gender"].lower() == "male") for row in faces.rows])
    values = faces.column(column)
    if column == "beard":
        middle, width = BEARD_LABEL
        return torch.sigmoid((values - middle) / width)
    return values

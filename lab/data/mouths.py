"""Which mouths are open, as far as that is known.

The face table's label of it is its weak one: of 76 mouths without a smile that are seen to be open
it calls 27 so, and what lies between its extremes is no probability of being seen open. So mouths
of 2,059 faces were looked at, most of them with such a label (`mouths.csv`); elsewhere only the
label's extremes are believed.
"""

from __future__ import annotations

import csv
import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from .faces import FaceSet

# Labels below and above which they are believed: of unseen faces looked at, 2 of 57 below and 92 of
# 92 above were open.
CLOSED, OPEN = 0.05, 0.9


@cache
def _looked_at() -> dict[str, float]:
    """By name of a picture: 1 where lips, teeth or tongue were seen to part, 0 where lips were seen
    to meet, NaN where that was not clear."""
    path = Path(__file__).with_name("mouths.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return {row["name"]: float(row["open"] or math.nan) for row in csv.DictReader(file)}


def seen_mouths(faces: FaceSet) -> Tensor:
    """`(N,)`: 1 for mouths that were seen to be open, 0 for those seen to be closed, NaN for those
    that were not clear, or not looked at."""
    seen = _looked_at()
    return torch.tensor([seen.get(row.get("name", ""), math.nan) for row in faces.rows])


def open_mouths(faces: FaceSet) -> Tensor:
    """`(N,)`: 1 for open mouths, 0 for closed ones, NaN where that is not known."""
    labels = faces.column("mouth_open")
    known = torch.where(labels > OPEN, 1.0, torch.where(labels < CLOSED, 0.0, torch.nan))
    looked = torch.tensor([row.get("name", "") in _looked_at() for row in faces.rows])
    return torch.where(looked, seen_mouths(faces), known)

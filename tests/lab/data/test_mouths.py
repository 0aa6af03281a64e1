"""What is known of mouths, and that the judge learns nothing where nothing is known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from face_latents.lab.data import mouths
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.data.mouths import open_mouths, seen_mouths
from face_latents.lab.training.judge import judge_loss
from face_latents.models.judge import OUTPUTS

TABLE = Path(mouths.__file__).with_name("mouths.csv")


def faces(rows: list[tuple[str, float]]) -> FaceSet:
    """Faces of a name and a label, without pictures."""
    named = tuple({"name": name, "mouth_open": str(label)} for name, label in rows)
    return FaceSet(torch.zeros(len(rows), 3, 8, 8, dtype=torch.uint8), named)


def seen_as(value: str) -> str:
    """The first picture that was seen so."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return next(row["name"] for row in csv.DictReader(file) if row["open"] == value)


def test_the_table_says_open_closed_or_nothing_once_for_each_picture() -> None:
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["open"] for row in rows} == {"1", "0", ""}
    assert len({row["name"] for row in rows}) == len(rows) > 2000


def test_what_was_seen_counts_more_than_the_label() -> None:
    looked = [(seen_as("1"), 0.01), (seen_as("0"), 0.99), (seen_as(""), 0.99)]
    seen = seen_mouths(faces([*looked, ("unknown.webp", 0.99)]))
    assert seen[:2].tolist() == [1, 0]
    assert seen[2:].isnan().all()
    known = open_mouths(faces([*looked, ("x", 0.99), ("y", 0.01), ("z", 0.5)]))
    wanted = torch.tensor([1, 0, math.nan, 1, 0, math.nan])
    torch.testing.assert_close(known, wanted, equal_nan=True)


def test_the_judge_learns_nothing_from_what_is_not_known() -> None:
    outputs = torch.randn(4, len(OUTPUTS), generator=torch.Generator().manual_seed(0))
    outputs.requires_grad_()
    mouth = OUTPUTS.index("mouth_open")
    wanted = torch.full((4, len(OUTPUTS)), 0.5)
    wanted[:2, mouth] = math.nan
    wanted[2:, mouth] = 1
    judge_loss(outputs, wanted).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert (outputs.grad[:2, mouth] == 0).all()
    assert (outputs.grad[2:, mouth] < 0).all()

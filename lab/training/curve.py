"""The curve of a training: a table of its losses and figures, and a picture of it."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...models.charts import line_chart

_HEAD = ("stage", "step", "minutes")
_LEAST = 1e-4  # what is smaller, or negative, is drawn there: the axis is logarithmic


class Curve:
    """A CSV file with a row for every so many steps.

    Args:
        file: the table; the picture lies beside it.
        done: steps by stage; rows of later ones are dropped, they will be made again.
        drawn: columns of the picture; none: all.
    """

    def __init__(self, file: Path, done: Mapping[str, int], drawn: Sequence[str] = ()) -> None:
        self.file, self.drawn = file, drawn
        self.rows: list[dict[str, str]] = []
        if file.exists():
            with file.open(newline="", encoding="utf-8") as table:
                self.rows = [
                    row
                    for row in csv.DictReader(table)
                    if int(row["step"]) <= done.get(row["stage"], 0)
                ]

    def add(self, stage: str, step: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Add a row, and write the table anew: a stage may have columns of its own."""
        place = {"stage": stage, "step": str(step), "minutes": f"{seconds / 60:.4g}"}
        self.rows.append({**place, **{name: f"{value:.5g}" for name, value in figures.items()}})
        partial = self.file.with_name(f".{self.file.name}.part")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", newline="", encoding="utf-8") as table:
            writer = csv.DictWriter(table, list(dict.fromkeys(k for row in self.rows for k in row)))
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(partial, self.file)

    def draw(self) -> None:
        """Draw the columns over the steps of all stages, as powers of ten."""
        lengths: dict[str, int] = {}
        for row in self.rows:
            lengths[row["stage"]] = int(row["step"])
        starts = {stage: sum(list(lengths.values())[:i]) for i, stage in enumerate(lengths)}
        series: dict[str, tuple[list[float], list[float]]] = {}
        for row in self.rows:
            for name in self.drawn or [name for name in row if name not in _HEAD]:
                if row.get(name):
                    xs, ys = series.setdefault(name, ([], []))
                    xs.append(starts[row["stage"]] + int(row["step"]))
                    ys.append(math.log10(max(float(row[name]), _LEAST)))
        if series and len(self.rows) > 1:
            title = self.file.name.removesuffix(".curve.csv")
            chart = line_chart(series, title, "step", "log10", theme="light")
            chart.save(self.file.with_suffix(".png"))

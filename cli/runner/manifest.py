"""The list of a batch: which result is whose, and what failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .run import Outcome

NAME = "manifest.jsonl"


class Manifest:
    """Appends a line of JSON to `manifest.jsonl` in the output folder for each photo that is done.

    A line has the photo, its outputs (paths in the output folder), the seconds it took, the error
    or null, and the files that were read only in part.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def add(self, outcome: Outcome) -> None:
        """Write down what became of a photo."""
        folder = self.path.parent
        line = {
            "photo": str(outcome.photo),
            "outputs": [path.relative_to(folder).as_posix() for path in outcome.saved("output")],
            "seconds": round(outcome.seconds, 3),
            "error": None if outcome.error is None else str(outcome.error),
            "damaged": [str(path) for path in outcome.damaged],
        }
        folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:  # escaped: names may be no valid text
            file.write(json.dumps(line) + "\n")

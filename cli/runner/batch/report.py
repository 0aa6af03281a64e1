"""What a run says: results as they come, and at the end what failed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..outcome import Outcome
from ..prompts import label
from .manifest import line_of

_WIDEST = 40  # letters of a photo's name in the table
_DAMAGED = "damaged, a part of the picture is missing"


class Report:
    """Prints results on stdout, and failures on stderr.

    Args:
        batch: results are printed behind the photo that they are of.
        as_json: print a line of JSON for each photo instead.
    """

    def __init__(self, batch: bool, as_json: bool) -> None:
        self._batch, self._as_json = batch, as_json
        self._bad: list[tuple[Path | None, str]] = []
        self._lost: Counter[str] = Counter()
        self.done = 0

    def add(self, outcome: Outcome) -> None:
        """Print what a photo gave."""
        self.done += 1
        self._lost.update(outcome.lost)
        if outcome.error is not None:
            self._bad.append((outcome.photo, str(outcome.error)))
        self._bad += [(path, _DAMAGED) for path in outcome.damaged]
        if self._as_json:
            told = {label(outcome.prompt, key): texts for key, texts in outcome.texts().items()}
            files = [str(path) for path in outcome.saved()]
            print(json.dumps({**line_of(outcome), "files": files, "texts": told}), flush=True)
            return
        whose = f"{outcome.photo} -> " if self._batch else ""
        for key, texts in outcome.texts().items():
            for text in texts:
                print(f"{whose}{label(outcome.prompt, key)}: {text}")
        for path in outcome.saved():
            print(f"{whose}{path}", flush=True)

    def skip(self, done: Mapping[Path, Mapping[str, Any]]) -> None:
        """Take over what the manifest has of photos that are done."""
        if done:
            print(f"{len(done)} photos are done already.", file=sys.stderr)
        for line in done.values():
            self._bad += [(Path(path), _DAMAGED) for path in line.get("damaged", ())]

    def finish(self) -> int:
        """Print what failed as a table; the exit status of the run."""
        if self._lost:
            listed = ", ".join(f"{what} ({count} photos)" for what, count in self._lost.items())
            print(
                f"Save Image does not keep, as in ComfyUI: {listed}. face-latents edit does.",
                file=sys.stderr,
            )
        if self._bad:
            print(f"{len(self._bad)} photos failed or are damaged:", file=sys.stderr)
            width = min(_WIDEST, max(len(_name(photo)) for photo, _ in self._bad))
            for photo, error in self._bad:
                first, *more = error.splitlines()
                print(f"  {_name(photo):{width}}  {first}", file=sys.stderr)
                for row in more:
                    print(f"  {'':{width}}  {row}", file=sys.stderr)
        return 1 if self._bad else 0


def _name(photo: Path | None) -> str:
    return "" if photo is None else photo.name

"""The list of a batch: which result is whose, what failed, and what need not be done again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..digests import file_digest
from ..outcome import Outcome
from ..standins.save import write_whole

NAME = "manifest.jsonl"


def line_of(outcome: Outcome) -> dict[str, Any]:
    """What is said of a photo to machines."""
    return {
        "photo": None if outcome.photo is None else str(outcome.photo),
        "outputs": outcome.outputs(),
        "seconds": round(outcome.seconds, 3),
        "error": None if outcome.error is None else str(outcome.error),
        "damaged": [str(path) for path in outcome.damaged],
        "photo_sha256": outcome.digest or None,
    }


class Manifest:
    """`manifest.jsonl` in the output folder, a line of JSON for each photo that was worked on.

    A line has the photo, its outputs (paths in the output folder), the seconds it took, the error
    or null, the files that were read only in part, and SHA-256 digests of the workflow with its
    settings and of the photo.

    Args:
        folder: the output folder.
        workflow: digest of the workflow with its settings.
    """

    def __init__(self, folder: Path, workflow: str) -> None:
        self.path = folder / NAME
        self._workflow = workflow

    def add(self, outcome: Outcome) -> None:
        """Write down what became of a photo."""
        line = {**line_of(outcome), "workflow_sha256": self._workflow}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            file.seek(max(0, file.seek(0, 2) - 1))
            cut = file.read(1) not in (b"", b"\n")  # a line that a crash left unfinished
            # escaped: names may be no valid text
            file.write(f"{chr(10) if cut else ''}{json.dumps(line)}\n".encode())

    def resume(self, photos: Iterable[Path]) -> dict[Path, Mapping[str, Any]]:
        """The photos that are done, with their lines; lines of those to be done again go.

        A photo is done where a line without error has its name and digest and the digest of the
        workflow, and the outputs are there.
        """
        by_name = {photo.name: photo for photo in photos}
        kept, done = [], dict[Path, Mapping[str, Any]]()
        for line in self._read():
            photo = by_name.get(Path(line["photo"]).name)
            if photo is None or line.get("workflow_sha256") != self._workflow:
                kept.append(line)
            elif photo not in done and self._holds(line, photo):
                kept.append(line)
                done[photo] = line
        if self.path.exists():
            write_whole("".join(json.dumps(line) + "\n" for line in kept).encode(), self.path)
        return done

    def _holds(self, line: Mapping[str, Any], photo: Path) -> bool:
        return (
            line["error"] is None
            and all((self.path.parent / name).is_file() for name in line["outputs"])
            and file_digest(photo) == line["photo_sha256"]
        )

    def _read(self) -> list[dict[str, Any]]:
        """The lines; one that a crash left unfinished is none."""
        lines = []
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for row in text.splitlines():
            try:
                line = json.loads(row)
            except json.JSONDecodeError:
                continue
            if isinstance(line, dict) and {"photo", "outputs", "error"} <= line.keys():
                lines.append(line)
        return lines

"""What one pass over a workflow gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from .execute import RunResult
from .prompts import Prompt


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        photo: of this pass, None where no loader varies.
        result: what the nodes show; names of files are relative to `output`.
        prompt: with the values of this pass.
        output: the folder of the results.
        files: what was written, by the id of the node, as paths below `output`; previews lie in
            `temp`.
        error: why it failed, None where it did not.
        damaged: files that were read in part.
        lost: what the photo's file holds and the saved picture does not.
        seconds: it took.
        digest: SHA-256 of the photo's file.
    """

    photo: Path | None
    result: RunResult
    prompt: Prompt
    output: Path
    files: Mapping[str, Sequence[str]]
    error: FaceLatentsError | None = None
    damaged: tuple[Path, ...] = ()
    lost: tuple[str, ...] = ()
    seconds: float = 0.0
    digest: str = ""

    def saved(self, kind: str | None = None) -> list[Path]:
        """Files written, in order; `kind` "output" or "temp" (previews) for one of them."""
        return [path for paths in self.saved_by_node(kind).values() for path in paths]

    def saved_by_node(self, kind: str | None = None) -> dict[str, list[Path]]:
        """Files written, by the id of the node that wrote them."""
        found: dict[str, list[Path]] = {}
        for key, names in self.files.items():
            for name in names:
                if kind is None or kind == ("temp" if name.startswith("temp/") else "output"):
                    found.setdefault(key, []).append(self.output / name)
        return found

    def outputs(self) -> list[str]:
        """What was written to stay, as paths below the output folder."""
        names = (name for each in self.files.values() for name in each)
        return [name for name in names if not name.startswith("temp/")]

    def texts(self) -> dict[str, list[str]]:
        """Texts shown by nodes, by node id."""
        return {
            key: [str(item) for item in ui["text"]]
            for key, ui in self.result.ui.items()
            if ui.get("text")
        }


def files_by_node(result: RunResult, folder: Path) -> dict[str, list[str]]:
    """What nodes wrote into a folder, by their ids: files that they show or tell of."""
    written = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    found: dict[str, list[str]] = {}
    for key, ui in result.ui.items():
        names = [relative_path(item) for item in shown_files(ui)]
        told = " ".join(str(item) for items in ui.values() for item in items)
        names += [path.relative_to(folder).as_posix() for path in written if str(path) in told]
        if names:
            found[key] = names
    return found


def shown_files(ui: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The files among what a node shows, as the host names them."""
    for items in ui.values():
        for item in items:
            if isinstance(item, Mapping) and "filename" in item:
                yield item


def relative_path(item: Mapping[str, Any]) -> str:
    """Where a file that a node shows lies below the output folder, with `/` between folders."""
    parts = ["temp"] if item.get("type") == "temp" else []
    return "/".join(
        [*parts, *filter(None, [str(item.get("subfolder", ""))]), str(item["filename"])]
    )

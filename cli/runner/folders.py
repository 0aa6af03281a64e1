"""The folders of one run: where pictures come from and where results go."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...models.imaging.photos import list_pictures


@dataclass
class Folders:
    """Folders of a run.

    A name inside a workflow file is looked up in `inputs` only and cannot lead out of them. Files
    that the person named on the command line are `granted` under a name of their own.
    """

    inputs: list[Path]
    output: Path
    granted: dict[str, Path] = field(default_factory=dict)
    decoder: str = "pillow"  # or "ffmpeg", see photo_av
    staged: Path | None = None  # where the files of this pass lie until all are there

    @property
    def target(self) -> Path:
        """Where files are written."""
        return self.output if self.staged is None else self.staged

    @property
    def temp(self) -> Path:
        return self.target / "temp"

    def grant(self, path: Path) -> str:
        """Make a file readable under the returned name, its own name where that is free."""
        path = path.resolve()
        name = path.name
        if self.find(name) not in (None, path):
            name = path.as_posix()  # another picture goes by that name
        self.granted[name] = path
        return name

    def find(self, name: str) -> Path | None:
        """The file that a workflow calls `name`, also written `name [output]` or the like."""
        if name in self.granted:
            path = self.granted[name]
            return path if path.is_file() else None
        places = self.inputs
        for mark, folder in (("[output]", self.output), ("[temp]", self.temp), ("[input]", None)):
            if name.endswith(mark):
                name = name[: -len(mark)].rstrip()
                places = self.inputs if folder is None else [folder]
        for place in places:
            try:
                root = place.resolve()
                path = (root / name).resolve()
                if path.is_relative_to(root) and path.is_file():
                    return path
            except (OSError, RuntimeError, ValueError):
                continue  # too long, links in a circle, letters that no file name has
        return None

    def pictures(self) -> list[str]:
        """Names of the pictures that can be loaded, sorted."""
        names = set(self.granted)
        for folder in self.inputs:
            if folder.is_dir():
                names.update(path.name for path in list_pictures(folder))
        return sorted(names)

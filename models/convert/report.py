"""What a conversion found and did, to be read by a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """The outcome of one conversion; every tensor of the old file is in `taken` or `dropped`.

    Attributes:
        path_in, path_out: the files.
        source_format: "rosinality", "nvidia-ada", "e4e", "psp" or "direction".
        found: what the file holds, sentence by sentence.
        taken: name in the new file -> path in the old one.
        dropped: path in the old file -> why.
        made: name in the new file -> how it was made.
        licence: as written into the new file; empty for directions.
        model_id: identity of the model.
    """

    path_in: Path
    path_out: Path
    source_format: str
    found: tuple[str, ...]
    taken: Mapping[str, str]
    dropped: Mapping[str, str]
    made: Mapping[str, str]
    licence: str
    model_id: str

    def text(self) -> str:
        """The report as lines."""
        lines = [f"{self.path_in.name}: {self.found[0]}"]
        lines += [f"  {sentence}" for sentence in self.found[1:]]
        lines.append(f"  taken: {len(self.taken)} tensors")
        lines += [f"  made: {name}, {how}" for name, how in self.made.items()]
        for why in dict.fromkeys(self.dropped.values()):
            paths = [path for path, reason in self.dropped.items() if reason == why]
            shown = paths[0] if len(paths) == 1 else f"{paths[0]} ... {paths[-1]}"
            lines.append(f"  dropped: {len(paths)} ({shown}): {why}")
        if self.licence:
            lines.append(f"  licence: {self.licence}")
        return "\n".join([*lines, f"Written: {self.path_out}"])

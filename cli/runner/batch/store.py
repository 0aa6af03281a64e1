"""The output folder: results of a photo come into it whole, under numbers of their own, or not.

A photo's files are written into a folder `.partial/RUN/PHOTO` beside the results. When all are
there they are numbered on from what the output folder holds, the photo is written down, and they
are moved.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..execute import RunResult
from ..outcome import Outcome, relative_path

PARTIAL = ".partial"
_NUMBERED = re.compile(r"^(?P<stem>.+)_(?P<number>\d{5,})_(?P<rest>\..*)$")
_NUMBER = re.compile(r"_(\d+)(?=[_.]|$)")


class Staged(NamedTuple):
    """What became of a photo, and the folder with its files."""

    outcome: Outcome
    folder: Path


class OutputStore:
    """Numbers and moves the files of photos; used as a context, it leaves nothing half done.

    Args:
        folder: the output folder, made when missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder / PARTIAL / uuid.uuid4().hex[:12]
        self._highest: dict[Path, dict[str, int]] = {}  # by folder and stem
        self._constant: dict[str, list[str]] = {}  # final names, by nodes that no photo changes

    def __enter__(self) -> OutputStore:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.partial, ignore_errors=True)
        with suppress(OSError):
            self.partial.parent.rmdir()  # unless another run uses it

    def stage(self) -> Path:
        """A new folder for the files of a photo."""
        folder = self.partial / uuid.uuid4().hex[:12]
        folder.mkdir(parents=True)
        return folder

    def forget_partial(self) -> None:
        """Remove what earlier runs left half done."""
        shutil.rmtree(self.partial.parent, ignore_errors=True)

    def commit(
        self,
        staged: Staged,
        constant: frozenset[str] = frozenset(),
        write_down: Callable[[Outcome], None] = lambda outcome: None,
    ) -> Outcome:
        """Give a photo's files their names, write the photo down, and move them, all or nothing.

        Of a photo that failed the files are removed. Ctrl-C waits until this is done.

        Args:
            staged: see there.
            constant: nodes that no photo changes; their files are kept once.
            write_down: called with the outcome before files move: what is written down and missing
                was not done.
        """
        with _held_interrupts():
            outcome = staged.outcome
            there = self._constant_files(outcome, constant)
            files = [name for names in outcome.files.values() for name in names]
            names = {**self._number(name for name in files if name not in there), **there}
            self._keep_constant(outcome, constant, names)
            outcome = _renamed(outcome, names, staged.folder)
            write_down(outcome)
            for name in names.keys() - there.keys():
                target = self.folder / names[name]
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(staged.folder / name, target)
            shutil.rmtree(staged.folder, ignore_errors=True)
            return outcome

    def _number(self, files: Iterable[str]) -> dict[str, str]:
        """The final names of staged files."""
        names, raised = {}, dict[tuple[Path, str], int]()
        for name in files:
            folder, _, file = name.rpartition("/")
            match = _NUMBERED.match(file)
            if match is not None:
                place, stem = self.folder / folder, match["stem"]
                number = self._taken(place).get(stem.casefold(), 0) + int(match["number"])
                while (place / f"{stem}_{number:05}_{match['rest']}").exists():
                    number += 1  # another run's
                file = f"{stem}_{number:05}_{match['rest']}"
                key = (place, stem.casefold())
                raised[key] = max(raised.get(key, 0), number)
            names[name] = f"{folder}/{file}" if folder else file
        for (place, stem), number in raised.items():
            self._highest[place][stem] = number
        return names

    def _constant_files(self, outcome: Outcome, constant: frozenset[str]) -> dict[str, str]:
        """Staged to final names of what nodes that no photo changes have given before."""
        return {
            name: final
            for key in constant & outcome.files.keys() & self._constant.keys()
            for name, final in zip(outcome.files[key], self._constant[key], strict=False)
        }

    def _keep_constant(
        self, outcome: Outcome, constant: frozenset[str], names: Mapping[str, str]
    ) -> None:
        for key in constant & outcome.files.keys() - self._constant.keys():
            self._constant[key] = [names[name] for name in outcome.files[key]]

    def _taken(self, folder: Path) -> dict[str, int]:
        """The highest number of every stem in a folder, as the host counts."""
        if folder not in self._highest:
            found: dict[str, int] = {}
            for name in os.listdir(folder) if folder.is_dir() else ():
                for match in _NUMBER.finditer(name):
                    stem = name[: match.start()].casefold()
                    found[stem] = max(found.get(stem, 0), int(match[1]))
            self._highest[folder] = found
        return self._highest[folder]


def _renamed(outcome: Outcome, names: Mapping[str, str], staged: Path) -> Outcome:
    """An outcome that tells of its files by their final names."""

    def rename(value: Any) -> Any:
        if isinstance(value, Mapping) and "filename" in value:
            file = names.get(relative_path(value), relative_path(value)).rpartition("/")[2]
            return {**value, "filename": file}  # folders stay
        if isinstance(value, str):
            for name, final in names.items():
                value = value.replace(str(staged / name), str(outcome.output / final))
        return value

    ui = {
        key: {kind: [rename(item) for item in items] for kind, items in shown.items()}
        for key, shown in outcome.result.ui.items()
    }
    files = {key: [names[name] for name in each] for key, each in outcome.files.items()}
    result = RunResult(ui, outcome.result.executed, outcome.result.cached)
    return replace(outcome, result=result, files=files)


@contextmanager
def _held_interrupts() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = []
    before = signal.signal(signal.SIGINT, lambda *_: held.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        raise KeyboardInterrupt

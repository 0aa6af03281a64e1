"""Runs workflow files without the host: once, or once per photo of a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from .batch.store import OutputStore, Staged
from .damaged import collect_damaged
from .digests import file_digest
from .execute import Executor, Progress, RunResult
from .folders import Folders
from .outcome import Outcome, files_by_node
from .prompts import Prompt

PhotoStarted = Callable[[Path | None], None]
Pass = tuple[Prompt, Mapping[str, Any] | None]  # API JSON, and the graph JSON that pictures carry


@dataclass
class Job:
    """A workflow made ready.

    Attributes:
        folders: what it reads and writes.
        classes: node classes by type.
        photos: to go through; None stands for a run without a varying loader.
        build: makes the checked prompt for a photo.
        constant: nodes that no photo changes.
        digest: of workflow and settings.
        settings: in full, as ids, see `overrides`.
        pictures: the files that it reads besides photos, by name.
    """

    folders: Folders
    classes: Mapping[str, type]
    photos: list[Path | None]
    build: Callable[[Path | None], Pass]
    constant: frozenset[str]
    digest: str
    settings: list[str]
    pictures: Mapping[str, Path]

    def run(
        self,
        progress: Progress | None = None,
        keep_going: bool = True,
        executor: Executor | None = None,
    ) -> Iterator[Outcome]:
        """Run the passes one by one, see `stage`, and keep what they give.

        Raises:
            FaceLatentsError: a pass failed, if it is the only one or `keep_going` is false.
        """
        with OutputStore(self.folders.output) as store:
            for staged in self.stage(store, progress, executor=executor):
                outcome = store.commit(staged, self.constant)
                if outcome.error is not None and not (keep_going and len(self.photos) > 1):
                    raise outcome.error
                yield outcome

    def stage(
        self,
        store: OutputStore,
        progress: Progress | None = None,
        photo_started: PhotoStarted | None = None,
        executor: Executor | None = None,
    ) -> Iterator[Staged]:
        """Run the passes one by one; results of unchanged nodes are kept from pass to pass.

        Args:
            store: gives the folders that files go into.
            progress: told about each node.
            photo_started: told about each photo.
            executor: keeps results from job to job as well; a new one unless given.
        """
        executor = executor or Executor(self.classes)
        executor.use(self.classes)
        for photo in self.photos:
            if photo_started is not None:
                photo_started(photo)
            folder = store.stage()
            yield Staged(self.run_photo(photo, folder, executor, progress), folder)

    def run_photo(
        self,
        photo: Path | None,
        staged: Path,
        executor: Executor,
        progress: Progress | None = None,
    ) -> Outcome:
        """One pass, its files in the folder `staged`; what goes wrong is in the outcome."""
        self.folders.staged = staged
        use_folders(self.folders)
        damaged: list[Path] = []
        result, prompt, failure, started = RunResult(), Prompt(), None, time.monotonic()
        try:
            prompt, workflow = self.build(photo)
            with collect_damaged(damaged):
                result = executor.run(prompt, workflow, progress)
        except FaceLatentsError as error:
            failure = error
        finally:
            executor.forget_shown()  # their files go with this photo
            self.folders.staged = None
        files = {} if failure else files_by_node(result, staged)
        return Outcome(
            photo,
            result,
            prompt,
            self.folders.output,
            files,
            failure,
            tuple(damaged),
            tuple(_lost(photo, files, staged)),
            time.monotonic() - started,
            "" if photo is None else file_digest(photo),
        )


def use_folders(folders: Folders) -> None:
    """Tell the nodes which folders this pass uses."""
    from ...nodes.host import stand_alone

    stand_alone.input = folders.inputs[0]
    stand_alone.output = folders.target
    stand_alone.temp = folders.temp


def _lost(photo: Path | None, files: Mapping[str, Sequence[str]], staged: Path) -> list[str]:
    """What the photo's file holds and the first picture saved of it does not."""
    from ...models.imaging.photo_files.read import read_header
    from ...models.imaging.photo_files.write import name_lost

    names = [name for each in files.values() for name in each if name.endswith(".png")]
    saved = [staged / name for name in names if not name.startswith("temp/")]
    if photo is None or not saved:
        return []
    return name_lost(read_header(photo), read_header(saved[0]))

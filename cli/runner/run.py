"""Runs workflow files without the host: once, or once per photo of a folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.imaging.photos import list_pictures, name_others
from ..outputs import check_folder
from .convert import load_prompt
from .damaged import collect_damaged
from .execute import Executor, Progress, RunResult
from .folders import Folders
from .graph import WorkflowError, read_workflow_file
from .overrides import EVERY, Override, apply_overrides, read_overrides, write_back
from .prompts import Prompt, title_of, used_classes
from .schema import schemas_of
from .validate import validate_prompt

logger = logging.getLogger(__name__)

LOADERS = ("LoadImage", "LoadImageMask")
PhotoStarted = Callable[[Path | None, int, int], None]  # photo, number from 0, photos in all


@dataclass(frozen=True)
class Outcome:
    """What one pass over a workflow gave."""

    photo: Path | None  # the photo of this pass, None where no loader varies
    result: RunResult
    prompt: Prompt
    folders: Folders
    error: FaceLatentsError | None = None
    damaged: tuple[Path, ...] = ()  # files that were read in part
    seconds: float = 0.0

    def saved(self, kind: str | None = None) -> list[Path]:
        """Files written, in order; `kind` "output" or "temp" (previews) for one of them."""
        return [path for paths in self.saved_by_node(kind).values() for path in paths]

    def saved_by_node(self, kind: str | None = None) -> dict[str, list[Path]]:
        """Files written, by the id of the node that wrote them."""
        found: dict[str, list[Path]] = {}
        for key, ui in self.result.ui.items():
            for item in (item for items in ui.values() for item in items):
                if isinstance(item, Mapping) and "filename" in item:
                    if kind is not None and item.get("type") != kind:
                        continue
                    root = self.folders.temp if item.get("type") == "temp" else self.folders.output
                    path = root / str(item.get("subfolder", "")) / str(item["filename"])
                    found.setdefault(key, []).append(path)
        return found

    def texts(self) -> dict[str, list[str]]:
        """Texts shown by nodes, by node id."""
        return {
            key: [str(item) for item in ui["text"]]
            for key, ui in self.result.ui.items()
            if ui.get("text")
        }


@dataclass
class Job:
    """A workflow made ready: checked against every photo before anything runs."""

    folders: Folders
    classes: Mapping[str, type]
    passes: list[tuple[Path | None, Prompt, Mapping[str, Any] | None]] = field(default_factory=list)

    def run(
        self,
        progress: Progress | None = None,
        photo_started: PhotoStarted | None = None,
        keep_going: bool = True,
        executor: Executor | None = None,
    ) -> Iterator[Outcome]:
        """Run the passes one by one; results of unchanged nodes are kept from pass to pass.

        Args:
            progress: told about each node.
            photo_started: told about each photo.
            keep_going: with several photos, go on after one that failed (its outcome carries the
                error); a single pass always raises.
            executor: keeps results from job to job as well; a new one unless given.

        Raises:
            NodeError: a node failed.
        """
        executor = executor or Executor(self.classes)
        executor.use(self.classes)
        for number, (photo, prompt, workflow) in enumerate(self.passes):
            if photo_started is not None:
                photo_started(photo, number, len(self.passes))
            damaged: list[Path] = []
            result, failure, started = RunResult(), None, time.monotonic()
            try:
                with collect_damaged(damaged):
                    result = executor.run(prompt, workflow, progress)
            except FaceLatentsError as error:
                if not keep_going or len(self.passes) == 1:
                    raise
                failure = error
            seconds = time.monotonic() - started
            yield Outcome(photo, result, prompt, self.folders, failure, tuple(damaged), seconds)


def node_classes(folders: Folders) -> tuple[dict[str, type], dict[str, str]]:
    """All node classes a workflow may use here (this package's and the stand-ins), and titles."""
    from ... import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
    from .standins import STAND_IN_TITLES, stand_ins

    classes = {**stand_ins(folders), **NODE_CLASS_MAPPINGS}
    return classes, {**STAND_IN_TITLES, **NODE_DISPLAY_NAME_MAPPINGS}


def prepare(
    workflow: Path | Mapping[str, Any],
    output: Path,
    *,
    settings: Sequence[str] = (),
    photos: Path | None = None,
    decoder: str = "pillow",
    extra_classes: Mapping[str, type] | None = None,
) -> Job:
    """Read and check a workflow; nothing runs yet.

    Args:
        workflow: a file (`.json`, or a PNG with a workflow inside), or its JSON.
        output: the folder results go into.
        settings: texts `NODE.input=value`. For an image loader the value is a file, or `*`
            for the loader that goes through `photos`.
        photos: a picture, or a folder: the workflow runs once per picture in it. The varying
            loader is the one set to `*`, else the first that `settings` does not set; with no
            such loader, the folder is only where pictures are looked up.
        decoder: what reads pictures: "pillow" (pixels as in ComfyUI 0.3.64 and 0.8.0) or "ffmpeg"
            (as in 0.33.0; needs the package av).
        extra_classes: further node classes by type.

    Raises:
        WorkflowError: lists everything that is wrong with the workflow or the settings.
        FaceLatentsError: nothing can be written into `output`.
    """
    data = read_workflow_file(workflow) if isinstance(workflow, Path) else workflow
    home = workflow.parent if isinstance(workflow, Path) else Path.cwd()
    if photos is not None and not photos.exists():
        raise WorkflowError(f"There is no photo or folder '{photos}'. Check --input.")
    check_folder(output)
    folders = Folders(_input_folders(photos, home), output, decoder=decoder)
    use_folders(folders)
    classes, titles = node_classes(folders)
    classes.update(extra_classes or {})
    prompt, graph, fill = load_prompt(data, classes, titles)
    schemas = schemas_of(used_classes(prompt, classes), titles)
    overrides = read_overrides(prompt, settings, schemas)
    varying = _varying_loader(prompt, overrides, photos)
    fixed = [_granted(item, schemas, prompt, folders) for item in overrides if item.value != EVERY]
    job = Job(folders, classes)
    for photo in [None] if varying is None else _photos(photos):
        changes = list(fixed)
        if photo is not None and varying is not None:
            changes.append(Override(varying, "image", folders.grant(photo)))
        shown = None if graph is None else write_back(graph, changes, schemas)
        job.passes.append((photo, fill(apply_overrides(prompt, changes)), shown))
    job.passes = [
        (photo, validate_prompt(changed, classes, schemas), shown)
        for photo, changed, shown in job.passes
    ]
    return job


def use_folders(folders: Folders) -> None:
    """Tell the nodes which folders this run uses."""
    from ...nodes.host import stand_alone

    stand_alone.input = folders.inputs[0]
    stand_alone.output = folders.output
    stand_alone.temp = folders.temp


def _input_folders(photos: Path | None, home: Path) -> list[Path]:
    if photos is None:
        return list(dict.fromkeys([home.resolve(), Path.cwd()]))
    return [photos if photos.is_dir() else photos.parent]


def _varying_loader(
    prompt: Prompt, overrides: Sequence[Override], photos: Path | None
) -> str | None:
    starred = [item.node_id for item in overrides if item.value == EVERY]
    if starred and photos is None:
        raise WorkflowError("--set NODE.image=* needs --input FOLDER, the photos to go through.")
    if len(starred) > 1:
        raise WorkflowError("--set NODE.image=* can be given for one loader only.")
    if photos is None:
        return None
    if starred:
        return starred[0]
    taken = {item.node_id for item in overrides if item.input == "image"}
    loaders = [key for key, node in prompt.items() if node["class_type"] in LOADERS]
    free = [key for key in loaders if key not in taken]
    if not loaders and photos.is_file():
        raise WorkflowError("--input: this workflow has no Load Image node that could take photos.")
    return min(free, key=lambda key: _age(prompt, key)) if free else None


def _age(prompt: Prompt, key: str) -> tuple[int, int, str]:
    """Loaders count in the order of their ids, LoadImage before LoadImageMask."""
    number = int(key) if key.isdigit() else 1 << 30
    return LOADERS.index(prompt[key]["class_type"]), number, key


def _photos(photos: Path | None) -> list[Path]:
    assert photos is not None
    found = list_pictures(photos) if photos.is_dir() else [photos]
    if not found:
        others = name_others(photos)
        there = f" It holds {others}." if others else ""
        raise WorkflowError(f"There is no picture in the folder '{photos}'.{there}")
    return found


def _granted(
    item: Override, schemas: Mapping[str, Any], prompt: Prompt, folders: Folders
) -> Override:
    """A picture set on the command line may lie anywhere."""
    spec = schemas[prompt[item.node_id]["class_type"]].input(item.input)
    if not spec.is_upload or folders.find(item.value) is not None:
        return item
    path = Path(item.value).expanduser()
    if not path.is_file():
        title = title_of(prompt[item.node_id])
        raise WorkflowError(f"--set {title}.{item.input}: there is no picture '{item.value}'.")
    return Override(item.node_id, item.input, folders.grant(path))

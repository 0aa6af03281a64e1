"""A workflow file, settings and photos made into a job; all is checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...models.imaging.photos import list_pictures, name_others
from ..outputs import check_folder
from .convert import load_prompt
from .digests import workflow_digest
from .folders import Folders
from .graph import WorkflowError, read_workflow_file
from .overrides import EVERY, Override, apply_overrides, read_overrides, write_back
from .prompts import Prompt, title_of, upstream, used_classes
from .run import Job, Pass, use_folders
from .schema import NodeSchema, schemas_of
from .validate import validate_prompt

LOADERS = ("LoadImage", "LoadImageMask")


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
    granted: Mapping[str, Path] | None = None,
) -> Job:
    """Read and check a workflow, with the first photo; nothing runs yet.

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
        granted: files by names that the workflow or the settings have for them.

    Raises:
        WorkflowError: lists everything that is wrong with the workflow or the settings.
        FaceLatentsError: nothing can be written into `output`.
    """
    data = read_workflow_file(workflow) if isinstance(workflow, Path) else workflow
    home = workflow.parent if isinstance(workflow, Path) else Path.cwd()
    if photos is not None and not photos.exists():
        raise WorkflowError(f"There is no photo or folder '{photos}'. Check --input.")
    check_folder(output)
    folders = Folders(_input_folders(photos, home), output, dict(granted or {}), decoder)
    use_folders(folders)
    classes, titles = node_classes(folders)
    classes.update(extra_classes or {})
    prompt, graph, fill = load_prompt(data, classes, titles)
    schemas = schemas_of(used_classes(prompt, classes), titles)
    overrides = read_overrides(prompt, settings, schemas)
    varying = _varying_loader(prompt, overrides, photos)
    fixed = [_granted(item, schemas, prompt, folders) for item in overrides if item.value != EVERY]

    always = dict(folders.granted)

    def build(photo: Path | None) -> Pass:
        folders.granted = dict(always)  # without the photo before
        changes = list(fixed)
        if photo is not None and varying is not None:
            changes.append(Override(varying, "image", folders.grant(photo)))
        shown = None if graph is None else write_back(graph, changes, schemas)
        filled = fill(apply_overrides(prompt, changes))
        return validate_prompt(filled, classes, schemas), shown

    place = None if varying is None else (varying, "image")
    set_prompt = apply_overrides(prompt, fixed)
    pictures = _pictures(set_prompt, place, schemas, folders)
    found: list[Path | None] = [None] if varying is None else _photos(photos)
    checked, _ = build(found[0])
    return Job(
        folders,
        classes,
        found,
        build,
        frozenset(key for key in checked if varying not in upstream(checked, [key])),
        workflow_digest(set_prompt, place, pictures, [decoder]),
        [f"{item.node_id}.{item.input}={item.value}" for item in fixed]
        + ([] if varying is None else [f"{varying}.image={EVERY}"]),
        pictures,
    )


def _pictures(
    prompt: Prompt,
    varying: tuple[str, str] | None,
    schemas: Mapping[str, NodeSchema],
    folders: Folders,
) -> dict[str, Path]:
    """The files that the workflow reads besides photos, by the names it has for them."""
    found = {}
    for key, node in prompt.items():
        for spec in schemas[node["class_type"]].inputs:
            name = node["inputs"].get(spec.name)
            if spec.is_upload and (key, spec.name) != varying and isinstance(name, str):
                path = folders.find(name)
                if path is not None:
                    found[name] = path
    return found


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


def _photos(photos: Path | None) -> list[Path | None]:
    assert photos is not None
    found = list_pictures(photos) if photos.is_dir() else [photos]
    if not found:
        others = name_others(photos)
        there = f" It holds {others}." if others else ""
        raise WorkflowError(f"There is no picture in the folder '{photos}'.{there}")
    return [*found]


def _granted(
    item: Override, schemas: Mapping[str, NodeSchema], prompt: Prompt, folders: Folders
) -> Override:
    """A picture set on the command line may lie anywhere."""
    spec = schemas[prompt[item.node_id]["class_type"]].input(item.input)
    if spec is None or not spec.is_upload or folders.find(item.value) is not None:
        return item
    path = Path(item.value).expanduser()
    if not path.is_file():
        title = title_of(prompt[item.node_id])
        raise WorkflowError(f"--set {title}.{item.input}: there is no picture '{item.value}'.")
    return Override(item.node_id, item.input, folders.grant(path))

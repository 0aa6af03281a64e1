"""Convert Weights: files of other programs to face models and directions, within ComfyUI."""

from __future__ import annotations

import filecmp
import hashlib
import os
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from ...models.convert import Report, convert
from ...models.errors import FaceLatentsError, UnsupportedModelError
from ...models.face_model import FaceModel
from ...models.files.header import read_header
from ...models.geometry.templates import FFHQ, WHOLE
from .. import host, widgets
from ..files.model_folder import DIRECTIONS
from ..files.names import SUFFIX, safe_parts, stamp
from ..files.weights import describe_missing, list_weights, weights_path
from ..registry import node
from .load import FLOAT32, load_cached, model_choices, model_path

NO_MODEL = "none: the file is a model"
ALIGNED = {"as for FFHQ faces": FFHQ, "whole pictures": WHOLE}


@node("FaceLatentsConvertWeights", "Convert Weights", widgets.MODEL)
class ConvertWeights:
    """Turns StyleGAN2, e4e and pSp weights (.pt, .pkl, bare .safetensors) and directions (.npy,
    .npz, .pt) that lie in ComfyUI/models/face_latents into files that the other nodes load.
    Nothing that a file holds is run, and what is not understood is refused. Done once: later runs
    find the converted file.
    """

    ALIASES = (
        "import weights, stylegan2 weights, pkl to safetensors, pt to safetensors, ckpt, e4e, psp, "
        "ffhq, interfacegan, ganspace, npy direction, checkpoint"
    )
    OUTPUTS = {
        "face_model": (
            widgets.FACE_MODEL,
            "The converted model, ready for Sample Face or Encode Face; for a direction the model "
            "it belongs to.",
        ),
        "file": ("STRING", "The new file, as Load Face Model or Load Direction lists it."),
        "report": (
            "STRING",
            "What the file holds, what became of each tensor, licence and source.",
        ),
    }
    OUTPUT_NODE = True
    INPUTS = {
        "file": widgets.listing(
            lambda: list_weights(),
            "A file of another program in models/face_latents (press R to refresh the list after "
            "adding one).",
        ),
        "name": widgets.text(
            "", "What the new file is called; empty: as the old one. No file is ever replaced."
        ),
        "model": widgets.listing(
            lambda: [NO_MODEL, *model_choices()],
            "Only for directions, which do not say what model they belong to: that model, "
            "converted before.",
        ),
        "pictures": widgets.choice(
            tuple(ALIGNED),
            "How photos are cut for the network. as for FFHQ faces: what networks of faces expect. "
            "whole pictures: networks of other things.",
        ),
        "licence": widgets.text("", "Licence of the weights, to be kept in the new file."),
        "source": widgets.text("", "Where they came from, to be kept in the new file."),
    }

    @classmethod
    def VALIDATE_INPUTS(cls, file: str | None = None) -> bool | str:
        """Say what to do about a file that is not there, before anything runs."""
        return True if file is None or file in list_weights() else describe_missing(file)

    @classmethod
    def IS_CHANGED(cls, file: str | None = None, **rest: object) -> str:
        if file is None or file not in list_weights():
            return "missing"
        return stamp(weights_path(file))

    def execute(
        self, file: str, name: str, model: str, pictures: str, licence: str, source: str
    ) -> dict[str, Any]:
        path = weights_path(file)
        target = _target(path, name, None if model == NO_MODEL else model)
        with host.Progress(0, f"Converting {file}"):
            text = _describe_earlier(path, target)
            if text is None:
                text, target = _convert(
                    path,
                    target,
                    model=None if model == NO_MODEL else model_path(model),
                    template=ALIGNED[pictures],
                    licence=licence.strip() or None,
                    source=source.strip() or None,
                )
            listed = target.relative_to(host.model_save_folder()).as_posix()
            loaded = _model_of(target, model)
        host.show_text(text)
        return {"ui": {"text": [text]}, "result": (loaded, listed, text)}


def _model_of(target: Path, model: str) -> FaceModel:
    is_direction = read_header(target).metadata.get("kind") is not None
    return load_cached(model_path(model) if is_direction else target, FLOAT32)


def _target(path: Path, name: str, model: str | None) -> Path:
    """The new file: beside the user's models, or in the folder of directions."""
    typed = name.strip().removesuffix(SUFFIX) or path.stem
    parts = safe_parts(f"{DIRECTIONS}/{typed}" if model is not None else typed, "name")
    target = host.model_save_folder().joinpath(*parts)
    return target.with_name(target.name + SUFFIX)


def _convert(path: Path, target: Path, **settings: Any) -> tuple[str, Path]:
    """Convert into a hidden folder, then move: a half-made file is never listed.

    Returns:
        The report and the new file.
    """
    root = host.model_save_folder()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".converting-", dir=root) as folder:
            report = convert(path, Path(folder) / target.name, name=target.stem, **settings)
            target = _settle(report, target)
            os.replace(report.path_out, target)
    except UnsupportedModelError as error:
        text = str(error).replace("with --model MODEL.safetensors", "in the input 'model'")
        raise FaceLatentsError(f"Convert Weights: {text}") from error
    except OSError as error:
        raise FaceLatentsError(
            f"Convert Weights: nothing can be saved in {root}: {error.strerror or error}. Check "
            "that the folder may be written and the disk is not full."
        ) from error
    return replace(report, path_out=target).text(), target


def _settle(report: Report, target: Path) -> Path:
    """Where the file goes now that it is known what it holds.

    Raises:
        FaceLatentsError: there is a file already, and another one.
    """
    folder = host.model_save_folder()
    inside = target.relative_to(folder)
    if report.source_format != "direction" and inside.parts[0] == DIRECTIONS:
        target = folder / PurePosixPath(*inside.parts[1:])
    if target.exists() and not filecmp.cmp(report.path_out, target, shallow=False):
        raise FaceLatentsError(
            f"Convert Weights: there is a file {target} already, of something else. It is not "
            "replaced: give another 'name', or delete it."
        )
    return target


def _describe_earlier(path: Path, target: Path) -> str | None:
    """What to say of a network that was converted in an earlier run; None where it was not."""
    if not target.is_file():
        return None
    metadata = read_header(target).metadata
    if metadata.get("source_sha256") != _digest(path):
        return None
    facts = [f"{key}: {metadata[key]}" for key in ("licence", "source") if key in metadata]
    return "\n".join([f"{path.name} was converted before: {target}", *facts])


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            host.check_interrupt()
    return digest.hexdigest()

"""Load Direction and Save Direction."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from ...models.errors import FaceLatentsError, UnsupportedModelError
from ...models.face_model import FaceModel, bundled_face_model_path, direction_names
from ...models.files.thumbnails import thumbnail_path, write_thumbnail
from ...models.files.values import load_direction, save_direction
from ...models.layers import lift_direction
from ...models.values import Direction
from .. import host, validate, widgets
from ..compute import decode_codes
from ..registry import node
from .model_folder import (
    DIRECTIONS,
    find_model_file,
    list_direction_files,
    list_face_model_files,
    model_file_path,
)
from .names import save_and_pass, stamp

logger = logging.getLogger(__name__)


@node("FaceLatentsLoadDirection", "Load Direction", widgets.DIRECTION)
class LoadDirection:
    """Loads a direction to edit faces with: one that comes with the model (smile, age, light, ...),
    or one you saved with Save Direction.
    """

    ALIASES = (
        "attribute, expression, smile, age, older, younger, glasses, beard, gender, mouth open, "
        "brightness, light, head turn, pose, concept, edit vector, boundary, open direction, "
        "safetensors"
    )
    OUTPUTS = {
        "direction": (
            widgets.FACE_DIRECTION,
            "The direction, for Add Direction and its relatives.",
        ),
        "info": (
            "STRING",
            "What strength 1 means, the range that looks natural, and how it was made.",
        ),
    }
    INPUTS = {
        "face_model": widgets.face_model("whose faces will be edited"),
        "direction": widgets.listing(
            lambda: [*_names_in_models(), *list_direction_files()],
            "A direction of the model, or a file from models/face_latents/directions (press R to "
            "refresh the list after saving one).",
        ),
    }

    def execute(self, face_model: FaceModel, direction: str) -> tuple[Direction, str]:
        if direction in face_model.directions:
            found = face_model.directions[direction]
        elif direction in list_direction_files():
            path = model_file_path(direction)
            found = lift_direction(load_direction(path), face_model.space)
            validate.same_model(
                face_model, found.space, "Load Direction", f"direction '{found.name}'"
            )
            _draw_thumbnail(face_model, found, path)
        else:
            raise FaceLatentsError(
                f"Model '{face_model.name}' has no direction '{direction}'. Its own directions: "
                f"{', '.join(face_model.directions) or 'none'}. Your files: "
                f"{', '.join(list_direction_files()) or 'none'}."
            )
        return found, _describe(found)

    @classmethod
    def IS_CHANGED(cls, face_model: object = None, direction: str | None = None) -> str:
        if direction is None or not direction.startswith(f"{DIRECTIONS}/"):
            return ""
        return stamp(find_model_file(direction))


@node("FaceLatentsSaveDirection", "Save Direction", widgets.FILES)
class SaveDirection:
    """Saves a direction into models/face_latents/directions, where Load Direction finds it (press R
    to refresh its list). Never replaces a file: the name is counted up.
    """

    ALIASES = "export direction, store direction, write direction, safetensors"
    OUTPUTS = widgets.output_direction("The direction, unchanged.")
    OUTPUT_NODE = True
    INPUTS = {
        "direction": widgets.direction("The direction to save."),
        "filename_prefix": widgets.filename_prefix("my_direction"),
    }
    OPTIONAL = {
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "The model of the direction: draws the small picture of it, beside the file. Without "
            "one it is drawn when Load Direction first loads the file.",
        )
    }

    def execute(
        self, direction: Direction, filename_prefix: str, face_model: FaceModel | None
    ) -> dict[str, Any]:
        def save(path: Path, value: Direction) -> None:
            save_direction(path, value)
            if face_model is not None:
                _draw_thumbnail(face_model, lift_direction(value, face_model.space), path)

        root = host.model_save_folder() / DIRECTIONS
        return save_and_pass(direction, save, root, filename_prefix)


def _draw_thumbnail(model: FaceModel, direction: Direction, path: Path) -> None:
    """Draw the average face along a direction beside its file, unless there is a picture.

    A batch of directions, or one of another model, has none.
    """
    target, space = thumbnail_path(path), model.space
    fits = direction.space.same_as(space) and direction.vector.shape == space.shape
    if target.exists() or not fits:
        return
    vector = direction.vector.detach().to("cpu", torch.float32)
    mean = torch.zeros_like(vector) if space.mean is None else space.mean.to(vector)
    low, high = direction.safe_range
    codes = torch.stack([mean + strength * vector for strength in (low, 0, high)])
    try:
        write_thumbnail(target, decode_codes(model, codes, "Drawing the direction"))
    except (FaceLatentsError, OSError, RuntimeError) as error:  # a device may fail too
        logger.warning("No picture of '%s': %s", direction.name, error)


def _names_in_models() -> list[str]:
    """Directions of the bundled model, then further ones of the user's models."""
    found = [find_model_file(name) for name in list_face_model_files()]
    paths = [bundled_face_model_path(), *(path for path in found if path is not None)]
    names = [name for path in paths for name in _names_in_model(path, stamp(path))]
    return list(dict.fromkeys(names))


@lru_cache(maxsize=256)
def _names_in_model(path: Path, state: str) -> list[str]:
    """Read from the header only; `state` makes a changed file be read again."""
    try:
        return direction_names(path)
    except (UnsupportedModelError, OSError):
        return []  # no face model, or a damaged one: Load Face Model says why


def _describe(direction: Direction) -> str:
    low, high = direction.safe_range
    lines = [
        direction.name,
        f"strength 1: {direction.unit or 'one unit of the direction'}",
        f"looks natural from {low:g} to {high:g}",
    ]
    if direction.reading is not None:
        gained = direction.reading.change(direction.vector[None])
        lines.append(f"measured in {direction.reading.unit}: strength 1 adds {float(gained):.3g}")
    if direction.accuracy is not None:
        lines.append(f"held-out accuracy: {direction.accuracy:.3f}")
    if direction.method:
        lines.append(f"made by: {direction.method}")
    return "\n".join(lines)

"""Load Direction and Save Direction."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError, UnsupportedModelError
from ...models.face_model import FaceModel, bundled_face_model_path, direction_names
from ...models.files.values import load_direction, save_direction
from ...models.layers import lifted
from ...models.space import require_same_space
from ...models.values import Direction
from .. import host, validate, widgets
from .model_folder import find_model_file, list_model_files, model_file_path
from .names import save_numbered, stamp

FOLDER, BASES = "directions", "bases"  # below models/face_latents


def is_direction_file(name: str) -> bool:
    """True for files of models/face_latents that hold a direction, not a model."""
    return name.startswith(f"{FOLDER}/")


def is_basis_file(name: str) -> bool:
    """True for files of models/face_latents that hold a quasi-eigen basis."""
    return name.startswith(f"{BASES}/")


def is_face_model_file(name: str) -> bool:
    """True for files of models/face_latents that may hold a face model: all the others."""
    return not is_direction_file(name) and not is_basis_file(name)


class LoadDirection:
    """A bundled direction, or one from a file."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Loads a direction to edit faces with: one that comes with the model (smile, age, light, "
        "...), or one you saved with Save Direction."
    )
    SEARCH_ALIASES = ["smile", "age", "light", "attribute", "concept", "edit vector", "boundary"]
    RETURN_TYPES = (widgets.FACE_DIRECTION, "STRING")
    RETURN_NAMES = ("direction", "info")
    OUTPUT_TOOLTIPS = (
        "The direction, for Add Direction and its relatives.",
        "What strength 1 means, the range that looks natural, and how it was made.",
    )
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL, "The model whose faces will be edited (Load Face Model)."
                ),
                "direction": widgets.choice(
                    [*_names_in_models(), *_user_files()],
                    "A direction of the model, or a file from models/face_latents/directions "
                    "(press R to refresh the list after saving one).",
                ),
            }
        }

    def load(self, face_model: FaceModel, direction: str) -> tuple[Direction, str]:
        model = validate.face_model(face_model)
        if direction in model.directions:
            found = model.directions[direction]
        elif direction in _user_files():
            found = lifted(load_direction(model_file_path(direction)), model.space)
            require_same_space(
                model.space,
                found.space,
                f"Load Direction: model '{model.name}' and direction '{found.name}'",
            )
        else:
            own = ", ".join(model.directions) or "none"
            files = ", ".join(_user_files()) or "none"
            raise FaceLatentsError(
                f"Model '{model.name}' has no direction '{direction}'. Its own directions: {own}. "
                f"Your files: {files}."
            )
        return found, _describe(found)

    @classmethod
    def IS_CHANGED(cls, face_model: object = None, direction: str | None = None) -> str:
        if direction is None or not is_direction_file(direction):
            return ""
        return stamp(find_model_file(direction))


class SaveDirection:
    """A direction into models/face_latents/directions."""

    CATEGORY = widgets.FILES
    DESCRIPTION = (
        "Saves a direction into models/face_latents/directions, where Load Direction finds it "
        "(press R to refresh its list). Never replaces a file: the name is counted up."
    )
    SEARCH_ALIASES = ["export direction", "store direction", "write direction", "safetensors"]
    RETURN_TYPES = (widgets.FACE_DIRECTION,)
    RETURN_NAMES = ("direction",)
    OUTPUT_TOOLTIPS = ("The direction, unchanged.",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "direction": widgets.wire(widgets.FACE_DIRECTION, "The direction to save."),
                "filename_prefix": widgets.filename_prefix("my_direction"),
            }
        }

    def save(self, direction: Direction, filename_prefix: str) -> dict[str, Any]:
        found = validate.direction(direction)
        root = host.own_model_folder() / FOLDER
        path = save_numbered(root, filename_prefix, lambda target: save_direction(target, found))
        return {"ui": {"text": [f"Saved {path}"]}, "result": (found,)}


def _names_in_models() -> list[str]:
    """Directions of the bundled model, then further ones of the user's models."""
    paths = [bundled_face_model_path()]
    paths += [
        path
        for name in list_model_files()
        if is_face_model_file(name) and (path := find_model_file(name)) is not None
    ]
    names = [name for path in paths for name in _names_in_model(path, stamp(path))]
    return list(dict.fromkeys(names))


@lru_cache(maxsize=256)
def _names_in_model(path: Path, state: str) -> list[str]:
    """Read from the header only; `state` makes a changed file be read again."""
    try:
        return direction_names(path)
    except (UnsupportedModelError, OSError):
        return []  # no face model, or a damaged one: Load Face Model says why


def _user_files() -> list[str]:
    return [name for name in list_model_files() if is_direction_file(name)]


def _describe(direction: Direction) -> str:
    low, high = direction.safe_range
    lines = [
        direction.name,
        f"strength 1: {direction.unit or 'one unit of the direction'}",
        f"looks natural from {low:g} to {high:g}",
    ]
    if direction.accuracy is not None:
        lines.append(f"held-out accuracy: {direction.accuracy:.3f}")
    if direction.method:
        lines.append(f"made by: {direction.method}")
    return "\n".join(lines)


NODES = {
    "FaceLatentsLoadDirection": (LoadDirection, "Load Direction"),
    "FaceLatentsSaveDirection": (SaveDirection, "Save Direction"),
}

"""The user's own files in models/face_latents and the folders of extra_model_paths.yaml."""

from __future__ import annotations

from pathlib import Path

from ...models.errors import FaceLatentsError
from .. import host

DIRECTIONS, BASES = "directions", "bases"  # sub-folders of models/face_latents


def list_files(folder: Path) -> list[str]:
    """`.safetensors` files in `folder` and below, relative, sorted, with forward slashes."""
    if not folder.is_dir():
        return []
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in host.MODEL_EXTENSIONS and path.is_file()
    )


def list_model_files() -> list[str]:
    """All of the user's files, relative to their folder, with forward slashes on every system.

    A workflow made on Windows then opens elsewhere.
    """
    names = host.model_file_names()
    if names is None:
        names = [name for folder in host.model_folders() for name in list_files(folder)]
    return sorted({name.replace("\\", "/") for name in names})


def list_direction_files() -> list[str]:
    """The files that hold a direction."""
    return [name for name in list_model_files() if name.startswith(f"{DIRECTIONS}/")]


def list_basis_files() -> list[str]:
    """The files that hold a quasi-eigen basis."""
    return [name for name in list_model_files() if name.startswith(f"{BASES}/")]


def list_face_model_files() -> list[str]:
    """The files that may hold a face model: all the others."""
    return [name for name in list_model_files() if name.split("/")[0] not in (DIRECTIONS, BASES)]


def find_model_file(name: str) -> Path | None:
    """The file that :func:`list_model_files` calls `name`, or None."""
    if name not in list_model_files():
        return None
    candidates = (folder / name for folder in host.model_folders())
    return next((path for path in candidates if path.is_file()), None)


def model_file_path(name: str) -> Path:
    """As :func:`find_model_file`.

    Raises:
        FaceLatentsError: there is no such file.
    """
    path = find_model_file(name)
    if path is not None:
        return path
    places = ", ".join(str(folder) for folder in host.model_folders())
    raise FaceLatentsError(
        f"There is no file '{name}' in {places}. Put it there and press R in ComfyUI to refresh "
        "the lists, or choose another one."
    )

"""Weights of other programs in models/face_latents, which Convert Weights makes models of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath

from ...models.errors import FaceLatentsError, UnsupportedModelError
from ...models.files.header import read_header
from .. import host
from .model_folder import find_model_file, list_face_model_files
from .names import SUFFIX, stamp

OTHER_FORMATS = frozenset({".pt", ".pth", ".pkl", ".npy", ".npz"})
WHERE_FROM = (
    "Weights are published by the authors of the networks: StyleGAN2 with NVlabs/"
    "stylegan2-ada-pytorch and rosinality/stylegan2-pytorch, encoders with omertov/encoder4editing "
    "and eladrich/pixel2style2pixel on GitHub. Mind their licences: those for FFHQ are for "
    "non-commercial use."
)


def list_weights() -> list[str]:
    """Files that Convert Weights may be able to read, relative to their folder."""
    other = {
        path.relative_to(folder).as_posix()
        for folder in host.model_folders()
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix.lower() in OTHER_FORMATS and path.is_file()
    }
    return sorted(other.union(name for name in list_face_model_files() if _is_bare(name)))


def list_waiting_weights() -> list[str]:
    """Those of :func:`list_weights` of which there is no converted file yet."""
    stems = {PurePosixPath(name).stem for name in list_face_model_files() if not _is_bare(name)}
    return [name for name in list_weights() if PurePosixPath(name).stem not in stems]


def weights_path(name: str) -> Path:
    """The file of a name of :func:`list_weights`.

    Raises:
        FaceLatentsError: there is no such file.
    """
    candidates = (folder / name for folder in host.model_folders())
    found = next((path for path in candidates if path.is_file()), None)
    if found is None or name not in list_weights():
        raise FaceLatentsError(describe_missing(name))
    return found


def describe_missing(name: str) -> str:
    """What to do where a file is not there to be converted."""
    places = ", ".join(str(folder) for folder in host.model_folders())
    listed = ", ".join(list_weights()) or "none"
    return (
        f"There is no file '{name}' to convert in {places}. Files that are there: {listed}. Put a "
        f"{', '.join(sorted(OTHER_FORMATS))} or {SUFFIX} file there and press R to refresh the "
        f"list. {WHERE_FROM}"
    )


def _is_bare(name: str) -> bool:
    path = find_model_file(name)
    return path is not None and _says_nothing(path, stamp(path))


@lru_cache(maxsize=256)
def _says_nothing(path: Path, state: str) -> bool:
    """Whether its header is not one of this project; `state` makes a changed file be read again."""
    try:
        metadata = read_header(path).metadata
    except UnsupportedModelError:
        return False  # damaged: nothing to convert
    return not {"model_id", "kind"} & set(metadata)

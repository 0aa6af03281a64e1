"""Finder checkpoints: the bundled one, and those that training writes."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from ..bundled import bundled_file
from ..errors import UnsupportedModelError
from ..files.networks import without_numbers
from ..files.tensors import load_tensors
from .faces import FaceFinder
from .net import FinderNet, fold

BUNDLED = bundled_file("finder.safetensors")
ARCHITECTURE = "face_finder"


@lru_cache(maxsize=4)
def load_finder(path: str | Path = BUNDLED) -> FaceFinder:
    """As `read_finder`, by default the bundled one, but each file is read only once."""
    return read_finder(path)


def read_finder(path: str | Path) -> FaceFinder:
    """A finder from a checkpoint as `face-latents train finder` writes it.

    Raises
    ------
    UnsupportedModelError
        The file is no finder checkpoint, or it is damaged.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("architecture") != ARCHITECTURE:
        raise UnsupportedModelError(
            f"{Path(path).name} is not a face finder: its metadata names the architecture "
            f"'{metadata.get('architecture', 'none')}', expected '{ARCHITECTURE}'."
        )
    with without_numbers():
        net = FinderNet(**_config(metadata, Path(path).name))
        fold(net)
    try:
        net.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise UnsupportedModelError(
            f"{Path(path).name} does not fit the face finder's networks: {error}"
        ) from error
    return FaceFinder(net)


def _config(metadata: dict[str, str], name: str) -> dict[str, int]:
    try:
        config = json.loads(metadata.get("config", "{}"))
        values = {key: int(config[key]) for key in ("width", "deep")}
    except (ValueError, TypeError, KeyError) as error:
        raise UnsupportedModelError(
            f"{name} has no readable configuration for a face finder."
        ) from error
    if not all(4 <= value <= 1024 and value % 2 == 0 for value in values.values()):
        raise UnsupportedModelError(f"{name} asks for a face finder of impossible size: {values}.")
    return values

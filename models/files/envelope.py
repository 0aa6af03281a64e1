"""What the files of directions, face latents and bases have in common: kind, version, space."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import UnsupportedModelError
from ..space import LatentSpace

DIRECTION_KIND = "face_latents.direction"
LATENT_KIND = "face_latents.latent"
BASIS_KIND = "face_latents.basis"
FORMAT_VERSION = "1"
KINDS = {
    DIRECTION_KIND: "a direction (open it with Load Direction)",
    LATENT_KIND: "a face latent (open it with Load Face Latent)",
    BASIS_KIND: "a quasi-eigen basis (open it with Load Basis)",
}


def kind_metadata(kind: str, space: LatentSpace) -> dict[str, str]:
    """String metadata that says what a file holds, in which version, and in which space."""
    described = {"name": space.name, "shape": list(space.shape), "model_id": space.model_id}
    return {"kind": kind, "format_version": FORMAT_VERSION, "space": json.dumps(described)}


def space_tensors(space: LatentSpace) -> dict[str, Tensor]:
    """The statistics of a space, for `read_space`."""
    statistics = {"space.mean": space.mean, "space.std": space.std}
    return {name: tensor for name, tensor in statistics.items() if tensor is not None}


def read_space(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> LatentSpace:
    """The space that `kind_metadata` and `space_tensors` described.

    Raises:
        UnsupportedModelError: the description is missing or malformed.
    """
    facts = read_json(path, metadata, "space")
    try:
        return LatentSpace(
            str(facts["name"]),
            tuple(int(n) for n in facts["shape"]),
            str(facts["model_id"]),
            tensors.get("space.mean"),
            tensors.get("space.std"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path}: its description of the latent space is malformed ({error})."
        ) from error


def require_kind(path: str | Path, metadata: Mapping[str, str], kind: str) -> None:
    """Check that a file holds the wanted kind of value, in a version known here.

    Raises:
        UnsupportedModelError: naming what it holds instead.
    """
    found = metadata.get("kind")
    if found != kind:
        holds = KINDS.get(found or "", "something else, perhaps a model (Load Face Model)")
        raise UnsupportedModelError(
            f"{path}: expected {KINDS[kind].split(' (')[0]}, but the file holds {holds}."
        )
    if metadata.get("format_version") != FORMAT_VERSION:
        raise UnsupportedModelError(
            f"{path}: written in format version {metadata.get('format_version')}, known here is "
            f"{FORMAT_VERSION}. Update this package."
        )


def read_json(path: str | Path, metadata: Mapping[str, str], key: str) -> Any:
    """An entry of the metadata that is JSON.

    Raises:
        UnsupportedModelError: it is missing or malformed.
    """
    try:
        return json.loads(metadata[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path}: metadata '{key}' is missing or malformed.") from error


def take_tensor(path: str | Path, tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """The tensor called `name`.

    Raises:
        UnsupportedModelError: it is missing.
    """
    if name not in tensors:
        raise UnsupportedModelError(f"{path}: tensor '{name}' is missing.")
    return tensors[name]

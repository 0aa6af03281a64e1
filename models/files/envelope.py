"""What the files of directions, face latents and bases have in common: kind, version, space.

Every value that is read from a file passes `load_value`, and what its description says is read
inside `description_of`, so that a file of any content gives a value or an `UnsupportedModelError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import FaceLatentsError, UnsupportedModelError
from ..space import LatentSpace
from .tensors import load_tensors, save_tensors

DIRECTION_KIND = "face_latents.direction"
LATENT_KIND = "face_latents.latent"
BASIS_KIND = "face_latents.basis"
FORMAT_VERSION = "1"
KINDS = {
    DIRECTION_KIND: "a direction (open it with Load Direction)",
    LATENT_KIND: "a face latent (open it with Load Face Latent)",
    BASIS_KIND: "a quasi-eigen basis (open it with Load Basis)",
}


@dataclass(frozen=True)
class ValueFile:
    """The contents of a file of the right kind, version and checksum.

    Attributes:
        path: of the file.
        tensors: by name, finite.
        metadata: texts by name.
        space: of the value.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    space: LatentSpace

    def tensor(self, name: str) -> Tensor:
        """The tensor called `name`.

        Raises:
            UnsupportedModelError: it is missing.
        """
        if name not in self.tensors:
            raise UnsupportedModelError(f"{self.path}: tensor '{name}' is missing.")
        return self.tensors[name]

    def facts(self, key: str) -> dict[str, Any]:
        """The JSON object in the metadata called `key`.

        Raises:
            UnsupportedModelError: it is missing, no JSON or no object.
        """
        if key not in self.metadata:
            raise UnsupportedModelError(f"{self.path}: metadata '{key}' is missing.")
        return json_object(self.path, self.metadata, key)


def load_value(path: str | Path, kind: str) -> ValueFile:
    """Read the file of a value.

    Args:
        path: the file.
        kind: that it has to hold, one of `KINDS`.

    Raises:
        UnsupportedModelError: no safetensors file, damaged, of another kind or a later version, or
            its latent space is malformed.
    """
    tensors, metadata = load_tensors(path)
    _require_kind(path, metadata, kind)
    facts = json_object(path, metadata, "space")
    with description_of(path, "the latent space"):
        space = LatentSpace(
            str(facts["name"]),
            tuple(facts["shape"]),
            str(facts["model_id"]),
            tensors.get("space.mean"),
            tensors.get("space.std"),
        )
    return ValueFile(Path(path), tensors, metadata, space)


def save_value(
    path: str | Path,
    kind: str,
    space: LatentSpace,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
) -> None:
    """Write what `load_value` reads."""
    statistics = {"space.mean": space.mean, "space.std": space.std}
    known = {name: tensor for name, tensor in statistics.items() if tensor is not None}
    described = {"name": space.name, "shape": list(space.shape), "model_id": space.model_id}
    head = {"kind": kind, "format_version": FORMAT_VERSION, "space": json.dumps(described)}
    save_tensors(path, {**tensors, **known}, {**head, **metadata})


@contextmanager
def description_of(path: str | Path, what: str) -> Iterator[None]:
    """Turn whatever a malformed description raises into an error that names the file.

    Args:
        path: the file.
        what: is described, e.g. "direction 'smile'".

    Raises:
        UnsupportedModelError: instead of any other error.
    """
    try:
        yield
    except UnsupportedModelError:
        raise
    except FaceLatentsError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as e:
        why = f"{e} is missing" if isinstance(e, KeyError) else f"{type(e).__name__}: {e}"
        raise UnsupportedModelError(
            f"{path}: the description of {what} is malformed ({why})."
        ) from e


def json_object(path: str | Path, metadata: Mapping[str, str], key: str) -> dict[str, Any]:
    """The JSON object under `key` of a file's metadata; empty where there is none.

    Raises:
        UnsupportedModelError: not JSON, or not an object.
    """
    value = json_value(path, metadata, key, "{}")
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path}: metadata '{key}' must be a JSON object.")
    return value


def json_value(path: str | Path, metadata: Mapping[str, str], key: str, otherwise: str) -> Any:
    """The JSON under `key` of a file's metadata.

    Args:
        path: the file.
        metadata: of it.
        key: which.
        otherwise: what it is where it is missing.

    Raises:
        UnsupportedModelError: not JSON; NaN and infinity are none.
    """
    try:
        return json.loads(metadata.get(key, otherwise), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path}: metadata '{key}' is not valid JSON.") from error


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _require_kind(path: str | Path, metadata: Mapping[str, str], kind: str) -> None:
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

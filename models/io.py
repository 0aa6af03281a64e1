"""Saving and loading face codes and directions as safetensors files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import FaceLatentsError, UnsupportedModelError
from .face_model import direction_from_facts
from .safefile import load_tensors, save_tensors
from .space import LatentSpace
from .values import Direction, FaceLatent, PhotoContext

logger = logging.getLogger(__name__)

DIRECTION_KIND = "face_latents.direction"
LATENT_KIND = "face_latents.latent"
FORMAT_VERSION = "1"
_KINDS = {
    DIRECTION_KIND: "a direction (open it with Load Direction)",
    LATENT_KIND: "a face latent (open it with Load Face Latent)",
}


def save_direction(path: str | Path, direction: Direction) -> None:
    """Write a direction with all that is known of it."""
    tensors = {"direction": direction.vector, **_space_tensors(direction.space)}
    facts = {
        "unit": direction.unit,
        "safe_range": list(direction.safe_range),
        "accuracy": direction.accuracy,
        "method": direction.method,
    }
    metadata = {
        **_kind(DIRECTION_KIND, direction.space),
        "name": direction.name,
        "facts": json.dumps(facts),
    }
    save_tensors(path, tensors, metadata)


def load_direction(path: str | Path) -> Direction:
    """Read what `save_direction` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a direction.
    """
    tensors, metadata = load_tensors(path)
    _require_kind(path, metadata, DIRECTION_KIND)
    space = _space(path, tensors, metadata)
    vector = _take(path, tensors, "direction")
    facts = _parse(path, metadata, "facts")
    try:
        return direction_from_facts(path, metadata.get("name", "direction"), vector, space, facts)
    except UnsupportedModelError:
        raise
    except FaceLatentsError as error:
        raise UnsupportedModelError(f"{path}: {error}") from error


def save_latent(path: str | Path, latent: FaceLatent) -> None:
    """Write codes with their photo contexts, so that Paste Back works after loading.

    A photo shared by several faces is stored once, and as 8-bit values where that loses nothing.
    Entries of `extras` are kept if they are tensors or plain JSON values; others are left out
    with a warning.
    """
    tensors: dict[str, Tensor] = {"samples": latent.samples, **_space_tensors(latent.space)}
    photos: dict[str, int] = {}
    described: list[dict[str, object] | None] = []
    for i, context in enumerate(latent.contexts):
        if context is None:
            described.append(None)
            continue
        if context.photo_key not in photos:
            number = photos[context.photo_key] = len(photos)
            tensors[f"photo.{number}"] = _compact(context.photo)
            if context.alpha is not None:
                tensors[f"alpha.{number}"] = _compact(context.alpha)
        tensors[f"context.{i}.transform"] = context.transform
        tensors[f"context.{i}.landmarks"] = context.landmarks
        tensors[f"context.{i}.code"] = context.code
        described.append(
            {
                "photo": photos[context.photo_key],
                "photo_key": context.photo_key,
                "size": context.size,
                "face_index": context.face_index,
            }
        )
    plain = {}
    for name, value in latent.extras.items():
        if isinstance(value, Tensor):
            tensors[f"extras.{name}"] = value
        elif _is_json(value):
            plain[name] = value
        else:
            logger.warning("'%s' of type %s was not saved.", name, type(value).__name__)
    metadata = {
        **_kind(LATENT_KIND, latent.space),
        "contexts": json.dumps(described),
        "extras": json.dumps(plain),
    }
    save_tensors(path, tensors, metadata)


def load_latent(path: str | Path) -> FaceLatent:
    """Read what `save_latent` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a face latent.
    """
    tensors, metadata = load_tensors(path)
    _require_kind(path, metadata, LATENT_KIND)
    space = _space(path, tensors, metadata)
    described = _parse(path, metadata, "contexts")
    extras: dict[str, object] = dict(_parse(path, metadata, "extras") or {})
    prefix = "extras."
    extras.update({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    photos = {n: _restore(t) for n, t in tensors.items() if n.startswith(("photo.", "alpha."))}
    try:
        contexts = tuple(
            None if facts is None else _context(path, tensors, photos, i, facts)
            for i, facts in enumerate(described)
        )
        return FaceLatent(_take(path, tensors, "samples"), space, contexts, extras)
    except UnsupportedModelError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise UnsupportedModelError(f"{path}: its photo contexts are malformed ({error}).") from (
            error
        )


def _context(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    photos: Mapping[str, Tensor],
    index: int,
    facts: Mapping[str, Any],
) -> PhotoContext:
    return PhotoContext(
        photo=_take(path, photos, f"photo.{int(facts['photo'])}"),
        transform=_take(path, tensors, f"context.{index}.transform"),
        size=int(facts["size"]),
        landmarks=_take(path, tensors, f"context.{index}.landmarks"),
        code=_take(path, tensors, f"context.{index}.code"),
        photo_key=str(facts["photo_key"]),
        face_index=int(facts["face_index"]),
        alpha=photos.get(f"alpha.{int(facts['photo'])}"),
    )


def _compact(values: Tensor) -> Tensor:
    """uint8 if every value is exactly k / 255, as pictures of 8-bit files are; else unchanged."""
    if values.dtype != torch.float32:
        return values
    rounded = (values * 255).round().clamp(0, 255).to(torch.uint8)
    return rounded if torch.equal(_restore(rounded), values.cpu()) else values


def _restore(values: Tensor) -> Tensor:
    return values.cpu().float() / 255 if values.dtype == torch.uint8 else values


def _kind(kind: str, space: LatentSpace) -> dict[str, str]:
    described = {"name": space.name, "shape": list(space.shape), "model_id": space.model_id}
    return {"kind": kind, "format_version": FORMAT_VERSION, "space": json.dumps(described)}


def _space_tensors(space: LatentSpace) -> dict[str, Tensor]:
    statistics = {"space.mean": space.mean, "space.std": space.std}
    return {name: tensor for name, tensor in statistics.items() if tensor is not None}


def _space(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> LatentSpace:
    facts = _parse(path, metadata, "space")
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


def _require_kind(path: str | Path, metadata: Mapping[str, str], kind: str) -> None:
    found = metadata.get("kind")
    if found != kind:
        holds = _KINDS.get(found or "", "something else, perhaps a model (Load Face Model)")
        raise UnsupportedModelError(
            f"{path}: expected {_KINDS[kind].split(' (')[0]}, but the file holds {holds}."
        )
    if metadata.get("format_version") != FORMAT_VERSION:
        raise UnsupportedModelError(
            f"{path}: written in format version {metadata.get('format_version')}, known here is "
            f"{FORMAT_VERSION}. Update this package."
        )


def _parse(path: str | Path, metadata: Mapping[str, str], key: str) -> Any:
    try:
        return json.loads(metadata[key])
    except (KeyError, ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path}: metadata '{key}' is missing or malformed.") from error


def _take(path: str | Path, tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise UnsupportedModelError(f"{path}: tensor '{name}' is missing.")
    return tensors[name]


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True

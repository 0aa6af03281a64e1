"""Saving and loading face codes and directions as safetensors files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import FaceLatentsError, UnsupportedModelError
from ..values import Direction, FaceLatent, PhotoContext
from .envelope import (
    DIRECTION_KIND,
    LATENT_KIND,
    kind_metadata,
    read_json,
    read_space,
    require_kind,
    space_tensors,
    take_tensor,
)
from .model_directions import describe_direction, direction_from_facts
from .tensors import load_tensors, save_tensors

logger = logging.getLogger(__name__)


def save_direction(path: str | Path, direction: Direction) -> None:
    """Write a direction with all that is known of it."""
    tensors = {"direction": direction.vector, **space_tensors(direction.space)}
    metadata = {
        **kind_metadata(DIRECTION_KIND, direction.space),
        "name": direction.name,
        "facts": json.dumps(describe_direction(direction)),
    }
    save_tensors(path, tensors, metadata)


def load_direction(path: str | Path) -> Direction:
    """Read what `save_direction` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a direction.
    """
    tensors, metadata = load_tensors(path)
    require_kind(path, metadata, DIRECTION_KIND)
    space = read_space(path, tensors, metadata)
    vector = take_tensor(path, tensors, "direction")
    facts = read_json(path, metadata, "facts")
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
    tensors: dict[str, Tensor] = {"samples": latent.samples, **space_tensors(latent.space)}
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
        facts: dict[str, object] = {
            "photo": photos[context.photo_key],
            "photo_key": context.photo_key,
            "size": context.size,
            "face_index": context.face_index,
        }
        described.append(facts if context.has_face else {**facts, "has_face": False})
    plain = {}
    for name, value in latent.extras.items():
        if isinstance(value, Tensor):
            tensors[f"extras.{name}"] = value
        elif _is_json(value):
            plain[name] = value
        else:
            logger.warning("'%s' of type %s was not saved.", name, type(value).__name__)
    metadata = {
        **kind_metadata(LATENT_KIND, latent.space),
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
    require_kind(path, metadata, LATENT_KIND)
    space = read_space(path, tensors, metadata)
    described = read_json(path, metadata, "contexts")
    extras: dict[str, object] = dict(read_json(path, metadata, "extras") or {})
    prefix = "extras."
    extras.update({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    photos = {n: _restore(t) for n, t in tensors.items() if n.startswith(("photo.", "alpha."))}
    try:
        contexts = tuple(
            None if facts is None else _context(path, tensors, photos, i, facts)
            for i, facts in enumerate(described)
        )
        return FaceLatent(take_tensor(path, tensors, "samples"), space, contexts, extras)
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
        photo=take_tensor(path, photos, f"photo.{int(facts['photo'])}"),
        transform=take_tensor(path, tensors, f"context.{index}.transform"),
        size=int(facts["size"]),
        landmarks=take_tensor(path, tensors, f"context.{index}.landmarks"),
        code=take_tensor(path, tensors, f"context.{index}.code"),
        photo_key=str(facts["photo_key"]),
        face_index=int(facts["face_index"]),
        alpha=photos.get(f"alpha.{int(facts['photo'])}"),
        has_face=bool(facts.get("has_face", True)),
    )


def _compact(values: Tensor) -> Tensor:
    """uint8 if every value is exactly k / 255, as pictures of 8-bit files are; else unchanged."""
    if values.dtype != torch.float32:
        return values
    rounded = (values * 255).round().clamp(0, 255).to(torch.uint8)
    return rounded if torch.equal(_restore(rounded), values.cpu()) else values


def _restore(values: Tensor) -> Tensor:
    return values.cpu().float() / 255 if values.dtype == torch.uint8 else values


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True

"""Saving and loading face codes and directions as safetensors files."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..values import Direction, FaceLatent, PhotoContext
from .envelope import (
    DIRECTION_KIND,
    LATENT_KIND,
    ValueFile,
    description_of,
    json_value,
    load_value,
    save_value,
)
from .model_directions import describe_direction, direction_from_facts

logger = logging.getLogger(__name__)

_STRIP = 2**24  # values looked at together, which bounds the memory besides the photo itself


def save_direction(path: str | Path, direction: Direction) -> None:
    """Write a direction with all that is known of it."""
    metadata = {"name": direction.name, "facts": json.dumps(describe_direction(direction))}
    tensors = {"direction": direction.vector}
    if direction.reading is not None:
        tensors["reading"] = direction.reading.weights
    save_value(path, DIRECTION_KIND, direction.space, tensors, metadata)


def load_direction(path: str | Path) -> Direction:
    """Read what `save_direction` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a direction.
    """
    file = load_value(path, DIRECTION_KIND)
    name = file.metadata.get("name", "direction")
    vector, weights = file.tensor("direction"), file.tensors.get("reading")
    return direction_from_facts(path, name, vector, file.space, file.facts("facts"), weights)


def save_latent(path: str | Path, latent: FaceLatent) -> None:
    """Write codes with their photo contexts, so that Paste Back works after loading.

    A photo shared by several faces is stored once, and as 8-bit values where that loses nothing.
    Entries of `extras` are kept if they are tensors or plain JSON values; others are left out
    with a warning.
    """
    tensors: dict[str, Tensor] = {"samples": latent.samples}
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
    metadata = {"contexts": json.dumps(described), "extras": json.dumps(plain)}
    save_value(path, LATENT_KIND, latent.space, tensors, metadata)


def load_latent(path: str | Path) -> FaceLatent:
    """Read what `save_latent` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a face latent.
    """
    file, prefix = load_value(path, LATENT_KIND), "extras."
    extras: dict[str, object] = file.facts("extras")
    extras.update(
        {n.removeprefix(prefix): t for n, t in file.tensors.items() if n.startswith(prefix)}
    )
    photos = {n: _restore(t) for n, t in file.tensors.items() if n.startswith(("photo.", "alpha."))}
    with description_of(path, "its photos"):
        contexts = tuple(
            None if facts is None else _context(file, photos, i, facts)
            for i, facts in enumerate(json_value(path, file.metadata, "contexts", "null"))
        )
        return FaceLatent(file.tensor("samples"), file.space, contexts, extras)


def _context(
    file: ValueFile, photos: Mapping[str, Tensor], index: int, facts: Mapping[str, Any]
) -> PhotoContext:
    number = int(facts["photo"])
    return PhotoContext(
        photo=photos[f"photo.{number}"],
        transform=file.tensor(f"context.{index}.transform"),
        size=int(facts["size"]),
        landmarks=file.tensor(f"context.{index}.landmarks"),
        code=file.tensor(f"context.{index}.code"),
        photo_key=str(facts["photo_key"]),
        face_index=int(facts["face_index"]),
        alpha=photos.get(f"alpha.{number}"),
        has_face=bool(facts.get("has_face", True)),
    )


def _compact(values: Tensor) -> Tensor:
    """uint8 if every value is exactly k / 255, as pictures of 8-bit files are; else unchanged."""
    if values.dtype != torch.float32 or not len(values):
        return values
    strips = []
    for strip in values.cpu().split(max(1, _STRIP // max(1, values[0].numel()))):
        rounded = (strip * 255).round().clamp(0, 255).to(torch.uint8)
        if not torch.equal(_restore(rounded), strip):
            return values
        strips.append(rounded)
    return torch.cat(strips)


def _restore(values: Tensor) -> Tensor:
    return values.cpu().float() / 255 if values.dtype == torch.uint8 else values


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True

"""Directions and other facts in the metadata of a face model file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..errors import UnsupportedModelError
from ..space import LatentSpace
from ..values import Direction
from .tensors import read_header

DIRECTION_PREFIX = "directions."


def direction_names(path: str | Path) -> list[str]:
    """Names of the directions in a face model file, in the order its metadata lists them."""
    header = read_header(path)
    prefix = DIRECTION_PREFIX
    names = [n.removeprefix(prefix) for n in header.tensors if n.startswith(prefix)]
    listed = list(json_object(path, header.metadata, "directions"))
    return sorted(names, key=lambda n: (listed.index(n) if n in listed else len(listed), n))


def read_directions(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    space: LatentSpace,
) -> dict[str, Direction]:
    """The directions of a file by name, in the order its metadata lists them.

    Raises:
        UnsupportedModelError: one has another shape than the codes, or a malformed description.
    """
    described = json_object(path, metadata, "directions")
    prefix = DIRECTION_PREFIX
    found = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    order = [n for n in described if n in found] + sorted(set(found) - set(described))
    result = {}
    for name in order:
        if tuple(found[name].shape) != space.shape:
            raise UnsupportedModelError(
                f"{path}: direction '{name}' has shape {list(found[name].shape)}, expected "
                f"{list(space.shape)}."
            )
        facts = described.get(name, {})
        result[name] = direction_from_facts(path, name, found[name], space, facts)
    return result


def describe_direction(direction: Direction) -> dict[str, object]:
    """What `direction_from_facts` reads, as JSON values."""
    return {
        "unit": direction.unit,
        "safe_range": list(direction.safe_range),
        "accuracy": direction.accuracy,
        "method": direction.method,
        "group": direction.group,
    }


def direction_from_facts(
    path: str | Path, name: str, vector: Tensor, space: LatentSpace, facts: object
) -> Direction:
    """Build a Direction from its vector and the JSON object that describes it.

    Raises:
        UnsupportedModelError: the description is malformed.
    """
    try:
        if not isinstance(facts, dict):
            raise TypeError("not an object")
        low, high = (float(value) for value in facts.get("safe_range", (-3.0, 3.0)))
        accuracy = facts.get("accuracy")
        return Direction(
            vector=vector.float(),
            space=space,
            name=name,
            unit=str(facts.get("unit", "")),
            safe_range=(low, high),
            accuracy=None if accuracy is None else float(accuracy),
            method=str(facts.get("method", "")),
            group=str(facts.get("group", "")),
        )
    except (TypeError, ValueError) as error:
        raise UnsupportedModelError(
            f"{path}: the description of direction '{name}' is malformed ({error})."
        ) from error


def json_object(path: str | Path, metadata: Mapping[str, str], key: str) -> dict[str, object]:
    """The JSON object under `key` of a file's metadata; empty where there is none.

    Raises:
        UnsupportedModelError: not JSON, or not an object.
    """
    try:
        value = json.loads(metadata.get(key, "{}"))
    except (ValueError, RecursionError) as error:
        raise UnsupportedModelError(f"{path}: metadata '{key}' is not valid JSON.") from error
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path}: metadata '{key}' must be a JSON object.")
    return value

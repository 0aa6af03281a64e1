"""Directions and other facts in the metadata of a face model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ..errors import UnsupportedModelError
from ..space import LatentSpace
from ..values import Direction, Reading, require_safe_range
from .envelope import description_of, json_object
from .tensors import read_header

DIRECTION_PREFIX = "directions."
READING_PREFIX = "readings."  # of the weights of a direction's reading
_SAFE_RANGE = (-3.0, 3.0)  # of a direction whose file says none


def direction_names(path: str | Path) -> list[str]:
    """Names of the directions in a face model file, in the order its metadata lists them."""
    header = read_header(path)
    prefix = DIRECTION_PREFIX
    names = [n.removeprefix(prefix) for n in header.tensors if n.startswith(prefix)]
    listed = list(json_object(path, header.metadata, "directions"))
    return sorted(names, key=lambda n: (listed.index(n) if n in listed else len(listed), n))


class DirectionFacts(NamedTuple):
    """What a file says of a direction: see `Direction`."""

    unit: str
    safe_range: tuple[float, float]
    group: str


def direction_facts(path: str | Path) -> dict[str, DirectionFacts]:
    """What a face model file says of its directions, by name, read from its header only.

    Raises:
        UnsupportedModelError: a malformed description.
    """
    described = json_object(path, read_header(path).metadata, "directions")
    found = {}
    for name in direction_names(path):
        with description_of(path, f"direction '{name}'"):
            facts = described.get(name, {})
            low, high = (float(value) for value in facts.get("safe_range", _SAFE_RANGE))
            require_safe_range(name, (low, high))
            unit, group = (str(facts.get(fact, "")) for fact in ("unit", "group"))
            found[name] = DirectionFacts(unit, (low, high), group)
    return found


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
        weights = tensors.get(READING_PREFIX + name)
        result[name] = direction_from_facts(path, name, found[name], space, facts, weights)
    return result


def describe_direction(direction: Direction) -> dict[str, object]:
    """What `direction_from_facts` reads, as JSON values."""
    facts: dict[str, object] = {
        "unit": direction.unit,
        "safe_range": list(direction.safe_range),
        "accuracy": direction.accuracy,
        "method": direction.method,
        "group": direction.group,
    }
    if direction.reading is not None:
        facts["reading"] = {
            "unit": direction.reading.unit,
            "zero": direction.reading.zero,
            "least": direction.reading.least,
        }
    return facts


def direction_from_facts(
    path: str | Path,
    name: str,
    vector: Tensor,
    space: LatentSpace,
    facts: object,
    weights: Tensor | None = None,
) -> Direction:
    """Build a Direction from its vector, the JSON object that describes it, and the weights of its
    reading.

    Raises:
        UnsupportedModelError: the description is malformed.
    """
    with description_of(path, f"direction '{name}'"):
        if not isinstance(facts, dict):
            raise TypeError("not an object")
        low, high = (float(value) for value in facts.get("safe_range", _SAFE_RANGE))
        accuracy, reading = facts.get("accuracy"), facts.get("reading")
        return Direction(
            vector=vector.float(),
            space=space,
            name=name,
            unit=str(facts.get("unit", "")),
            safe_range=(low, high),
            accuracy=None if accuracy is None else float(accuracy),
            method=str(facts.get("method", "")),
            group=str(facts.get("group", "")),
            reading=None if weights is None or reading is None else _reading(weights, reading),
        )


def _reading(weights: Tensor, facts: Mapping[str, Any]) -> Reading:
    least = facts.get("least")
    return Reading(
        weights.float(),
        float(facts["zero"]),
        str(facts["unit"]),
        None if least is None else float(least),
    )

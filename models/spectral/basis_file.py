"""Quasi-eigen bases as safetensors files, and those that come with the package."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from ..bundled import bundled_file
from ..errors import FaceLatentsError
from ..files.envelope import (
    BASIS_KIND,
    description_of,
    load_value,
    save_value,
)
from .basis import LatentBasis

BUNDLED_BASES = ("face", "digits")


def save_basis(path: str | Path, basis: LatentBasis) -> None:
    """Write a basis with all that is known of it."""
    tensors = {"vectors": basis.vectors}
    if basis.mean is not None:
        tensors["mean"] = basis.mean
    facts = {
        "labels": list(basis.labels),
        "method": basis.method,
        "exclusive": basis.exclusive,
        "rank": basis.rank,
        "condition": basis.condition if math.isfinite(basis.condition) else None,
        "accuracy": basis.accuracy,
    }
    metadata = {"name": basis.name, "facts": json.dumps(facts)}
    save_value(path, BASIS_KIND, basis.space, tensors, metadata)


def load_basis(path: str | Path) -> LatentBasis:
    """Read what `save_basis` wrote.

    Raises:
        UnsupportedModelError: no safetensors file, or not one of a basis: other tensors, labels
            that are missing, vectors that are not finite or not orthonormal.
    """
    file = load_value(path, BASIS_KIND)
    vectors, mean, facts = file.tensor("vectors"), file.tensors.get("mean"), file.facts("facts")
    with description_of(path, "the basis"):
        return LatentBasis(
            vectors=vectors.float(),
            labels=tuple(_strings(facts["labels"])),
            space=file.space,
            mean=None if mean is None else mean.float(),
            name=file.metadata.get("name", "basis"),
            method=str(facts.get("method", "")),
            exclusive=bool(facts.get("exclusive", True)),
            rank=int(facts.get("rank", 0)),
            condition=_number(facts.get("condition"), math.nan),
            accuracy=None if facts.get("accuracy") is None else float(facts["accuracy"]),
        )


def bundled_basis_path(name: str) -> Path:
    """The file of a bundled basis, one of `BUNDLED_BASES`."""
    if name not in BUNDLED_BASES:
        raise FaceLatentsError(
            f"There is no bundled basis '{name}'. There are: {', '.join(BUNDLED_BASES)}."
        )
    return bundled_file(f"basis_{name}.safetensors")


def _strings(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("labels must be a list of names")
    return values


def _number(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)

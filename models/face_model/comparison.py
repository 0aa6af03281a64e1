"""How far apart faces are: whole codes, a part of them, or what tells people apart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ... import latent_ops
from ..errors import FaceLatentsError
from .model import FaceModel

ALL, IDENTITY = "all", "identity"
PARTS = (ALL, IDENTITY, "shape", "appearance", "pose")
POSE = "pose"
PASSING = ("expression", "light")  # groups of directions that change no person


def compare_part(
    model: FaceModel, part: str, a: Tensor, b: Tensor, measure: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Distances of a part of codes.

    Of the identity, a face and its mirror image are the same: the smaller distance of both counts.

    Args:
        model: whose codes they are.
        part: one of `PARTS`.
        a, b: codes `(A, *shape)` and `(B, *shape)`.
        measure: distances of what is compared, `(A, n)` and `(B, n)`.

    Raises:
        FaceLatentsError: the model does not know the part.
    """
    first, second = select_part(model, part, a), select_part(model, part, b)
    mirror = model.capabilities.mirror
    apart = measure(first, second)
    if part != IDENTITY or mirror is None:
        return apart
    return torch.minimum(apart, measure(first, select_part(model, part, mirror(b))))


def select_part(model: FaceModel, part: str, codes: Tensor) -> Tensor:
    """What of codes `(B, *shape)` belongs to a part, `(B, n)`.

    The identity is what is left without pose, and without all that expressions and light change.

    Raises:
        FaceLatentsError: the model does not know the part.
    """
    if part == ALL:
        return codes.flatten(1)
    known = model.capabilities.parts
    if part in known:
        return codes[:, known[part]]
    if part != IDENTITY or POSE not in known:
        raise FaceLatentsError(
            f"Model '{model.name}' does not tell the part '{part}' from the rest of a code. Choose "
            f"'{ALL}', or use the bundled face model."
        )
    return latent_ops.project_out(codes, _passing(model).to(codes))


def _passing(model: FaceModel) -> Tensor:
    """What changes without another person, `(K, *shape)`."""
    numbers = torch.eye(*model.space.shape)[model.capabilities.parts[POSE]]
    vectors = [d.vector[None] for d in model.directions.values() if d.group in PASSING]
    effects = [] if model.expressions is None else [model.expressions.effects]
    return torch.cat([numbers, *effects, *vectors])

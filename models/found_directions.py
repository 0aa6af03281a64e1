"""Directions found without labels, to be named by looking: PCA of codes and SeFa of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from .. import latent_ops
from .errors import FaceLatentsError
from .face_model import FaceModel
from .values import Direction


def pca_directions(model: FaceModel, codes: Tensor, count: int) -> tuple[Direction, Tensor]:
    """The directions along which codes vary most (GANSpace takes those of w).

    Args:
        model: whose codes these are.
        codes: ``(N, *shape)``.
        count: how many, at most N - 1.

    Returns:
        A batch of directions, strength 1 being one standard deviation of the codes along each; and
        the share of the variance along each, ``(count,)``.

    Raises:
        FaceLatentsError: too few codes, or codes that do not vary.
    """
    codes = codes.detach().cpu().float()
    _require_count(count, min(len(codes) - 1, codes[0].numel()), f"{len(codes)} faces")
    try:
        vectors, shares = latent_ops.principal_directions(codes, count)
    except ValueError as error:
        raise FaceLatentsError(f"PCA: {error}") from error
    along = (codes - codes.mean(0)).flatten(1) @ vectors.flatten(1).T
    direction = Direction(
        vector=vectors * along.std(0).reshape(-1, *[1] * model.space.latent_dims),
        space=model.space,
        name="PCA",
        unit=f"one standard deviation of the {len(codes)} faces along it",
        method=f"principal components of {len(codes)} codes",
    )
    return direction, shares


def sefa_directions(model: FaceModel, count: int) -> tuple[Direction, Tensor]:
    """The directions that the first weight of the network amplifies most (SeFa).

    Args:
        model: its network needs a ``style_weight() -> (out, d)``, d numbers of a code, or of each
            layer of one.
        count: how many, at most d.

    Returns:
        A batch of directions, strength 1 being one standard deviation of the model's codes along
        each where it states it; and each one's share of the sum of eigenvalues, ``(count,)``.

    Raises:
        FaceLatentsError: a network without that weight, or too few directions.
    """
    weight_of = getattr(model.module, "style_weight", None)
    if weight_of is None:
        raise FaceLatentsError(
            f"SeFa needs the weight that first acts on a code, which the network of model "
            f"'{model.name}' does not offer. Use PCA Directions, which only needs faces."
        )
    with torch.no_grad():
        weight = cast(Callable[[], Tensor], weight_of)().detach().cpu()
    size, shape = weight.shape[1], model.space.shape
    if shape[-1] != size:
        raise FaceLatentsError(
            f"SeFa: the weight of model '{model.name}' acts on {size} numbers, but its codes have "
            f"shape {shape}."
        )
    _require_count(count, size, f"codes of {size} numbers")
    vectors, values = latent_ops.sefa_directions(weight, size)
    shares = (values / values.sum())[:count]
    # for codes of several layers: the same step in each of them
    vectors = vectors[:count].reshape(count, *[1] * (len(shape) - 1), size).expand(count, *shape)
    spread = torch.ones(shape) if model.space.std is None else model.space.std.cpu().float()
    unit = vectors / vectors.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
    deviation = (unit * spread).flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
    direction = Direction(
        vector=(unit * deviation).contiguous(),
        space=model.space,
        name="SeFa",
        unit="one standard deviation of the model's codes along it",
        method="SeFa: eigenvectors of the weight that first acts on the code",
    )
    return direction, shares


def _require_count(count: int, most: int, of: str) -> None:
    if not 1 <= count <= most:
        raise FaceLatentsError(
            f"{count} directions were asked for, but {of} give at most {max(most, 0)}. Lower "
            "count, or give more faces."
        )

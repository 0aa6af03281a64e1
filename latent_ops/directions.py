"""Directions themselves: normalise them, and condition them on others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._basis import along_basis, axis_of, span_basis
from ._geometry import unflatten_codes, unit_and_length
from ._validation import compute_dtype, latent_shape, require_codes


def normalise(direction: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return directions of length 1.

    Args:
        direction: `(*, *latent_shape)`.
        latent_dims: number of trailing dimensions that make one direction.

    Returns:
        New directions in the dtype of `direction`.

    Raises:
        TypeError: if `direction` is not a floating-point tensor.
        ValueError: if a direction is zero or not finite.

    Example:
        >>> normalise(torch.tensor([3.0, 4.0]))
        tensor([0.6000, 0.8000])
    """
    require_codes("direction", direction, latent_dims)
    unit, _, _ = axis_of(direction, latent_dims, compute_dtype(direction))
    return unflatten_codes(unit, latent_shape(direction, latent_dims)).to(direction.dtype)


def condition(direction: Tensor, others: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Make a direction independent of others: remove its projection on their span, keep its norm.

    Moving along the result leaves the coefficients of all the others unchanged. Works for any
    number of others (Shen et al. 2020, InterFaceGAN, arXiv 1907.10786, has one and two).

    Args:
        direction: `(*, *latent_shape)`.
        others: `(K, *latent_shape)`; any K including 0. They need not be independent: repeated,
            dependent and zero ones change nothing.
        latent_dims: number of trailing dimensions that make one direction.

    Returns:
        New directions of the norm and dtype of `direction`.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, a direction is zero or not finite, or it lies in
            the span of the others, which leaves nothing but rounding errors.

    Example:
        >>> condition(torch.tensor([3.0, 4.0]), torch.tensor([[2.0, 0.0]]))
        tensor([0., 5.])
    """
    require_codes("direction", direction, latent_dims)
    basis = span_basis("others", others, "direction", direction, latent_dims)
    if basis.shape[0] == 0:
        axis_of(direction, latent_dims, torch.float64)
        return direction.clone()
    # Float64, on the CPU where every build has it: directions are few, small remainders count.
    source = direction.cpu().double()
    unit, norm, _ = axis_of(source, latent_dims, torch.float64)
    rest = unit - along_basis(unit, basis)
    rest_unit, rest_length = unit_and_length(rest - along_basis(rest, basis))
    floor = math.sqrt(torch.finfo(torch.promote_types(direction.dtype, others.dtype)).eps)
    inside = (rest_length <= floor).reshape(-1)
    if bool(inside.any()):
        which = "" if inside.numel() == 1 else f" (item {int(inside.nonzero()[0, 0])} of the batch)"
        raise ValueError(
            f"The direction{which} is a mix of the {others.shape[0]} directions it should be "
            "independent of, so nothing of it would be left. Take one of them out."
        )
    result = unflatten_codes(norm * rest_unit, latent_shape(direction, latent_dims))
    return result.to(device=direction.device, dtype=direction.dtype)

"""Turn codes in the plane of two directions: the label changes, the rest of the code stays."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._basis import axis_of
from ._geometry import dot, flatten_codes, unflatten_codes, unit_and_length
from ._validation import batch_scalar, compute_dtype, latent_shape, require_codes, require_match


def rotate(
    codes: Tensor,
    a: Tensor,
    b: Tensor,
    angle: float | Tensor,
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Rotate codes about a mean in the plane of two directions, from a towards b.

    `z' = z + (cos t - 1)(p u + q v) + sin t (p v - q u)` with `u = a / |a|`, v the part of b
    perpendicular to u, normalised, `p = <z - mean, u>` and `q = <z - mean, v>`. This is the
    rotation matrix of the plane applied without building it. Distances from the mean are kept, and
    so is everything perpendicular to the plane. The paper's operator (Toledo-Marin & Glazier
    2023), an outer product of two basis vectors, keeps neither.

    Args:
        codes: z, `(*, *latent_shape)`.
        a: where the turn starts, `(*, *latent_shape)`, of any length but zero; batches broadcast.
        b: where it goes; not parallel to `a`.
        angle: t in radians, a number, or one per code. With perpendicular a and b, pi/2 turns all
            of a into b and all of b into -a.
        mean: the point that stays in place, `(*, *latent_shape)`; the zero code when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`, bit for bit the same where `angle` is 0.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, `angle` is not finite, a direction is zero or
            not finite, or a and b are parallel, which leaves no plane to turn in.

    Example:
        >>> x, y, _ = torch.eye(3)
        >>> rotate(torch.tensor([2.0, 0.0, 7.0]), x, y, math.pi / 2).round()
        tensor([0., 2., 7.])
    """
    return rotate_chain(codes, [(a, b, angle)], mean, latent_dims=latent_dims)


def rotate_chain(
    codes: Tensor,
    planes: Sequence[tuple[Tensor, Tensor, float | Tensor]],
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Rotate codes in one plane after another.

    The order matters wherever two planes share a direction.

    Args:
        codes: `(*, *latent_shape)`.
        planes: `(a, b, angle)` of each turn as in `rotate`, the first one applied first.
        mean, latent_dims: as in `rotate`.

    Returns:
        New codes in the dtype of `codes`, rounded to it once at the end.

    Raises:
        TypeError, ValueError: as `rotate`.

    Example:
        >>> (x, y, z), right = torch.eye(3), math.pi / 2
        >>> rotate_chain(2 * x, [(x, y, right), (y, z, right)]).round()
        tensor([0., 0., 2.])
    """
    require_codes("codes", codes, latent_dims)
    dtype = compute_dtype(codes)
    centre = None
    if mean is not None:
        require_match("codes", codes, "mean", mean, latent_dims)
        dtype = torch.promote_types(dtype, mean.dtype)
    for a, b, _ in planes:
        require_match("codes", codes, "a", a, latent_dims)
        require_match("codes", codes, "b", b, latent_dims)
        dtype = torch.promote_types(dtype, torch.promote_types(a.dtype, b.dtype))
    flat = flatten_codes(codes, latent_dims, dtype).clone()
    if mean is not None:
        centre = flatten_codes(mean, latent_dims, dtype)
    for a, b, angle in planes:
        turn = batch_scalar("angle", angle, codes, latent_dims)
        turn = turn.flatten(turn.ndim - latent_dims) if turn.ndim else turn
        u, v = (axis.to(flat) for axis in _plane(a, b, latent_dims))
        flat = _turn(flat, u, v, turn.to(dtype), centre)
    return unflatten_codes(flat, latent_shape(codes, latent_dims)).to(codes.dtype)


def _turn(codes: Tensor, u: Tensor, v: Tensor, angle: Tensor, mean: Tensor | None) -> Tensor:
    offset = codes if mean is None else codes - mean
    p, q = dot(offset, u), dot(offset, v)
    sine = torch.sin(angle)
    versine = 2 * torch.sin(angle / 2) ** 2  # 1 - cos, without its cancellation at small angles
    result = codes - (versine * p + sine * q) * u + (sine * p - versine * q) * v
    return torch.where(angle == 0, codes, result)


def _plane(a: Tensor, b: Tensor, latent_dims: int) -> tuple[Tensor, Tensor]:
    """Return the orthonormal axes u along a and v towards b, flat `(*, D)`, in float64."""
    # Float64, on the CPU where every build has it: directions are few, and v is a difference.
    u, _, _ = axis_of(a.cpu(), latent_dims, torch.float64)
    towards, _, _ = axis_of(b.cpu(), latent_dims, torch.float64)
    rest, sine = unit_and_length(towards - dot(towards, u) * u)
    floor = math.sqrt(torch.finfo(torch.promote_types(a.dtype, b.dtype)).eps)
    if bool((sine <= floor).any()):
        raise ValueError(
            "The two directions are parallel, so they span no plane to rotate in. Choose two "
            "different labels."
        )
    return u, unit_and_length(rest - dot(rest, u) * u)[0]

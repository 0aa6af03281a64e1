"""Codes along directions: measure, project, remove, and set to a value."""

from __future__ import annotations

import torch
from torch import Tensor

from ._basis import along_basis, axis_of, span_basis
from ._geometry import dot, flatten_codes, unflatten_codes
from ._validation import batch_scalar, compute_dtype, latent_shape, require_codes, require_match


def coefficient(
    codes: Tensor, direction: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Measure codes along a direction: `<v - mean, n> / |n|^2`.

    In units of the direction itself: adding `k n` adds k.

    Args:
        codes: `(*, *latent_shape)`.
        direction: n, `(*, *latent_shape)`, of any length but zero; batches broadcast.
        mean: where the scale has its zero, `(*, *latent_shape)`; the zero code when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        `(*)`, float32 or wider.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or a direction is zero or not finite.

    Example:
        >>> coefficient(torch.tensor([3.0, 5.0]), torch.tensor([2.0, 0.0]))
        tensor(1.5000)
    """
    value, _, _ = _measure(codes, direction, mean, latent_dims)
    return value.squeeze(-1)


def project(
    codes: Tensor, direction: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Return the component of codes along a direction, `(<v - mean, n> / |n|^2) n`.

    Args, Raises: as `coefficient`.

    Returns:
        New codes in the dtype of `codes`. What is left of the code is
        `v - project(v, n)`, which is `remove(v, n)`.

    Example:
        >>> project(torch.tensor([3.0, 5.0]), torch.tensor([2.0, 0.0]))
        tensor([3., 0.])
    """
    value, axis, _ = _measure(codes, direction, mean, latent_dims)
    return unflatten_codes(value * axis, latent_shape(codes, latent_dims)).to(codes.dtype)


def remove(
    codes: Tensor,
    direction: Tensor,
    amount: float | Tensor = 1.0,
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Take a feature out of codes: `v - amount (<v - mean, n> / |n|^2) n`.

    Args:
        codes: `(*, *latent_shape)`.
        direction: n, `(*, *latent_shape)`, of any length but zero; batches broadcast.
        amount: 1 removes all of it (the coefficient becomes 0, the average face's), 0 nothing, 2
            mirrors the code at the mean. A number, or one per code.
        mean: as in `coefficient`.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`, bit for bit the same where `amount` is 0.

    Raises:
        TypeError, ValueError: as `coefficient`; also ValueError if `amount` is not finite.

    Example:
        >>> remove(torch.tensor([3.0, 5.0]), torch.tensor([2.0, 0.0]))
        tensor([0., 5.])
    """
    value, axis, start = _measure(codes, direction, mean, latent_dims)
    k = _flat_scalar("amount", amount, codes, latent_dims).to(start.dtype)
    result = torch.where(k == 0, start, start - k * value * axis)
    return unflatten_codes(result, latent_shape(codes, latent_dims)).to(codes.dtype)


def set_to_value(
    codes: Tensor,
    direction: Tensor,
    target: float | Tensor,
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Move codes along a direction until they measure `target`.

    `v + (target - <v - mean, n> / |n|^2) n`: whatever the code measured before, afterwards
    `coefficient` returns `target`, and everything perpendicular to n is untouched.

    Args:
        codes: `(*, *latent_shape)`.
        direction: n, `(*, *latent_shape)`, of any length but zero; batches broadcast.
        target: the coefficient to reach, a number, or one per code.
        mean: as in `coefficient`.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`.

    Raises:
        TypeError, ValueError: as `coefficient`; also ValueError if `target` is not finite.

    Example:
        >>> set_to_value(torch.tensor([3.0, 5.0]), torch.tensor([2.0, 0.0]), 4.0)
        tensor([8., 5.])
    """
    value, axis, start = _measure(codes, direction, mean, latent_dims)
    goal = _flat_scalar("target", target, codes, latent_dims).to(start.dtype)
    result = start + (goal - value) * axis
    return unflatten_codes(result, latent_shape(codes, latent_dims)).to(codes.dtype)


def project_out(
    codes: Tensor, directions: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Remove from codes their projection on the span of several directions.

    Unlike removing one after the other this leaves nothing behind when the directions are not
    perpendicular to each other.

    Args:
        codes: `(*, *latent_shape)`.
        directions: `(K, *latent_shape)`; any K including 0, dependent and zero ones allowed.
        mean: point through which the span goes, `(*, *latent_shape)`; the zero code when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or a direction is not finite.

    Example:
        >>> project_out(torch.tensor([3.0, 5.0, 1.0]), torch.eye(3)[:2])
        tensor([0., 0., 1.])
    """
    require_codes("codes", codes, latent_dims)
    basis = span_basis("directions", directions, "codes", codes, latent_dims)
    start, offset = _flat_and_centred(codes, directions, mean, latent_dims)
    rest = start - along_basis(offset, basis.to(device=codes.device, dtype=start.dtype))
    return unflatten_codes(rest, latent_shape(codes, latent_dims)).to(codes.dtype)


def _flat_and_centred(
    codes: Tensor, directions: Tensor, mean: Tensor | None, latent_dims: int
) -> tuple[Tensor, Tensor]:
    """Return flat codes `(*, D)` and the same from the mean, in the dtype to compute in."""
    tensors = (codes, directions) if mean is None else (codes, directions, mean)
    dtype = compute_dtype(*tensors)
    start = flatten_codes(codes, latent_dims, dtype)
    if mean is None:
        return start, start
    require_match("codes", codes, "mean", mean, latent_dims)
    return start, start - flatten_codes(mean, latent_dims, dtype)


def _measure(
    codes: Tensor, direction: Tensor, mean: Tensor | None, latent_dims: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return coefficients `(*, 1)`, flat directions `(*, D)` and flat codes `(*, D)`."""
    require_codes("codes", codes, latent_dims)
    require_match("codes", codes, "direction", direction, latent_dims)
    start, offset = _flat_and_centred(codes, direction, mean, latent_dims)
    unit, norm, axis = axis_of(direction, latent_dims, start.dtype)
    return dot(offset, unit) / norm, axis, start


def _flat_scalar(name: str, value: float | Tensor, codes: Tensor, latent_dims: int) -> Tensor:
    """Return a number per code as `(*, 1)`."""
    scalar = batch_scalar(name, value, codes, latent_dims)
    return scalar.flatten(scalar.ndim - latent_dims) if scalar.ndim else scalar

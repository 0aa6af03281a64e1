"""Directions: coefficients of codes along them, removal, setting to a value, and conditioning."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import dot, flatten_codes, unit_and_length
from ._validation import (
    batch_scalar,
    compute_dtype,
    latent_shape,
    require_codes,
    require_match,
)


def normalise(direction: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return directions of length 1.

    Args:
        direction: ``(*, *latent_shape)``.
        latent_dims: number of trailing dimensions that make one direction.

    Returns:
        New directions in the dtype of ``direction``.

    Raises:
        TypeError: if ``direction`` is not a floating-point tensor.
        ValueError: if a direction is zero or not finite.
    """
    unit, _, _ = _axis(direction, latent_dims, compute_dtype(_checked(direction, latent_dims)))
    return unit.unflatten(-1, latent_shape(direction, latent_dims)).to(direction.dtype)


def coefficient(
    codes: Tensor, direction: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Measure codes along a direction: ``<v - mean, n> / |n|^2``.

    In units of the direction itself: adding ``k n`` adds k.

    Args:
        codes: ``(*, *latent_shape)``.
        direction: n, ``(*, *latent_shape)``, of any length but zero; batches broadcast.
        mean: where the scale has its zero, ``(*, *latent_shape)``; the zero code when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        ``(*)``, float32 or wider.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or a direction is zero or not finite.
    """
    value, _, _ = _measure(codes, direction, mean, latent_dims)
    return value.squeeze(-1)


def project(
    codes: Tensor, direction: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Return the component of codes along a direction, ``(<v - mean, n> / |n|^2) n``.

    Args, Raises: as :func:`coefficient`.

    Returns:
        New codes in the dtype of ``codes``. What is left of the code is
        ``v - project(v, n)``, which is ``remove(v, n)``.
    """
    value, axis, _ = _measure(codes, direction, mean, latent_dims)
    return (value * axis).unflatten(-1, latent_shape(codes, latent_dims)).to(codes.dtype)


def remove(
    codes: Tensor,
    direction: Tensor,
    amount: float | Tensor = 1.0,
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Take a feature out of codes: ``v - amount (<v - mean, n> / |n|^2) n``.

    Args:
        codes: ``(*, *latent_shape)``.
        direction: n, ``(*, *latent_shape)``, of any length but zero; batches broadcast.
        amount: 1 removes all of it (the coefficient becomes 0, the average face's), 0 nothing, 2
            mirrors the code at the mean. A number, or one per code.
        mean: as in :func:`coefficient`.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of ``codes``, bit for bit the same where ``amount`` is 0.

    Raises:
        TypeError, ValueError: as :func:`coefficient`; also ValueError if ``amount`` is not finite.
    """
    value, axis, start = _measure(codes, direction, mean, latent_dims)
    k = _flat_scalar("amount", amount, codes, latent_dims).to(start.dtype)
    result = torch.where(k == 0, start, start - k * value * axis)
    return result.unflatten(-1, latent_shape(codes, latent_dims)).to(codes.dtype)


def set_to_value(
    codes: Tensor,
    direction: Tensor,
    target: float | Tensor,
    mean: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Move codes along a direction until they measure ``target``.

    ``v + (target - <v - mean, n> / |n|^2) n``: whatever the code measured before, afterwards
    ``coefficient`` returns ``target``, and everything perpendicular to n is untouched.

    Args:
        codes: ``(*, *latent_shape)``.
        direction: n, ``(*, *latent_shape)``, of any length but zero; batches broadcast.
        target: the coefficient to reach, a number, or one per code.
        mean: as in :func:`coefficient`.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of ``codes``.

    Raises:
        TypeError, ValueError: as :func:`coefficient`; also ValueError if ``target`` is not finite.
    """
    value, axis, start = _measure(codes, direction, mean, latent_dims)
    goal = _flat_scalar("target", target, codes, latent_dims).to(start.dtype)
    result = start + (goal - value) * axis
    return result.unflatten(-1, latent_shape(codes, latent_dims)).to(codes.dtype)


def project_out(
    codes: Tensor, directions: Tensor, mean: Tensor | None = None, *, latent_dims: int = 1
) -> Tensor:
    """Remove from codes their projection on the span of several directions.

    Unlike removing one after the other this leaves nothing behind when the directions are not
    perpendicular to each other.

    Args:
        codes: ``(*, *latent_shape)``.
        directions: ``(K, *latent_shape)``; any K including 0, dependent and zero ones allowed.
        mean: point through which the span goes, ``(*, *latent_shape)``; the zero code when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of ``codes``.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or a direction is not finite.
    """
    require_codes("codes", codes, latent_dims)
    basis = _span("directions", directions, "codes", codes, latent_dims)
    tensors = (codes, directions) if mean is None else (codes, directions, mean)
    dtype = compute_dtype(*tensors)
    start = flatten_codes(codes, latent_dims, dtype)
    offset = start
    if mean is not None:
        require_match("codes", codes, "mean", mean, latent_dims)
        offset = start - flatten_codes(mean, latent_dims, dtype)
    rest = start - _along(offset, basis.to(device=codes.device, dtype=dtype))
    return rest.unflatten(-1, latent_shape(codes, latent_dims)).to(codes.dtype)


def condition(direction: Tensor, others: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Make a direction independent of others: remove its projection on their span, keep its norm.

    Moving along the result leaves the coefficients of all the others unchanged. Works for any
    number of others (Shen et al. 2020, InterFaceGAN, arXiv 1907.10786, has one and two).

    Args:
        direction: ``(*, *latent_shape)``.
        others: ``(K, *latent_shape)``; any K including 0. They need not be independent: repeated,
            dependent and zero ones change nothing.
        latent_dims: number of trailing dimensions that make one direction.

    Returns:
        New directions of the norm and dtype of ``direction``.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, a direction is zero or not finite, or it lies in
            the span of the others, which leaves nothing but rounding errors.
    """
    _checked(direction, latent_dims)
    basis = _span("others", others, "direction", direction, latent_dims)
    if basis.shape[0] == 0:
        _axis(direction, latent_dims, torch.float64)
        return direction.clone()
    # Float64, on the CPU where every build has it: directions are few, small remainders count.
    source = direction.to(device="cpu", dtype=torch.float64)
    unit, norm, _ = _axis(source, latent_dims, torch.float64)
    rest = unit - _along(unit, basis)
    rest_unit, rest_length = unit_and_length(rest - _along(rest, basis))
    floor = math.sqrt(torch.finfo(torch.promote_types(direction.dtype, others.dtype)).eps)
    inside = (rest_length <= floor).reshape(-1)
    if bool(inside.any()):
        which = "" if inside.numel() == 1 else f" (item {int(inside.nonzero()[0, 0])} of the batch)"
        raise ValueError(
            f"The direction{which} is a mix of the {others.shape[0]} directions it should be "
            "independent of, so nothing of it would be left. Take one of them out."
        )
    result = (norm * rest_unit).unflatten(-1, latent_shape(direction, latent_dims))
    return result.to(device=direction.device, dtype=direction.dtype)


def _checked(direction: Tensor, latent_dims: int) -> Tensor:
    return require_codes("direction", direction, latent_dims)


def _axis(direction: Tensor, latent_dims: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit directions ``(*, D)``, their lengths ``(*, 1)`` and the flat directions."""
    flat = flatten_codes(direction, latent_dims, dtype)
    unit, norm = unit_and_length(flat)
    if not bool(torch.isfinite(norm).all()):
        raise ValueError("The direction holds NaN or infinity; its file may be damaged.")
    if bool((norm == 0).any()):
        raise ValueError(
            "The direction is zero, so it points nowhere. Choose another direction, or check the "
            "strength it was scaled with."
        )
    return unit, norm, flat


def _measure(
    codes: Tensor, direction: Tensor, mean: Tensor | None, latent_dims: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return coefficients ``(*, 1)``, flat directions ``(*, D)`` and flat codes ``(*, D)``."""
    require_codes("codes", codes, latent_dims)
    require_match("codes", codes, "direction", direction, latent_dims)
    tensors = (codes, direction) if mean is None else (codes, direction, mean)
    dtype = compute_dtype(*tensors)
    start = flatten_codes(codes, latent_dims, dtype)
    offset = start
    if mean is not None:
        require_match("codes", codes, "mean", mean, latent_dims)
        offset = start - flatten_codes(mean, latent_dims, dtype)
    unit, norm, axis = _axis(direction, latent_dims, dtype)
    return dot(offset, unit) / norm, axis, start


def _flat_scalar(name: str, value: float | Tensor, codes: Tensor, latent_dims: int) -> Tensor:
    """Return a number per code as ``(*, 1)``."""
    scalar = batch_scalar(name, value, codes, latent_dims)
    return scalar.flatten(scalar.ndim - latent_dims) if scalar.ndim else scalar


def _span(name: str, directions: Tensor, like_name: str, like: Tensor, latent_dims: int) -> Tensor:
    """Return an orthonormal basis ``(rank, D)`` of the span of ``(K, *latent_shape)``.

    Singular values that rounding of the inputs alone can produce do not count: otherwise a
    direction that is the rounded sum of two others would add one made of noise.
    """
    require_codes(name, directions, latent_dims)
    if directions.ndim != latent_dims + 1:
        raise ValueError(
            f"{name} must have shape (K, *latent_shape), {latent_dims + 1} dimensions; got "
            f"{tuple(directions.shape)}."
        )
    require_match(
        like_name, like.new_zeros(latent_shape(like, latent_dims)), name, directions, latent_dims
    )
    flat = flatten_codes(directions, latent_dims, torch.float64).cpu()
    if not bool(torch.isfinite(flat).all()):
        raise ValueError(f"{name} holds NaN or infinity; a file may be damaged.")
    unit, norm = unit_and_length(flat)
    unit = unit[norm.squeeze(-1) > 0]
    if unit.shape[0] == 0:
        return unit
    _, values, basis = torch.linalg.svd(unit, full_matrices=False)
    tolerance = 2 * math.sqrt(unit.shape[0]) * torch.finfo(directions.dtype).eps
    return basis[values > tolerance * values[0]]


def _along(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return the projection of ``(*, D)`` on the span of an orthonormal basis ``(rank, D)``."""
    return (vectors @ basis.T) @ basis

"""Norms, unit vectors and angles on flattened codes `(*, D)`, safe at both ends of the range."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def flatten_codes(codes: Tensor, latent_dims: int, dtype: torch.dtype) -> Tensor:
    """Return codes `(*, *latent_shape)` as `(*, D)` in the compute dtype."""
    return codes.to(dtype).flatten(codes.ndim - latent_dims)


def unflatten_codes(rows: Tensor, shape: Sequence[int]) -> Tensor:
    """Return rows `(*, D)` as codes `(*, *shape)`."""
    return rows.reshape(*rows.shape[:-1], *shape)


def unit_and_length(x: Tensor) -> tuple[Tensor, Tensor]:
    """Split vectors into direction and length.

    Lengths of 1e-30 and 1e30 are as exact as 1, see `length`.

    Args:
        x: vectors `(*, D)`.

    Returns:
        Unit vectors `(*, D)`, zero where `x` is zero, and lengths `(*, 1)`.
    """
    norm, odd = _norm(x)
    if odd is None:
        return x / norm, norm
    scaled, peak = _by_peak(x[odd])
    part = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    units = scaled / torch.where(part == 0, torch.ones_like(part), part)
    # rows that are replaced are divided by 1, which keeps NaN out of their gradients
    plain = x / torch.where(odd[..., None], torch.ones_like(norm), norm)
    return put_rows(plain, odd, units), put_rows(norm, odd, part * peak)


def length(x: Tensor) -> Tensor:
    """Return Euclidean lengths `(*, 1)` of vectors `(*, D)`.

    Of those whose squares would leave the range of the dtype, the largest component is divided out
    before squaring.
    """
    norm, odd = _norm(x)
    if odd is None:
        return norm
    scaled, peak = _by_peak(x[odd])
    part = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True) * peak
    return put_rows(norm, odd, part)


def put_rows(x: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Vectors `(*, D)` with `values` `(N, D)` in the places where `rows` `(*)` is true."""
    flat = x.reshape(-1, x.shape[-1])
    return flat.index_put((rows.reshape(-1),), values).reshape(x.shape)


def _norm(x: Tensor) -> tuple[Tensor, Tensor | None]:
    """Lengths `(*, 1)`, and which rows `(*)` need care: none, tiny, huge or not finite; None where
    no row does.
    """
    norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    # A quarter of the exponents away from either end, squares and their sum are exact.
    far = torch.finfo(x.dtype).max ** 0.4
    odd = ~((norm > 1 / far) & (norm < far)).squeeze(-1)
    return norm, odd if bool(odd.any()) else None


def _by_peak(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return vectors `(*, D)` over their largest component, and that `(*, 1)`, 1 for none."""
    peak = torch.linalg.vector_norm(x.detach(), ord=torch.inf, dim=-1, keepdim=True)
    peak = torch.where(peak == 0, torch.ones_like(peak), peak)
    return x / peak, peak


def angle_between_units(u: Tensor, v: Tensor) -> Tensor:
    """Return the angle `2 atan2(|u - v|, |u + v|)` in radians, `(*, 1)`.

    Exact for tiny angles and near pi, where `arccos` of a float32 dot product is not (Kahan 2006,
    "How futile are mindless assessments of roundoff", section 12). A zero vector is at pi/2 to
    every other vector and at 0 to itself.
    """
    return 2 * torch.atan2(length(u - v), length(u + v))


def dot(u: Tensor, v: Tensor) -> Tensor:
    """Return inner products over the last dimension, `(*, 1)`."""
    return (u * v).sum(-1, keepdim=True)

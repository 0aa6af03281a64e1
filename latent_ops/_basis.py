"""Axes and orthonormal bases of directions, on flattened codes `(*, D)`."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import flatten_codes, unit_and_length
from ._validation import latent_shape, require_codes, require_match, require_stack

# A vector of a basis may be this much longer or shorter than 1, and two of them this far from
# perpendicular: rounding to bfloat16 stays inside, a basis that was never normalised does not.
ORTHONORMAL_TOLERANCE = 1e-2


def axis_of(
    direction: Tensor, latent_dims: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit directions `(*, D)`, their lengths `(*, 1)` and the flat directions."""
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


def span_basis(
    name: str, directions: Tensor, like_name: str, like: Tensor, latent_dims: int
) -> Tensor:
    """Return an orthonormal basis `(rank, D)` of the span of `(K, *latent_shape)`.

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
    flat = flatten_codes(directions.cpu(), latent_dims, torch.float64)
    if not bool(torch.isfinite(flat).all()):
        raise ValueError(f"{name} holds NaN or infinity; a file may be damaged.")
    unit, norm = unit_and_length(flat)
    unit = unit[norm.squeeze(-1) > 0]
    if unit.shape[0] == 0:
        return unit
    _, values, basis = torch.linalg.svd(unit, full_matrices=False)
    spanning: Tensor = basis[values > rank_tolerance(unit.shape[0], directions.dtype) * values[0]]
    return spanning


def rank_tolerance(count: int, dtype: torch.dtype) -> float:
    """Return the relative singular value that rounding `count` vectors to a dtype can produce."""
    return 2 * math.sqrt(count) * torch.finfo(dtype).eps


def basis_rows(basis: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a basis `(k, *latent_shape)` as rows `(k, D)`, its vectors checked for length 1.

    Whether they are perpendicular is not checked here: that would cost as much as decomposing k
    codes.
    """
    dims = require_stack("basis", basis)
    if basis.shape[0] == 0:
        raise ValueError("The basis holds no vectors.")
    rows = flatten_codes(basis, dims, dtype)
    lengths = torch.linalg.vector_norm(rows.detach(), dim=-1)
    wrong = ~((lengths - 1).abs() <= ORTHONORMAL_TOLERANCE)
    if bool(wrong.any()):
        index = int(wrong.nonzero()[0, 0])
        raise ValueError(
            f"The vectors of a basis must have length 1, but vector {index} has length "
            f"{float(lengths[index]):.4g}. Build the basis with quasi_eigenvectors and "
            "complete_basis."
        )
    return rows


def along_basis(vectors: Tensor, basis: Tensor) -> Tensor:
    """Return the projection of `(*, D)` on the span of an orthonormal basis `(rank, D)`."""
    return (vectors @ basis.T) @ basis

"""Complete label vectors to a larger orthonormal basis, and report how good a basis is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from . import seeds
from ._basis import ORTHONORMAL_TOLERANCE, along_basis, rank_tolerance
from ._geometry import flatten_codes, unflatten_codes
from ._validation import require_choice, require_count, require_match, require_stack

COMPLETIONS = ("principal", "random")


@dataclass(frozen=True)
class Conditioning:
    """How well a stack of vectors serves as a basis."""

    rank: int  # number of directions that are more than rounding noise
    condition: float  # largest over smallest singular value; 1 is perfect, infinite is dependent
    orthogonality_error: float  # largest entry of |V V^T - I|; 0 is orthonormal


def conditioning(vectors: Tensor) -> Conditioning:
    """Report rank, condition number and orthogonality of a stack of vectors, in float64.

    Args:
        vectors: `(k, *latent_shape)`, k at least 1; they need not be orthonormal.

    Returns:
        See `Conditioning`.

    Raises:
        TypeError: if `vectors` is not a floating-point tensor.
        ValueError: if it is no stack, empty, or not finite.

    Example:
        >>> conditioning(torch.tensor([[1.0, 0.0], [0.0, 2.0]])).condition
        2.0
    """
    rows = _finite_rows("vectors", vectors)
    count, size = rows.shape
    values = torch.linalg.svdvals(rows)
    smallest = float(values[-1]) if count <= size else 0.0
    return Conditioning(
        rank=int((values > rank_tolerance(count, vectors.dtype) * values[0]).sum()),
        condition=float(values[0]) / smallest if smallest > 0 else math.inf,
        orthogonality_error=_orthogonality_error(rows),
    )


def complete_basis(
    vectors: Tensor,
    size: int | None = None,
    codes: Tensor | None = None,
    *,
    method: str = "principal",
    seed: int = 0,
    mean: Tensor | None = None,
) -> Tensor:
    """Add vectors to an orthonormal set until it is a basis of a given size.

    - "principal" adds the principal axes of `codes` outside the span of `vectors`, the one
      that holds most of their spread about `mean` first. Where the codes span too few dimensions
      for `size`, random ones as below follow.
    - "random" adds a seeded random orthonormal complement.

    The paper adds means of random codes instead, which are sampling noise: prior class means span
    no more than the labels do.

    Args:
        vectors: `(K, *latent_shape)`, orthonormal, such as those of `quasi_eigenvectors`.
        size: k, number of vectors wanted, K to D; D, the number of components of a code, when
            None. Memory and time grow with k D and k^2 D, so give a size for large codes.
        codes: `(N, *latent_shape)`, needed by "principal".
        method: one of `COMPLETIONS`.
        seed: of the random vectors.
        mean: point about which spread is measured, `(*latent_shape)`; the zero code when None.
            Pass what `decompose` will be given.

    Returns:
        Basis `(k, *latent_shape)` in the dtype of `vectors`, computed in float64 without
        gradients. The first K are `vectors` bit for bit.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, `vectors` are not orthonormal, a code is not
            finite, or an option is missing or out of range.

    Example:
        >>> complete_basis(torch.eye(4)[:2], 3, method="random").shape
        torch.Size([3, 4])
    """
    require_choice("method", method, COMPLETIONS)
    rows = _finite_rows("vectors", vectors)
    count, dimension = rows.shape
    total = _checked_size(size, count, dimension)
    error = _orthogonality_error(rows)
    if not error <= ORTHONORMAL_TOLERANCE:
        raise ValueError(
            "The vectors to complete must be orthonormal, but their products are off by "
            f"{error:.3g}. Make them so with quasi_eigenvectors first."
        )
    parts = [rows]
    if method == "principal":
        if codes is None:
            raise ValueError('The "principal" method needs codes to take the principal axes of.')
        parts.append(_principal_axes(_centred_codes(codes, vectors, mean), rows)[: total - count])
    missing = total - sum(len(part) for part in parts)
    generator = seeds.generator(seed)
    parts.append(torch.randn(missing, dimension, generator=generator, dtype=torch.float64))
    # Householder QR keeps each vector up to its sign where it already is perpendicular to those
    # before it, and is orthogonal to rounding however near to dependent the random ones are.
    q, r = torch.linalg.qr(torch.cat(parts).T)
    # not `sign`, which is 0 where a random vector is exactly one of those before it
    added = torch.where(r.diagonal() < 0, -q, q).T[count:]
    return torch.cat([vectors.detach(), unflatten_codes(added, vectors.shape[1:]).to(vectors)])


def _principal_axes(offset: Tensor, span: Tensor) -> Tensor:
    """Return the principal axes `(rank, D)` of rows `(N, D)` outside a span, widest first."""
    if offset.shape[0] == 0:
        return offset
    largest = float(torch.linalg.vector_norm(offset, dim=1).max())
    rest = offset - along_basis(offset, span)
    rest = rest - along_basis(rest, span)
    if rest.shape[0] > rest.shape[1]:
        # R has the singular values and right vectors of the whole, in D rows.
        rest = torch.linalg.qr(rest, mode="r").R
    _, values, axes = torch.linalg.svd(rest, full_matrices=False)
    principal: Tensor = axes[values > rank_tolerance(offset.shape[0], torch.float32) * largest]
    return principal


def _centred_codes(codes: Tensor, vectors: Tensor, mean: Tensor | None) -> Tensor:
    dims = vectors.ndim - 1
    rows = _finite_rows("codes", codes, empty_allowed=True)
    require_match("codes", codes.new_empty(codes.shape[1:]), "vectors", vectors, codes.ndim - 1)
    if mean is None:
        return rows
    require_match("one of the vectors", vectors[0], "mean", mean, dims)
    centre = flatten_codes(mean.detach().cpu(), dims, torch.float64)
    if centre.ndim != 1 or not bool(torch.isfinite(centre).all()):
        raise ValueError(
            f"mean must be one finite code of shape {tuple(vectors.shape[1:])}, got shape "
            f"{tuple(mean.shape)}."
        )
    return rows - centre


def _checked_size(size: int | None, count: int, dimension: int) -> int:
    if size is None:
        return dimension
    require_count("size", size, 1)
    if not count <= size <= dimension:
        raise ValueError(
            f"size is {size}, but it must be from {count}, the number of vectors given, to "
            f"{dimension}, the number of components of a code."
        )
    return size


def _finite_rows(name: str, stack: Tensor, empty_allowed: bool = False) -> Tensor:
    """Return a stack of codes as `(N, D)` in float64 on the CPU, where every build has it."""
    dims = require_stack(name, stack)
    if stack.shape[0] == 0 and not empty_allowed:
        raise ValueError(f"{name} holds nothing; at least one vector is needed.")
    rows = flatten_codes(stack.detach().cpu(), dims, torch.float64)
    finite = torch.isfinite(rows).all(1)
    if not bool(finite.all()):
        raise ValueError(
            f"Item {int((~finite).nonzero()[0, 0])} of {name} holds NaN or infinity; leave it out."
        )
    return rows


def _orthogonality_error(rows: Tensor) -> float:
    return float((rows @ rows.T - torch.eye(rows.shape[0], dtype=rows.dtype)).abs().max())

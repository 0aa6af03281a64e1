"""Distances among many codes: matrices, nearest neighbours and duplicates."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._validation import latent_shape, require_codes, require_count, require_match, require_stack
from .distances import compare, prepare

# Numbers in one block of differences of a distance matrix: 64 MiB in float32.
_BLOCK_ELEMENTS = 2**24


def pairwise(
    codes: Tensor,
    others: Tensor | None = None,
    metric: str = "euclidean",
    std: Tensor | None = None,
    *,
    latent_dims: int | None = None,
) -> Tensor:
    """Return the matrix of distances between every code and every other.

    Differences are taken directly, in blocks of bounded memory: the shortcut
    `|x|^2 + |y|^2 - 2 <x, y>` cancels, and puts equal codes at 1e-3 and not at 0.

    Args:
        codes: `(N, *latent_shape)`, everything after the first dimension is the code.
        others: `(M, *latent_shape)`; `codes` itself when None.
        metric: as in `distance`.
        std: as in `whitened`.
        latent_dims: optional, checked against the shape of `codes`.

    Returns:
        `(N, M)`. Without `others` it is exactly symmetric with an exactly zero diagonal (NaN
        where a code is not finite).

    Raises:
        TypeError, ValueError: as `distance`.

    Example:
        >>> pairwise(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        tensor([[0., 5.],
                [5., 0.]])
    """
    dims = require_stack("codes", codes, latent_dims)
    second = codes
    if others is not None:
        require_stack("others", others)
        require_match("codes", codes[:1], "others", others[:1], dims)
        second = others
    x, y, spread = prepare(codes, second, metric, std, dims)
    count, other_count = x.shape[0], y.shape[0]
    rows = max(1, _BLOCK_ELEMENTS // max(1, other_count * x.shape[1]))
    blocks = [
        compare(x[i : i + rows, None], y[None], metric, spread) for i in range(0, count, rows)
    ]
    matrix = torch.cat(blocks) if blocks else x.new_zeros((0, other_count))
    if others is not None:
        return matrix
    upper = matrix.triu(1)
    itself = torch.where(x.isfinite().all(1), 0.0, torch.nan).to(matrix.dtype)
    return upper + upper.T + torch.diag(itself)


def nearest(
    codes: Tensor,
    candidates: Tensor,
    metric: str = "euclidean",
    k: int = 1,
    std: Tensor | None = None,
    *,
    latent_dims: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Find the k nearest candidates of each code.

    Args:
        codes: `(*, *latent_shape)`.
        candidates: `(M, *latent_shape)`, everything after the first dimension is the code.
        metric: as in `distance`.
        k: how many, 1 to M.
        std: as in `whitened`.
        latent_dims: optional, checked against the shape of `candidates`.

    Returns:
        Indices into `candidates` (int64) and distances, `(*, k)` each, nearest first. Of
        equally near candidates the one with the lower index comes first.

    Raises:
        TypeError, ValueError: as `distance`; also ValueError if `k` does not fit.

    Example:
        >>> nearest(torch.tensor([[1.0, 0.0]]), torch.tensor([[5.0, 0.0], [2.0, 0.0]]))
        (tensor([[1]]), tensor([[1.]]))
    """
    dims = require_stack("candidates", candidates, latent_dims)
    require_codes("codes", codes, dims)
    require_match(
        "codes",
        codes.reshape(-1, *latent_shape(codes, dims))[:1],
        "candidates",
        candidates[:1],
        dims,
    )
    require_count("k", k, 1)
    if k > candidates.shape[0]:
        raise ValueError(f"k is {k}, but there are only {candidates.shape[0]} candidates.")
    batch = codes.shape[: codes.ndim - dims]
    stack = codes.reshape(-1, *latent_shape(codes, dims))
    matrix = pairwise(stack, candidates, metric, std)
    values, indices = torch.sort(matrix, dim=1, stable=True)
    return indices[:, :k].reshape(*batch, k), values[:, :k].reshape(*batch, k)


def duplicates(
    codes: Tensor,
    tolerance: float = 0.0,
    metric: str = "euclidean",
    std: Tensor | None = None,
    *,
    latent_dims: int | None = None,
) -> Tensor:
    """Find pairs of codes that are no further apart than a tolerance.

    Args:
        codes: `(N, *latent_shape)`, everything after the first dimension is the code.
        tolerance: largest distance that still counts, in the unit of the metric; 0 finds exact
            copies.
        metric: as in `distance`.
        std: as in `whitened`.
        latent_dims: optional, checked against the shape of `codes`.

    Returns:
        Pairs of indices `(P, 2)`, int64, the smaller one first, in ascending order.

    Raises:
        TypeError, ValueError: as `distance`; also ValueError for a negative tolerance.

    Example:
        >>> duplicates(torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0]]))
        tensor([[0, 2]])
    """
    if not math.isfinite(tolerance) or tolerance < 0:
        raise ValueError(f"tolerance must be a distance of at least 0, got {tolerance}.")
    matrix = pairwise(codes, metric=metric, std=std, latent_dims=latent_dims)
    close = torch.ones_like(matrix, dtype=torch.bool).triu(1) & (matrix <= tolerance)
    return close.nonzero()

"""Directions found without labels: PCA of codes (GANSpace) and SeFa of a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from ._geometry import flatten_codes, unflatten_codes
from ._validation import compute_dtype, require_count, require_stack


def principal_directions(codes: Tensor, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the directions along which codes vary most.

    Principal components by singular value decomposition in float64. GANSpace (Harkonen et al.
    2020, arXiv 2004.02546) takes those of `w` as edit directions.

    Args:
        codes: `(N, *latent_shape)`; their mean is taken off.
        count: how many, at most min(N - 1, components of a code); all of these when None.

    Returns:
        Orthonormal directions `(count, *latent_shape)` in the dtype of `codes`, largest
        variance first, the largest entry of each positive; and the share of the total variance
        along each, `(count,)` in the compute dtype.

    Raises:
        TypeError: if `codes` is not a floating-point tensor.
        ValueError: if the codes are fewer than 2, not finite, all equal, or too few for `count`.

    Example:
        >>> codes = torch.tensor([[0.0, 1.0], [4.0, 1.0], [2.0, 1.0]])
        >>> principal_directions(codes, 1)
        (tensor([[1., 0.]]), tensor([1.]))
    """
    dims = require_stack("codes", codes)
    rows = flatten_codes(codes.detach().cpu(), dims, torch.float64)
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("codes hold NaN or infinity.")
    most = min(len(rows) - 1, rows.shape[1]) if len(rows) else 0
    wanted = most if count is None else count
    require_count("count", wanted, 1)
    if wanted > most:
        raise ValueError(
            f"{len(rows)} codes of {rows.shape[1]} components have at most {max(most, 0)} "
            f"principal directions; {wanted} were asked for. Give more codes or ask for fewer."
        )
    rows = rows - rows.mean(0)
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    variance = values.square()
    if not bool(variance.sum() > 0):
        raise ValueError("The codes are all equal, so they vary along no direction.")
    shares = (variance / variance.sum())[:wanted]
    vectors = unflatten_codes(_fix_signs(vectors[:wanted]), codes.shape[1:])
    return vectors.to(compute_dtype(codes)).to(codes), shares.to(codes.device, compute_dtype(codes))


def sefa_directions(weight: Tensor, count: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the directions of a code that a weight amplifies most.

    SeFa (Shen & Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs", arXiv
    2007.06600): eigenvectors of `A^T A`, where A is the weight that first acts on the code.

    Args:
        weight: A, `(out, d)`; for several layers their weights stacked along the first
            dimension.
        count: how many, 1 to d; d when None.

    Returns:
        Orthonormal directions `(count, d)` in the dtype of `weight`, largest eigenvalue first,
        the largest entry of each positive; and the eigenvalues `(count,)` in the compute dtype.

    Raises:
        TypeError: if `weight` is not a floating-point tensor.
        ValueError: if it is not a finite matrix, or `count` does not fit.

    Example:
        >>> sefa_directions(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), 1)
        (tensor([[0., 1.]]), tensor([9.]))
    """
    require_stack("weight", weight)
    if weight.ndim != 2 or not bool(torch.isfinite(weight).all()):
        raise ValueError(
            f"weight must be a finite matrix (out, d), got shape {tuple(weight.shape)}."
        )
    size = weight.shape[1]
    wanted = size if count is None else count
    require_count("count", wanted, 1)
    if wanted > size:
        raise ValueError(f"A code of {size} components has at most {size} directions.")
    # Summed by parts: the weight of a linear model is large in float64.
    gram = torch.zeros(size, size, dtype=torch.float64)
    for part in weight.detach().cpu().split(4096):
        gram += part.double().T @ part.double()
    values, vectors = torch.linalg.eigh(gram)
    values = values.flip(0)[:wanted].clamp(min=0)
    vectors = _fix_signs(vectors.flip(1)[:, :wanted].T)
    return (
        vectors.to(compute_dtype(weight)).to(weight),
        values.to(weight.device, compute_dtype(weight)),
    )


def _fix_signs(vectors: Tensor) -> Tensor:
    """Turn rows so that the entry of largest magnitude is positive: the same on every machine."""
    signs = torch.sign(vectors.gather(1, vectors.abs().argmax(1, keepdim=True)))
    return vectors * signs

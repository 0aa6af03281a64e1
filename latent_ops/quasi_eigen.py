"""Quasi-eigenvectors: one orthonormal vector per label, made of the labels' mean codes.

After Toledo-Marin & Glazier 2023, "Using deep LSD to build operators in GANs latent space with
meaning in real space" (PLOS ONE 18(6) e0287736), who orthogonalise class means by Gram-Schmidt.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._basis import rank_tolerance
from ._geometry import flatten_codes, unflatten_codes, unit_and_length
from ._validation import require_choice, require_count, require_match, require_stack

BASIS_METHODS = ("symmetric", "gram_schmidt")

# Means and their centre come from sums of many codes, which round more than once.
_SUM_ROUNDING = 4


def class_means(codes: Tensor, labels: Tensor, count: int | None = None) -> Tensor:
    """Return the mean code of every label.

    Args:
        codes: `(N, *latent_shape)`, everything after the first dimension is the code.
        labels: label of each code, `(N,)`, whole numbers from 0.
        count: K, number of labels; the largest label plus 1 when None.

    Returns:
        Means `(K, *latent_shape)` in the dtype of `codes`, summed in float64.

    Raises:
        TypeError: if `codes` is not a floating-point tensor or `labels` not an integer one.
        ValueError: if a label has no code or is out of range, the numbers of codes and labels
            differ, or a code is not finite.

    Example:
        >>> class_means(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 0, 1]), 2)
        tensor([[1.],
                [5.]])
    """
    dims = require_stack("codes", codes)
    index = _label_indices(labels, codes.shape[0])
    if codes.shape[0] == 0:
        raise ValueError("There are no codes to take the mean of.")
    if count is not None:
        require_count("count", count, 1)
    total = int(index.max()) + 1 if count is None else count
    if int(index.min()) < 0 or int(index.max()) >= total:
        raise ValueError(
            f"Labels must be from 0 to {total - 1}; got some from {int(index.min())} to "
            f"{int(index.max())}."
        )
    empty = (torch.bincount(index, minlength=total) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"No code has label {_listing(empty)}. Each of the {total} labels needs at least one "
            f"of the {codes.shape[0]} codes; add codes or leave the label out."
        )
    finite = torch.isfinite(codes).flatten(1).all(1)
    if not bool(finite.all()):
        raise ValueError(
            f"Code {int((~finite).nonzero()[0, 0])} holds NaN or infinity; leave it out."
        )
    flat = flatten_codes(codes.cpu(), dims, codes.dtype)
    means = [flat[index == k].mean(0, dtype=torch.float64) for k in range(total)]
    return unflatten_codes(torch.stack(means), codes.shape[1:]).to(codes)


def quasi_eigenvectors(
    means: Tensor, method: str = "symmetric", mean: Tensor | None = None
) -> Tensor:
    """Make class means orthonormal: one vector of length 1 per label.

    - "gram_schmidt" goes through the labels in the order given, as the paper does: the first keeps
      its direction, each later one loses what it shares with those before it, so the result
      depends on the order.
    - "symmetric" (Loewdin 1950) returns `V (V^T V)^(-1/2)` for means as columns V. Of all
      orthonormal sets it is the nearest to V, and the order of the labels does not matter.

    When `mean` is a weighted mean of the class means (with all weights positive, such as the
    mean of all codes), the K centred means span only K - 1 dimensions. "symmetric" then adds the
    one direction they lack: with centred means `V = U S W^T` whose last singular value is 0 and
    whose last right vector w has the weights as entries, it returns `U W^T` where the last
    column u of U is the part of `mean` outside the span of V, normalised, or, where nothing is
    left of it, a fixed pseudo-random direction outside. This is the limit of Loewdin's set for
    `V + e u w^T` as e goes to 0. It does not depend on the order of the labels either.

    Args:
        means: `(K, *latent_shape)`, everything after the first dimension is the code.
        method: one of `BASIS_METHODS`.
        mean: centre that is subtracted first, `(*latent_shape)`; the zero code when None.

    Returns:
        Orthonormal vectors `(K, *latent_shape)` in the dtype of `means`, computed in float64,
        without gradients.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, the means are not finite, there are more than a
            code has components, or they are linearly dependent (up to rounding) in another way
            than above; the message names the labels.

    Example:
        >>> quasi_eigenvectors(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        tensor([[1., 0.],
                [0., 1.]])
    """
    require_choice("method", method, BASIS_METHODS)
    rows, centre, floor = _centre_means(means, mean)
    if method == "gram_schmidt":
        vectors = _gram_schmidt(rows, floor)
    else:
        vectors = _loewdin(rows, centre, floor)
    return unflatten_codes(vectors, means.shape[1:]).to(means)


def _label_indices(labels: Tensor, count: int) -> Tensor:
    """Return labels as int64 on the CPU."""
    if not isinstance(labels, Tensor):
        raise TypeError(f"labels must be a torch.Tensor, got {type(labels).__name__}.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"labels must hold whole numbers, got {labels.dtype}.")
    if labels.shape != (count,):
        raise ValueError(
            f"labels must have shape ({count},), one per code; got {tuple(labels.shape)}."
        )
    return labels.to(device="cpu", dtype=torch.int64)


def _centre_means(means: Tensor, mean: Tensor | None) -> tuple[Tensor, Tensor, float]:
    """Return centred means `(K, D)` and the centre `(D,)` in float64, and their rounding."""
    dims = require_stack("means", means)
    rows = flatten_codes(means.detach().cpu(), dims, torch.float64)
    centre = torch.zeros_like(rows[0]) if rows.shape[0] else rows.new_zeros(rows.shape[1])
    if mean is not None:
        require_match("one of the means", means.new_empty(means.shape[1:]), "mean", mean, dims)
        if mean.ndim != dims:
            raise ValueError(
                f"mean must be one code of shape {tuple(means.shape[1:])}, got {tuple(mean.shape)}."
            )
        centre = flatten_codes(mean.detach().cpu(), dims, torch.float64)
    count, size = rows.shape
    if count == 0:
        raise ValueError("There are no class means, so there is nothing to make a basis of.")
    if not bool(torch.isfinite(rows).all()) or not bool(torch.isfinite(centre).all()):
        raise ValueError("The means hold NaN or infinity; leave the damaged codes out.")
    if count > size:
        raise ValueError(
            f"There are {count} labels, but a code has only {size} components, so at most {size} "
            "labels can be told apart. Merge some labels."
        )
    largest = float(unit_and_length(torch.cat([rows, centre[None]]))[1].max())
    return rows - centre, centre, _SUM_ROUNDING * rank_tolerance(count, means.dtype) * largest


def _gram_schmidt(rows: Tensor, floor: float) -> Tensor:
    """Orthonormalise rows in their order.

    Householder QR gives the vectors of Gram-Schmidt up to sign, but orthogonal to the last bit.
    """
    q, r = torch.linalg.qr(rows.T)
    pivots = r.diagonal()
    dependent = (pivots.abs() <= floor).nonzero().flatten().tolist()
    if dependent:
        raise ValueError(
            f"The mean of label {dependent[0]} is a mix of those before it, so Gram-Schmidt leaves "
            'nothing of it. Use the "symmetric" method, choose another centre, or merge labels.'
        )
    vectors: Tensor = (q * pivots.sign()).T
    return vectors


def _loewdin(rows: Tensor, centre: Tensor, floor: float) -> Tensor:
    """Return the nearest orthonormal rows, completed where the rows sum to zero with weights."""
    # Transposed: rows = W S U^T, in the symbols of quasi_eigenvectors.
    w, values, ut = torch.linalg.svd(rows, full_matrices=False)
    rank = int((values > floor).sum())
    if rank == rows.shape[0]:
        nearest: Tensor = w @ ut
        return nearest
    # How exactly the null vectors are known decides which of their entries are not 0.
    doubt = max(1e-9, floor / float(values[rank - 1])) if rank else 1.0
    null = w[:, rank:]
    weights = null[:, 0] * null[:, 0].sum().sign()
    if rank < 1 or rank < rows.shape[0] - 1 or not bool((weights > doubt).all()):
        involved = (null.square().sum(1).sqrt() > doubt).nonzero().flatten().tolist()
        if rank == 0:
            involved = list(range(rows.shape[0]))
        raise ValueError(
            f"The means of labels {_listing(involved)} are linearly dependent, so they do not "
            f"determine {len(involved)} different directions. Check that these labels hold "
            "different codes, merge them, or choose another centre."
        )
    last = _outside(centre, ut[:rank], floor)
    completed: Tensor = w[:, :rank] @ ut[:rank] + weights[:, None] * last
    return completed


def _outside(centre: Tensor, span: Tensor, floor: float) -> Tensor:
    """Return a unit vector outside the span: the centre's part there, or else a fixed one."""
    generator = torch.Generator().manual_seed(0)
    fixed = torch.randn(centre.shape, generator=generator, dtype=torch.float64)
    for candidate, smallest in ((centre, max(floor, _resolution(centre))), (fixed, 0.0)):
        rest = candidate - (candidate @ span.T) @ span
        unit, length = unit_and_length(rest - (rest @ span.T) @ span)
        if float(length) > smallest:
            break
    return unit


def _resolution(centre: Tensor) -> float:
    """Return the length below which a part of the centre is taken for rounding noise."""
    return math.sqrt(torch.finfo(torch.float32).eps) * float(unit_and_length(centre)[1])


def _listing(indices: list[int], limit: int = 10) -> str:
    shown = ", ".join(str(i) for i in indices[:limit])
    return shown if len(indices) <= limit else f"{shown} and {len(indices) - limit} more"

"""Directions fitted to labelled codes in closed form: mean difference, LDA, ridge.

All are computed in float64 on the CPU, in the span of the codes where there are fewer of them
than components: a direction of 16,384 numbers from 200 codes costs a 200 x 200 problem.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import unit_and_length
from ._rows import as_code, code_rows, difference_of, group_rows, in_span, out_of_span

_LEAST_SHRINKAGE = 1e-3  # where codes are too few for an invertible covariance


def mean_difference(negative: Tensor, positive: Tensor) -> Tensor:
    """Return the mean of one group of codes minus the mean of another.

    Args:
        negative: `(N, *latent_shape)`, codes without the attribute.
        positive: `(M, *latent_shape)`, codes with it.

    Returns:
        `(*latent_shape)`: adding it once goes the whole way.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if a group is empty or not finite, shapes or devices disagree, or both means
            are equal.

    Example:
        >>> mean_difference(torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([[4.0, 1.0]]))
        tensor([3., 0.])
    """
    first, second = group_rows(negative, positive)
    return as_code(difference_of(first, second), positive)


def lda_direction(negative: Tensor, positive: Tensor, shrinkage: float | None = None) -> Tensor:
    """Return the normal of Fisher's linear discriminant, `S^-1 (mean+ - mean-)`.

    S is the covariance within the groups, `(1 - s) S + s tr(S)/d I` after shrinkage.

    Args:
        negative, positive: as in `mean_difference`.
        shrinkage: s, 0 to 1; the intensity of Ledoit & Wolf 2004 (see `ledoit_wolf`) when
            None. 1 gives the mean difference.

    Returns:
        `(*latent_shape)` of length 1, in the dtype of `positive`.

    Raises:
        TypeError, ValueError: as `mean_difference`; also ValueError for a shrinkage outside
            0 to 1, or of 0 where the codes are too few for their covariance to be invertible.

    Example:
        >>> without = torch.tensor([[0.0, 1.0], [0.0, -1.0]])
        >>> lda_direction(without, without + torch.tensor([2.0, 0.0]), shrinkage=0.5)
        tensor([1., 0.])
    """
    first, second = group_rows(negative, positive)
    difference = difference_of(first, second)
    within = torch.cat([first - first.mean(0), second - second.mean(0)])
    size = within.shape[1]
    amount = _automatic(within) if shrinkage is None else _share("shrinkage", shrinkage)
    spread = float(within.square().sum()) / (len(within) * size)
    if spread > 0:
        rows, basis = in_span(torch.cat([within, difference[None]]))
        within, target = rows[:-1], rows[-1]
        scatter = (1 - amount) * (within.T @ within) / len(within)
        scatter.diagonal().add_(amount * spread)
        difference = out_of_span(_solve(scatter, target), basis)
    return as_code(unit_and_length(difference)[0], positive)


def ridge_direction(codes: Tensor, scores: Tensor, penalty: float | None = None) -> Tensor:
    """Return the direction along which a score is read off codes, by ridge regression.

    Minimises `|y - X w - b|^2 + penalty |w|^2`.

    Args:
        codes: `(N, *latent_shape)`.
        scores: `(N,)`, real numbers that are not all equal.
        penalty: at least 0, scikit-learn's alpha. None takes the one that shrinks the covariance
            of the codes as `ledoit_wolf` does: `N s tr(S)/d / (1 - s)`.

    Returns:
        `(*latent_shape)` of length 1: along it the score rises. In the dtype of `codes`.

    Raises:
        TypeError, ValueError: as `mean_difference`; also ValueError for scores that do not
            fit, are all equal or unrelated to the codes, or a penalty below 0, or of 0 where the
            codes are too few for their covariance to be invertible.

    Example:
        >>> codes = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
        >>> ridge_direction(codes, torch.tensor([0.0, 1.0, 2.0]), penalty=0.1)
        tensor([1., 0.])
    """
    rows = code_rows("codes", codes)
    if tuple(scores.shape) != (len(rows),):
        raise ValueError(f"scores must have shape ({len(rows)},), got {tuple(scores.shape)}.")
    values = scores.detach().cpu().double()
    if not bool(torch.isfinite(values).all()):
        raise ValueError("scores hold NaN or infinity.")
    values = values - values.mean()
    rows = rows - rows.mean(0)
    target = values @ rows
    if not bool(target.any()):
        raise ValueError("The scores are all equal, or the codes are: there is nothing to fit.")
    if penalty is None:
        amount = _automatic(rows)
        if amount == 1:  # the limit of an infinite penalty
            return as_code(unit_and_length(target)[0], codes)
        penalty = amount / (1 - amount) * float(rows.square().sum()) / rows.shape[1]
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"penalty must be a number of at least 0, got {penalty!r}.")
    inner, basis = in_span(rows)
    scatter = inner.T @ inner
    scatter.diagonal().add_(penalty)
    solution = _solve(scatter, values @ inner)
    return as_code(unit_and_length(out_of_span(solution, basis))[0], codes)


def ledoit_wolf(codes: Tensor) -> float:
    """Return the shrinkage intensity of Ledoit & Wolf 2004 for the covariance of codes.

    "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
    Analysis 88(2): the s in 0 to 1 for which `(1 - s) S + s tr(S)/d I` is expected to be
    nearest to the true covariance.

    Args:
        codes: `(N, *latent_shape)`; their mean is taken off.

    Raises:
        TypeError, ValueError: as `mean_difference`.

    Example:
        >>> ledoit_wolf(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
        1.0
    """
    rows = code_rows("codes", codes)
    return _ledoit_wolf(rows - rows.mean(0))


def _ledoit_wolf(rows: Tensor) -> float:
    """The intensity for centred rows `(N, d)`; 1 where they do not vary."""
    count, size = rows.shape
    # The Gram matrix has the same trace and the same squared entries as the scatter matrix.
    gram = rows @ rows.T if count < size else rows.T @ rows
    trace = float(rows.square().sum()) / count
    squares = float(gram.square().sum()) / count**2
    distance = squares - trace**2 / size
    fourth = float(rows.square().sum(1).square().sum()) / count
    error = (fourth - squares) / count
    if distance <= 1e-14 * squares or squares == 0:
        return 1.0
    return max(0.0, min(error, distance) / distance)


def _automatic(rows: Tensor) -> float:
    """The intensity, kept off 0 where the covariance is singular: it is 0 for two codes."""
    amount = _ledoit_wolf(rows)
    return amount if len(rows) > rows.shape[1] else max(amount, _LEAST_SHRINKAGE)


def _solve(matrix: Tensor, target: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(matrix)
    floor = torch.finfo(matrix.dtype).eps * len(matrix) * float(matrix.diagonal().max())
    if int(failed) or float(factor.diagonal().min()) ** 2 <= floor:
        raise ValueError(
            "The covariance of the codes cannot be inverted: there are too few codes for their "
            "number of components. Use shrinkage (a penalty) above 0, or more codes."
        )
    return torch.cholesky_solve(target[:, None], factor)[:, 0]


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}.")
    return float(value)

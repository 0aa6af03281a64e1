"""Directions fitted to labelled codes: mean difference, LDA, logistic boundary, ridge.

All are computed in float64 on the CPU, in the span of the codes where there are fewer of them
than components: a direction of 16,384 numbers from 200 codes costs a 200 x 200 problem.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import flatten_codes, unit_and_length
from ._validation import compute_dtype, require_match, require_stack

_NEWTON_STEPS = 100
_LEAST_SHRINKAGE = 1e-3  # where codes are too few for an invertible covariance
_SAME_MEANS = (
    "The two groups have the same mean, so there is no direction between them. Give other codes."
)


def mean_difference(negative: Tensor, positive: Tensor) -> Tensor:
    """Return the mean of one group of codes minus the mean of another.

    Args:
        negative: ``(N, *latent_shape)``, codes without the attribute.
        positive: ``(M, *latent_shape)``, codes with it.

    Returns:
        ``(*latent_shape)``: adding it once goes the whole way.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if a group is empty or not finite, shapes or devices disagree, or both means
            are equal.
    """
    first, second = _groups(negative, positive)
    return _as_code(_difference(first, second), positive)


def lda_direction(
    negative: Tensor, positive: Tensor, shrinkage: float | None = None
) -> Tensor:
    """Return the normal of Fisher's linear discriminant, ``S^-1 (mean+ - mean-)``.

    S is the covariance within the groups, ``(1 - s) S + s tr(S)/d I`` after shrinkage.

    Args:
        negative, positive: as in :func:`mean_difference`.
        shrinkage: s, 0 to 1; the intensity of Ledoit & Wolf 2004 (see :func:`ledoit_wolf`) when
            None. 1 gives the mean difference.

    Returns:
        ``(*latent_shape)`` of length 1, in the dtype of ``positive``.

    Raises:
        TypeError, ValueError: as :func:`mean_difference`; also ValueError for a shrinkage outside
            0 to 1, or of 0 where the codes are too few for their covariance to be invertible.
    """
    first, second = _groups(negative, positive)
    difference = _difference(first, second)
    within = torch.cat([first - first.mean(0), second - second.mean(0)])
    size = within.shape[1]
    amount = _automatic(within) if shrinkage is None else _share("shrinkage", shrinkage)
    spread = float(within.square().sum()) / (len(within) * size)
    if spread > 0:
        rows, basis = _in_span(torch.cat([within, difference[None]]))
        within, target = rows[:-1], rows[-1]
        scatter = (1 - amount) * (within.T @ within) / len(within)
        scatter.diagonal().add_(amount * spread)
        difference = _out_of_span(_solve(scatter, target), basis)
    return _as_code(unit_and_length(difference)[0], positive)


def logistic_direction(negative: Tensor, positive: Tensor, penalty: float = 1.0) -> Tensor:
    """Return the normal of the L2-regularised logistic boundary between two groups.

    Minimises ``sum log(1 + exp(-y (<w, x> + b))) + penalty/2 |w|^2`` (y = -1, +1) by Newton's
    method from zero, which is deterministic. InterFaceGAN (Shen et al. 2020, arXiv 1907.10786)
    uses the normal of a linear boundary as an edit direction.

    Args:
        negative, positive: as in :func:`mean_difference`.
        penalty: on the squared length of w; the reciprocal of scikit-learn's C.

    Returns:
        ``(*latent_shape)`` of length 1, in the dtype of ``positive``.

    Raises:
        TypeError, ValueError: as :func:`mean_difference`; also ValueError for a penalty that is
            not above 0.
    """
    if not (math.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty must be a number above 0, got {penalty!r}.")
    first, second = _groups(negative, positive)
    _difference(first, second)
    codes = torch.cat([first, second])
    sign = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
    rows, basis = _in_span(codes - codes.mean(0))
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1)
    solution = _newton(rows * sign[:, None], penalty)
    return _as_code(unit_and_length(_out_of_span(solution[:-1], basis))[0], positive)


def ridge_direction(codes: Tensor, scores: Tensor, penalty: float | None = None) -> Tensor:
    """Return the direction along which a score is read off codes, by ridge regression.

    Minimises ``|y - X w - b|^2 + penalty |w|^2``.

    Args:
        codes: ``(N, *latent_shape)``.
        scores: ``(N,)``, real numbers that are not all equal.
        penalty: at least 0, scikit-learn's alpha. None takes the one that shrinks the covariance
            of the codes as :func:`ledoit_wolf` does: ``N s tr(S)/d / (1 - s)``.

    Returns:
        ``(*latent_shape)`` of length 1: along it the score rises. In the dtype of ``codes``.

    Raises:
        TypeError, ValueError: as :func:`mean_difference`; also ValueError for scores that do not
            fit, are all equal or unrelated to the codes, or a penalty below 0, or of 0 where the
            codes are too few for their covariance to be invertible.
    """
    rows = _rows("codes", codes)
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
            return _as_code(unit_and_length(target)[0], codes)
        penalty = amount / (1 - amount) * float(rows.square().sum()) / rows.shape[1]
    if not (math.isfinite(penalty) and penalty >= 0):
        raise ValueError(f"penalty must be a number of at least 0, got {penalty!r}.")
    inner, basis = _in_span(rows)
    scatter = inner.T @ inner
    scatter.diagonal().add_(penalty)
    solution = _solve(scatter, values @ inner)
    return _as_code(unit_and_length(_out_of_span(solution, basis))[0], codes)


def ledoit_wolf(codes: Tensor) -> float:
    """Return the shrinkage intensity of Ledoit & Wolf 2004 for the covariance of codes.

    "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
    Analysis 88(2): the s in 0 to 1 for which ``(1 - s) S + s tr(S)/d I`` is expected to be
    nearest to the true covariance.

    Args:
        codes: ``(N, *latent_shape)``; their mean is taken off.

    Raises:
        TypeError, ValueError: as :func:`mean_difference`.
    """
    rows = _rows("codes", codes)
    return _ledoit_wolf(rows - rows.mean(0))


def _ledoit_wolf(rows: Tensor) -> float:
    """The intensity for centred rows ``(N, d)``; 1 where they do not vary."""
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


def _newton(rows: Tensor, penalty: float) -> Tensor:
    """Minimise the logistic loss; the last column, of signs, is the intercept, not penalised."""
    weights = torch.full((rows.shape[1],), penalty, dtype=rows.dtype)
    weights[-1] = 0

    def loss(solution: Tensor) -> float:
        margins = rows @ solution
        return float(
            torch.nn.functional.softplus(-margins).sum() + (weights * solution.square()).sum() / 2
        )

    solution = torch.zeros(rows.shape[1], dtype=rows.dtype)
    current = loss(solution)
    for _ in range(_NEWTON_STEPS):
        wrong = torch.sigmoid(-(rows @ solution))
        gradient = weights * solution - wrong @ rows
        curvature = rows.T @ (rows * (wrong * (1 - wrong))[:, None]) + torch.diag(weights)
        # keeps the intercept's curvature from vanishing where all margins are large
        curvature[-1, -1] += 1e-12
        step = torch.linalg.solve(curvature, gradient)
        if float(step @ gradient) <= 1e-18 * (1 + abs(current)):
            break
        size = 1.0
        while loss(solution - size * step) > current and size > 1e-9:
            size /= 2
        solution = solution - size * step
        current = loss(solution)
    return solution


def _groups(negative: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    first, second = _rows("negative", negative), _rows("positive", positive)
    require_match("negative", negative[:1], "positive", positive[:1], positive.ndim - 1)
    return first, second


def _rows(name: str, codes: Tensor) -> Tensor:
    """Codes as ``(N, d)`` float64 on the CPU."""
    dims = require_stack(name, codes)
    if codes.shape[0] == 0:
        raise ValueError(f"{name} holds no codes; at least one is needed.")
    rows = flatten_codes(codes.detach().cpu(), dims, torch.float64)
    finite = torch.isfinite(rows).all(1)
    if not bool(finite.all()):
        number = int((~finite).nonzero()[0, 0])
        raise ValueError(f"Code {number} of {name} holds NaN or infinity; leave it out.")
    return rows


def _difference(first: Tensor, second: Tensor) -> Tensor:
    difference = second.mean(0) - first.mean(0)
    if not bool(difference.any()):
        raise ValueError(_SAME_MEANS)
    return difference


def _in_span(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Coordinates of rows ``(N, d)`` in an orthonormal basis ``(r, d)`` of their span, if smaller.

    Solutions of rotation-invariant problems lie in the span, so nothing is lost.
    """
    if rows.shape[0] >= rows.shape[1]:
        return rows, None
    basis = torch.linalg.qr(rows.T).Q.T
    return rows @ basis.T, basis


def _out_of_span(vector: Tensor, basis: Tensor | None) -> Tensor:
    return vector if basis is None else vector @ basis


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


def _as_code(vector: Tensor, like: Tensor) -> Tensor:
    """The flat float64 vector as one code; rounded twice, so that half follows float32."""
    return vector.to(compute_dtype(like)).unflatten(0, like.shape[1:]).to(like)

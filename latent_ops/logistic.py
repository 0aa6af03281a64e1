"""The normal of a logistic boundary between two groups of codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import unit_and_length
from ._rows import as_code, difference_of, group_rows, in_span, out_of_span

_NEWTON_STEPS = 100


def logistic_direction(negative: Tensor, positive: Tensor, penalty: float = 1.0) -> Tensor:
    """Return the normal of the L2-regularised logistic boundary between two groups.

    Minimises `sum log(1 + exp(-y (<w, x> + b))) + penalty/2 |w|^2` (y = -1, +1) by Newton's
    method from zero, which is deterministic. InterFaceGAN (Shen et al. 2020, arXiv 1907.10786)
    uses the normal of a linear boundary as an edit direction.

    Args:
        negative, positive: as in `mean_difference`.
        penalty: on the squared length of w; the reciprocal of scikit-learn's C.

    Returns:
        `(*latent_shape)` of length 1, in the dtype of `positive`.

    Raises:
        TypeError, ValueError: as `mean_difference`; also ValueError for a penalty that is
            not above 0.

    Example:
        >>> logistic_direction(torch.tensor([[0.0, 1.0], [0.0, -1.0]]), torch.tensor([[2.0, 0.0]]))
        tensor([1., 0.])
    """
    if not (math.isfinite(penalty) and penalty > 0):
        raise ValueError(f"penalty must be a number above 0, got {penalty!r}.")
    first, second = group_rows(negative, positive)
    difference_of(first, second)
    codes = torch.cat([first, second])
    sign = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
    rows, basis = in_span(codes - codes.mean(0))
    rows = torch.cat([rows, torch.ones(len(rows), 1, dtype=rows.dtype)], 1)
    solution = _newton(rows * sign[:, None], penalty)
    return as_code(unit_and_length(out_of_span(solution[:-1], basis))[0], positive)


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

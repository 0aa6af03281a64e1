"""How open the mouths of faces are, read off their codes."""

from __future__ import annotations

import torch
from torch import Tensor

_RIDGE = 100.0  # weight of the squared norm of the weights, for whitened coefficients
_STEPS = 12  # of Newton's method; it has converged after 6 to 8


def fit_openness(coefficients: Tensor, labels: Tensor, parity: Tensor) -> Tensor:
    """Log-odds that a mouth is open as a weighted sum of coefficients: logistic regression with a
    ridge, by iteratively reweighted least squares (McCullagh & Nelder 1989).

    Args:
        coefficients: `(N, K)` of training faces, whitened.
        labels: `(N,)`, probabilities that their mouths are open; of no faces at all, every mouth is
            as likely open as not.
        parity: `(K,)`, +1 or -1; only symmetric components count, a mirrored mouth is as open.

    Returns:
        `(K + 1,)` float32: weights, and the constant.
    """
    symmetric = (parity > 0).nonzero()[:, 0]
    x = coefficients[:, symmetric].double()
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    wanted = labels.double()
    ridge = x.new_full((x.shape[1],), _RIDGE)
    ridge[-1] = 1e-3
    weights = torch.zeros_like(ridge)
    for _ in range(_STEPS):
        chance = (x @ weights).sigmoid()
        gradient = x.T @ (chance - wanted) + ridge * weights
        curvature = (x.T * (chance * (1 - chance))) @ x + torch.diag(ridge)
        weights = weights - torch.linalg.solve(curvature, gradient)
    result = torch.zeros(coefficients.shape[1] + 1)
    result[symmetric], result[-1] = weights[:-1].float(), weights[-1].float()
    return result

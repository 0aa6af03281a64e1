"""Cubic splines through keyframes: natural ends, or periodic for loops."""

from __future__ import annotations

import torch
from torch import Tensor


def cubic_moments(points: Tensor, steps: Tensor, periodic: bool) -> Tensor:
    """Return the second derivatives of the interpolating cubic spline at its knots.

    The C2 spline with zero second derivatives at both ends, or with value, first and second
    derivative equal at both ends (de Boor 1978, "A practical guide to splines", chapter IV).

    Args:
        points: `(n + 1, D)`; for `periodic` the last equals the first.
        steps: knot spacing `(n,)`, positive.
        periodic: close the curve smoothly.

    Returns:
        `(n + 1, D)`, second derivatives by the knot parameter.
    """
    count = steps.shape[0]
    slopes = (points[1:] - points[:-1]) / steps[:, None]
    if periodic:
        before = steps.roll(1)
        matrix = torch.diag(2 * (before + steps))
        index = torch.arange(count)
        # Added, not assigned: with two segments both neighbours of a knot are the same knot.
        matrix.index_put_((index, (index + 1) % count), steps, accumulate=True)
        matrix.index_put_((index, (index - 1) % count), before, accumulate=True)
        moments = torch.linalg.solve(matrix, 6 * (slopes - slopes.roll(1, 0)))
        return torch.cat([moments, moments[:1]])
    moments = torch.zeros_like(points)
    if count > 1:
        matrix = (
            torch.diag(2 * (steps[:-1] + steps[1:]))
            + torch.diag(steps[1:-1], 1)
            + torch.diag(steps[1:-1], -1)
        )
        moments[1:-1] = torch.linalg.solve(matrix, 6 * (slopes[1:] - slopes[:-1]))
    return moments


def cubic_speed_squared(points: Tensor, moments: Tensor, steps: Tensor) -> Tensor:
    """Return `|p'(t)|^2` of each segment as coefficients of `t^0 .. t^4`, `(n, 5)`.

    `t` runs from 0 to 1 within a segment.
    """
    h2 = steps.square()[:, None]
    first, last = moments[:-1], moments[1:]
    linear = points[1:] - points[:-1] - h2 / 6 * (2 * first + last)
    square = h2 * first
    cube = h2 / 2 * (last - first)

    def inner(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(1)

    return torch.stack(
        [
            inner(linear, linear),
            2 * inner(linear, square),
            inner(square, square) + 2 * inner(linear, cube),
            2 * inner(square, cube),
            inner(cube, cube),
        ],
        dim=1,
    )


def cubic_bend(first: Tensor, last: Tensor, steps: Tensor, t: Tensor) -> Tensor:
    """Return how far the spline is from the chord at `t`, `(F, D)`; exactly 0 at both ends.

    Args:
        first: second derivatives at the start of each frame's segment, `(F, D)`.
        last: second derivatives at its end, `(F, D)`.
        steps: knot spacing of the segment, `(F, 1)`.
        t: position within the segment, `(F, 1)`.
    """
    rest = 1 - t
    return -(steps.square() / 6) * ((rest - rest**3) * first + (t - t**3) * last)

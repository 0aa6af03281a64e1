"""Arc length of curves whose squared speed is a polynomial, and its inverse."""

from __future__ import annotations

import torch
from torch import Tensor

# Subintervals of a segment, Gauss-Legendre nodes in each: 1e-12 relative for smooth speeds.
_SUBINTERVALS = 32
_NEWTON_STEPS = 60
_SETTLED = 1e-15

# Abscissae and weights of the 8-point rule on [-1, 1] (Abramowitz and Stegun 1964, table 25.4).
_NODES = (0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363)
_WEIGHTS = (0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763)


class ArcLength:
    """Arc length along n segments, each with a parameter t from 0 to 1. All in float64 on the CPU.

    Lerp, slerp with a linear norm and cubic splines all have a squared speed that is a polynomial
    of degree at most 4 in t, so a handful of numbers per segment stands for the whole curve.
    """

    def __init__(self, speed_squared: Tensor) -> None:
        """Tabulate the arc length.

        Args:
            speed_squared: coefficients of `t^0 .. t^4` for each segment, `(n, 5)`.
        """
        self._speed_squared = speed_squared
        edges = torch.linspace(0, 1, _SUBINTERVALS + 1, dtype=torch.float64)
        segments = torch.arange(speed_squared.shape[0])[:, None]
        pieces = self._integrate(segments, edges[:-1].expand(len(segments), -1), edges[1:])
        self._edges = edges
        self._table = torch.cat(
            [torch.zeros(len(segments), 1, dtype=torch.float64), pieces.cumsum(1)], dim=1
        )
        self.lengths: Tensor = self._table[:, -1]
        cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), self.lengths.cumsum(0)])
        self.total = float(cumulative[-1])
        self.positions: Tensor = cumulative / self.total
        self.positions[-1] = 1.0

    def locate(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """Return the segment and the share of its length at `s` of the total, `(F,)` each."""
        last = self.lengths.shape[0] - 1
        segment = (torch.searchsorted(self.positions, s, right=True) - 1).clamp(0, last)
        start, end = self.positions[segment], self.positions[segment + 1]
        width = torch.where(end > start, end - start, torch.ones_like(start))
        return segment, ((s - start) / width).clamp(0, 1)

    def parameter(self, segment: Tensor, share: Tensor) -> Tensor:
        """Return t at a share of the segment's length, `(F,)`; exactly 0 at 0 and 1 at 1."""
        target = share * self.lengths[segment]
        table = self._table[segment]
        piece = (torch.searchsorted(table, target[:, None], right=True)[:, 0] - 1).clamp(
            0, _SUBINTERVALS - 1
        )
        begin, low, high = self._edges[piece], self._edges[piece], self._edges[piece + 1]
        wanted = target - table.gather(1, piece[:, None])[:, 0]
        t = (low + high) / 2
        # Newton's method, kept inside a shrinking bracket because the speed may touch zero.
        for _ in range(_NEWTON_STEPS):
            error = self._integrate(segment, begin, t) - wanted
            low, high = torch.where(error < 0, t, low), torch.where(error > 0, t, high)
            step = t - error / self._speed(segment, t).clamp_min(torch.finfo(torch.float64).tiny)
            moved = torch.where((step > low) & (step < high), step, (low + high) / 2)
            moved = torch.where(error == 0, t, moved)
            settled = bool(((moved - t).abs() <= _SETTLED).all())
            t = moved
            if settled:
                break
        t = torch.where(share <= 0, torch.zeros_like(t), t)
        return torch.where(share >= 1, torch.ones_like(t), t)

    def _speed(self, segment: Tensor, t: Tensor) -> Tensor:
        """Return the speed by t; `segment` broadcasts against `t`."""
        c = self._speed_squared[segment]
        value = c[..., 4]
        for power in (3, 2, 1, 0):
            value = value * t + c[..., power]
        return value.clamp_min(0).sqrt()

    def _integrate(self, segment: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        """Return the arc length from `begin` to `end`, within one subinterval."""
        centre, half = (begin + end) / 2, (end - begin) / 2
        total = torch.zeros_like(centre)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            both = self._speed(segment, centre - node * half) + self._speed(
                segment, centre + node * half
            )
            total = total + weight * both
        return total * half

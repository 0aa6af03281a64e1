"""The curve through keyframes, addressed by arc length."""

from __future__ import annotations

import torch
from torch import Tensor

from ._arc_length import ArcLength
from ._geometry import angle_between_units, unit_and_length
from ._spline import cubic_bend, cubic_moments, cubic_speed_squared
from ._validation import compute_dtype, latent_shape, require_choice, require_match, require_stack
from .interpolation import lerp, slerp

PATH_MODES = ("slerp", "lerp", "spline")


class Curve:
    """The curve through the distinct successive keyframes (its knots), closed for a loop."""

    def __init__(
        self,
        keyframes: Tensor,
        mode: str,
        loop: bool,
        origin: Tensor | None,
        latent_dims: int | None,
    ) -> None:
        require_choice("mode", mode, PATH_MODES)
        dims = require_stack("keyframes", keyframes, latent_dims)
        if keyframes.shape[0] == 0:
            raise ValueError("A path needs at least one keyframe, got an empty stack.")
        if not bool(torch.isfinite(keyframes).all()):
            raise ValueError("A keyframe holds NaN or infinity.")
        self.shape = latent_shape(keyframes, dims)
        self._dtype = keyframes.dtype
        self._origin = None
        tensors = [keyframes]
        if origin is not None:
            require_match("keyframes", keyframes, "origin", origin, dims)
            if origin.ndim != dims:
                raise ValueError(f"origin must be one code, got shape {tuple(origin.shape)}.")
            tensors.append(origin)
        wide = compute_dtype(*tensors)
        flat = keyframes.to(wide).flatten(1)
        if origin is not None and mode == "slerp":
            self._origin = origin.to(wide).flatten()
        if loop:
            flat = torch.cat([flat, flat[:1]])
        moves = (flat[1:] != flat[:-1]).any(1)
        knot = torch.cat([moves.new_zeros(1), moves]).cumsum(0)
        self.knot_of_keyframe = knot[: keyframes.shape[0]].cpu()
        self._knots = torch.cat([flat[:1], flat[1:][moves]])
        self._mode = mode
        self.arcs: ArcLength | None = None
        if self._knots.shape[0] > 1:
            self.arcs = ArcLength(self._speed_squared(loop))

    def still(self, batch: tuple[int, ...]) -> Tensor:
        """Return the first keyframe, repeated."""
        code = self._knots[0].to(self._dtype).reshape(self.shape)
        return code.expand(*batch, *self.shape).clone()

    def at(self, segment: Tensor, share: Tensor) -> Tensor:
        """Return codes `(F, *latent_shape)` at shares of the segments' lengths, `(F,)` each."""
        assert self.arcs is not None
        device = self._knots.device
        t = self.arcs.parameter(segment, share).to(device=device, dtype=self._knots.dtype)
        segment = segment.to(device)
        start, end = self._knots[segment], self._knots[segment + 1]
        if self._mode == "slerp":
            codes = slerp(start, end, t, origin=self._origin)
        else:
            codes = lerp(start, end, t)
            if self._mode == "spline":
                first, last = self._moments[segment], self._moments[segment + 1]
                codes = codes + cubic_bend(first, last, self._steps[segment, None], t[:, None])
        return codes.to(self._dtype).reshape(-1, *self.shape)

    def _speed_squared(self, loop: bool) -> Tensor:
        """Return the squared speed of each segment as coefficients of `t^0 .. t^4`, `(n, 5)`.

        In float64 on the CPU: a few numbers per keyframe decide where every frame lies.
        """
        knots = self._knots.detach().cpu().double()
        # Lengths matter only against each other; at about 1 their squares cannot underflow.
        unit_of_length = (knots[1:] - knots[:-1]).abs().max()
        knots = knots / unit_of_length
        if self._mode == "spline":
            steps = torch.linalg.vector_norm(knots[1:] - knots[:-1], dim=1).sqrt()
            moments = cubic_moments(knots, steps, periodic=loop)
            self._steps = steps.to(self._knots)
            self._moments = (moments * unit_of_length).to(self._knots)
            return cubic_speed_squared(knots, moments, steps)
        result = knots.new_zeros((knots.shape[0] - 1, 5))
        if self._mode == "lerp" or knots.shape[1] == 1:
            result[:, 0] = (knots[1:] - knots[:-1]).square().sum(1)
            return result
        if self._origin is not None:
            origin = self._origin.detach().cpu().double()
            knots = knots - origin / unit_of_length
        unit, norm = unit_and_length(knots)
        omega = angle_between_units(unit[1:], unit[:-1])[:, 0]
        first, last = norm[:-1, 0], norm[1:, 0]
        # Slerp is a straight line from or to the origin, where there is no direction to turn from.
        turn = torch.where((first == 0) | (last == 0), torch.zeros_like(omega), omega).square()
        growth = last - first
        result[:, 0] = growth.square() + turn * first.square()
        result[:, 1] = 2 * turn * first * growth
        result[:, 2] = turn * growth.square()
        return result

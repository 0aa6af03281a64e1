"""Paths through many keyframes at constant speed: broken lines, arcs and smooth splines, loops."""

from __future__ import annotations

import torch
from torch import Tensor

from ._arc_length import ArcLength
from ._geometry import angle_between_units, unit_and_length
from ._spline import cubic_bend, cubic_moments, cubic_speed_squared
from ._validation import (
    compute_dtype,
    latent_shape,
    require_choice,
    require_count,
    require_match,
    require_stack,
)
from .interpolation import lerp, slerp

PATH_MODES = ("slerp", "lerp", "spline")


def path(
    keyframes: Tensor,
    frames: int,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    hit_keyframes: bool = True,
    latent_dims: int | None = None,
) -> Tensor:
    """Sample a path through keyframes at constant speed.

    Args:
        keyframes: ``(K, *latent_shape)``, everything after the first dimension is the code.
        frames: how many codes to return, at least 1.
        mode: ``slerp``: an arc from each keyframe to the next, as :func:`slerp`. ``lerp``: straight
            lines. ``spline``: one smooth curve, the C2 cubic spline with centripetal knots (spacing
            ``|difference|^(1/2)``, Lee 1989), natural ends, or periodic for a loop.
        loop: return to the first keyframe. The last frame is one step before the first, so that the
            frames repeat without a doubled one.
        origin: centre of the spheres for ``slerp``, ``latent_shape``. The other modes do not depend
            on it.
        hit_keyframes: see Notes.
        latent_dims: optional, checked against the shape of ``keyframes``.

    Returns:
        ``(frames, *latent_shape)`` in the dtype of ``keyframes``. Frame 0 is the first keyframe
        and, unless looping, the last frame the last keyframe, bit for bit (with one frame: the
        first).

    Raises:
        TypeError: if ``keyframes`` or ``origin`` is not a floating-point tensor.
        ValueError: if there are no keyframes, a value is not finite, shapes or devices disagree, or
            ``hit_keyframes`` is set with fewer frames than distinct successive keyframes.

    Notes:
        Speed is constant in arc length: the curve is covered in equal lengths, however unequal the
        keyframes' distances. A finite number of frames cannot in general do that and also show
        every keyframe, so choose:

        - ``hit_keyframes=True``: each keyframe is moved to its nearest frame and shown there bit
          for bit. Between two keyframes the steps are equal; from one pair to the next they differ
          by the rounding, at most one frame in the number of frames between the two (where
          keyframes crowd closer than a frame, each still gets its own).
        - ``hit_keyframes=False``: all steps are equal, and an interior keyframe is missed by up to
          half a step.

        A single keyframe, or only identical ones, give a still. Successive identical keyframes take
        no time. The spline leaves the sphere as :func:`lerp` does.
    """
    require_count("frames", frames, 1)
    curve = _Curve(keyframes, mode, loop, origin, latent_dims)
    if curve.arcs is None:
        return curve.still((frames,))
    if not hit_keyframes:
        s = torch.arange(frames, dtype=torch.float64) / (frames if loop else max(frames - 1, 1))
        return curve.at(*curve.arcs.locate(s))
    stops = _stops(curve.arcs.positions, frames, loop)
    frame = torch.arange(frames)
    segment = (torch.searchsorted(stops, frame, right=True) - 1).clamp(0, len(stops) - 2)
    share = (frame - stops[segment]) / (stops[segment + 1] - stops[segment]).double()
    return curve.at(segment, share)


def path_at(
    keyframes: Tensor,
    s: float | Tensor,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    latent_dims: int | None = None,
) -> Tensor:
    """Evaluate the path of :func:`path` anywhere.

    Args:
        keyframes: ``(K, *latent_shape)``.
        s: share of the whole arc length, 0 to 1, a number or a tensor of any shape. On a loop it
            may be any number: 1 is the first keyframe again, 1.25 is 0.25.
        mode: as in :func:`path`.
        loop: as in :func:`path`.
        origin: as in :func:`path`.
        latent_dims: optional, checked against the shape of ``keyframes``.

    Returns:
        ``(*s.shape, *latent_shape)``. At the values of :func:`keyframe_positions` these are the
        keyframes, bit for bit.

    Raises:
        TypeError, ValueError: as :func:`path`; also ValueError if ``s`` is outside the path.
    """
    curve = _Curve(keyframes, mode, loop, origin, latent_dims)
    where = torch.as_tensor(s, dtype=torch.float64, device="cpu")
    if not bool(torch.isfinite(where).all()):
        raise ValueError("s must be finite.")
    if loop:
        where = where.remainder(1.0)
    elif bool(((where < 0) | (where > 1)).any()):
        raise ValueError(
            f"s must be within 0 and 1, the ends of the path; got {float(where.min())} to "
            f"{float(where.max())}. Only a loop goes on."
        )
    if curve.arcs is None:
        return curve.still(tuple(where.shape))
    result = curve.at(*curve.arcs.locate(where.reshape(-1)))
    return result.reshape(*where.shape, *curve.shape)


def keyframe_positions(
    keyframes: Tensor,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    latent_dims: int | None = None,
) -> Tensor:
    """Return the share of the arc length at which each keyframe is reached.

    Args, Raises: as :func:`path_at`.

    Returns:
        ``(K,)`` float64 on the CPU, ascending from 0; the last is 1 unless the path is a loop or a
        still (then all are 0).
    """
    curve = _Curve(keyframes, mode, loop, origin, latent_dims)
    if curve.arcs is None:
        return torch.zeros(keyframes.shape[0], dtype=torch.float64)
    return curve.arcs.positions[curve.knot_of_keyframe]


def keyframe_frames(
    keyframes: Tensor,
    frames: int,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    latent_dims: int | None = None,
) -> Tensor:
    """Return the frame in which ``path(..., hit_keyframes=True)`` shows each keyframe.

    Args, Raises: as :func:`path`.

    Returns:
        ``(K,)`` int64 on the CPU. Successive identical keyframes share a frame; in a loop one that
        repeats the first at the end is frame 0.
    """
    require_count("frames", frames, 1)
    curve = _Curve(keyframes, mode, loop, origin, latent_dims)
    if curve.arcs is None:
        return torch.zeros(keyframes.shape[0], dtype=torch.int64)
    stops = _stops(curve.arcs.positions, frames, loop)[curve.knot_of_keyframe]
    return stops % frames


class _Curve:
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
        """Return codes ``(F, *latent_shape)`` at shares of the segments' lengths, ``(F,)`` each."""
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
        """Return the squared speed of each segment as coefficients of ``t^0 .. t^4``, ``(n, 5)``.

        In float64 on the CPU: a few numbers per keyframe decide where every frame lies.
        """
        knots = self._knots.detach().to(device="cpu", dtype=torch.float64)
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
            origin = self._origin.detach().to(device="cpu", dtype=torch.float64)
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


def _stops(positions: Tensor, frames: int, loop: bool) -> Tensor:
    """Return a frame for each knot: the nearest, made distinct. A loop's last one is ``frames``."""
    segments = positions.shape[0] - 1
    steps = frames if loop else frames - 1
    if steps < segments:
        needed = segments if loop else segments + 1
        raise ValueError(
            f"{needed} keyframes need at least {needed} frames to be shown, got {frames}. Raise "
            "frames, remove keyframes, or set hit_keyframes=False to pass them by."
        )
    stops = (positions * steps).round().long()
    index = torch.arange(segments + 1)
    # Push crowded knots apart, first to the right, then back from the fixed last one.
    stops = (stops - index).cummax(0).values + index
    stops = torch.minimum(stops - index, stops.new_tensor(steps - segments)) + index
    return stops

"""Paths through many keyframes in equal steps: broken lines, arcs and smooth splines, loops."""

from __future__ import annotations

import torch
from torch import Tensor

from ._curve import PATH_MODES, Curve
from ._validation import require_choice, require_count
from .easing import EASINGS, ease

__all__ = ["PATH_MODES", "keyframe_frames", "keyframe_positions", "path", "path_at"]


def path(
    keyframes: Tensor,
    frames: int,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    hit_keyframes: bool = True,
    easing: str = "linear",
    latent_dims: int | None = None,
) -> Tensor:
    """Sample a path through keyframes, at constant speed or with an easing.

    Args:
        keyframes: `(K, *latent_shape)`, everything after the first dimension is the code.
        frames: how many codes to return, at least 1.
        mode: `slerp`: an arc from each keyframe to the next, as `slerp`. `lerp`: straight
            lines. `spline`: one smooth curve, the C2 cubic spline with centripetal knots (spacing
            `|difference|^(1/2)`, Lee 1989), natural ends, or periodic for a loop.
        loop: return to the first keyframe. The last frame is one step before the first, so that the
            frames repeat without a doubled one.
        origin: centre of the spheres for `slerp`, `latent_shape`. The other modes do not depend
            on it.
        hit_keyframes: see Notes.
        easing: speed between each keyframe and the next, as `ease`; `linear` is constant.
        latent_dims: optional, checked against the shape of `keyframes`.

    Returns:
        `(frames, *latent_shape)` in the dtype of `keyframes`. Frame 0 is the first keyframe
        and, unless looping, the last frame the last keyframe, bit for bit (with one frame: the
        first).

    Raises:
        TypeError: if `keyframes` or `origin` is not a floating-point tensor.
        ValueError: if there are no keyframes, a value is not finite, shapes or devices disagree, or
            `hit_keyframes` is set with fewer frames than distinct successive keyframes.

    Notes:
        Speed is constant in arc length: the curve is covered in equal lengths, however unequal the
        keyframes' distances. A finite number of frames cannot in general do that and also show
        every keyframe, so choose:

        - `hit_keyframes=True`: each keyframe is moved to its nearest frame and shown there bit
          for bit. Between two keyframes the steps are equal; from one pair to the next they differ
          by the rounding, at most one frame in the number of frames between the two (where
          keyframes crowd closer than a frame, each still gets its own).
        - `hit_keyframes=False`: all steps are equal, and an interior keyframe is missed by up to
          half a step.

        An easing changes the steps between two keyframes, not when they are reached: each pair
        takes the time it takes at constant speed.

        A single keyframe, or only identical ones, give a still. Successive identical keyframes take
        no time. The spline leaves the sphere as `lerp` does.

    Example:
        >>> path(torch.tensor([[0.0], [4.0]]), 5, mode="lerp").flatten()
        tensor([0., 1., 2., 3., 4.])
    """
    require_count("frames", frames, 1)
    require_choice("easing", easing, EASINGS)
    curve = Curve(keyframes, mode, loop, origin, latent_dims)
    if curve.arcs is None:
        return curve.still((frames,))
    if not hit_keyframes:
        s = torch.arange(frames, dtype=torch.float64) / (frames if loop else max(frames - 1, 1))
        segment, share = curve.arcs.locate(s)
        return curve.at(segment, ease(share, easing))
    stops = _stops(curve.arcs.positions, frames, loop)
    frame = torch.arange(frames)
    segment = (torch.searchsorted(stops, frame, right=True) - 1).clamp(0, len(stops) - 2)
    share = (frame - stops[segment]) / (stops[segment + 1] - stops[segment]).double()
    return curve.at(segment, ease(share, easing))


def path_at(
    keyframes: Tensor,
    s: float | Tensor,
    *,
    mode: str = "slerp",
    loop: bool = False,
    origin: Tensor | None = None,
    latent_dims: int | None = None,
) -> Tensor:
    """Evaluate the path of `path` anywhere.

    Args:
        keyframes: `(K, *latent_shape)`.
        s: share of the whole arc length, 0 to 1, a number or a tensor of any shape. On a loop it
            may be any number: 1 is the first keyframe again, 1.25 is 0.25.
        mode: as in `path`.
        loop: as in `path`.
        origin: as in `path`.
        latent_dims: optional, checked against the shape of `keyframes`.

    Returns:
        `(*s.shape, *latent_shape)`. At the values of `keyframe_positions` these are the
        keyframes, bit for bit.

    Raises:
        TypeError, ValueError: as `path`; also ValueError if `s` is outside the path.

    Example:
        >>> path_at(torch.tensor([[0.0], [1.0], [4.0]]), 0.5, mode="lerp")
        tensor([2.])
    """
    curve = Curve(keyframes, mode, loop, origin, latent_dims)
    where = (
        s.detach().cpu().double()
        if isinstance(s, Tensor)
        else torch.tensor(float(s), dtype=torch.float64)
    )
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

    Args, Raises: as `path_at`.

    Returns:
        `(K,)` float64 on the CPU, ascending from 0; the last is 1 unless the path is a loop or a
        still (then all are 0).

    Example:
        >>> keyframe_positions(torch.tensor([[0.0], [1.0], [4.0]]), mode="lerp")
        tensor([0.0000, 0.2500, 1.0000], dtype=torch.float64)
    """
    curve = Curve(keyframes, mode, loop, origin, latent_dims)
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
    """Return the frame in which `path(..., hit_keyframes=True)` shows each keyframe.

    Args, Raises: as `path`.

    Returns:
        `(K,)` int64 on the CPU. Successive identical keyframes share a frame; in a loop one that
        repeats the first at the end is frame 0.

    Example:
        >>> keyframe_frames(torch.tensor([[0.0], [1.0], [4.0]]), 9, mode="lerp")
        tensor([0, 2, 8])
    """
    require_count("frames", frames, 1)
    curve = Curve(keyframes, mode, loop, origin, latent_dims)
    if curve.arcs is None:
        return torch.zeros(keyframes.shape[0], dtype=torch.int64)
    stops = _stops(curve.arcs.positions, frames, loop)[curve.knot_of_keyframe]
    return stops % frames


def _stops(positions: Tensor, frames: int, loop: bool) -> Tensor:
    """Return a frame for each knot: the nearest, made distinct. A loop's last one is `frames`."""
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

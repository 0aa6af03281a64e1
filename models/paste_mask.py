"""Where an edit may act: a soft oval over the face, in aligned-crop coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from .errors import FaceLatentsError

# Half axes of the oval in units of the landmarks' root mean square distance from their mean
# (0.230 of the crop in the tight template): brows to chin, temple to temple.
_HALF_WIDTH = 2.00
_HALF_HEIGHT = 2.12
_EXPONENT = 2.5  # superellipse: squarer than an oval, as jaws and foreheads are
_CORE = 0.55  # radius up to which the mask is 1
_FRAME = 0.10  # share of the crop over which the mask falls to 0 at the crop's own frame


def smootherstep(t: Tensor) -> Tensor:
    """0 for t <= 0, 1 for t >= 1, with zero first and second derivatives at both ends."""
    t = t.clamp(0, 1)
    return t * t * t * (t * (t * 6 - 15) + 10)


def face_mask(landmarks: Tensor, size: int, resolution: int) -> Tensor:
    """Soft mask of the face in its aligned crop.

    Args:
        landmarks: ``(5, 2)`` in crop pixels (pixel centres at integers) of a crop of `size`.
        size: side of the crop the landmarks refer to.
        resolution: side of the mask wanted; it covers the same square.

    Returns:
        ``(resolution, resolution)`` float32 in [0, 1], exactly 0 along the crop's frame.

    Raises:
        FaceLatentsError: when the landmarks coincide or are not finite.
    """
    points = (landmarks.to(torch.float64).cpu() + 0.5) / size
    centre = points.mean(0)
    unit = (points - centre).square().sum(-1).mean().sqrt()
    if not bool(torch.isfinite(unit)) or float(unit) < 1e-3:
        raise FaceLatentsError(
            "Paste Back: the five face landmarks coincide or are not numbers. Encode the photo "
            "again, with landmarks on both eyes, the nose and both mouth corners."
        )
    axis = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution
    dx = ((axis - centre[0]).abs() / (_HALF_WIDTH * unit)).pow(_EXPONENT)
    dy = ((axis - centre[1]).abs() / (_HALF_HEIGHT * unit)).pow(_EXPONENT)
    radius = (dx[None, :] + dy[:, None]).pow(1 / _EXPONENT)
    oval = smootherstep((1 - radius) / (1 - _CORE))
    # The outermost ring of samples is forced to 0, so that nothing ends at the crop's frame.
    edge = smootherstep((torch.minimum(axis, 1 - axis) - 1.0 / resolution) / _FRAME)
    return (oval * edge[None, :] * edge[:, None]).float()

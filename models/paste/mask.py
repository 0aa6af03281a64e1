"""Where an edit may act: a soft oval over the face, in aligned-crop coordinates."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..imaging.maps import gaussian_blur

# Half axes of the oval in units of the landmarks' root mean square distance from their mean
# (0.230 of the crop in the tight template): brows to chin, temple to temple.
_HALF_WIDTH = 2.00
_HALF_HEIGHT = 2.12
_EXPONENT = 2.5  # superellipse: squarer than an oval, as jaws and foreheads are
_ENDS = (0.55, 1.0)  # radii up to which the mask is 1, and from which it is 0
_EDGE_FLOOR = 0.002  # colour variance (0.045^2) below which a difference is texture, not an edge
_EDGE_GAIN = 1.25  # makes up for what the windows smear
_FRAME = 0.10  # share of the crop over which masks fall to 0 at the crop's own frame


def smootherstep(t: Tensor) -> Tensor:
    """0 for t <= 0, 1 for t >= 1, with zero first and second derivatives at both ends."""
    t = t.clamp(0, 1)
    return (t * t * t * (t * (t * 6 - 15) + 10)).clamp(0, 1)


def face_mask(
    landmarks: Tensor, size: int, resolution: int, ends: tuple[float, float] = _ENDS
) -> Tensor:
    """Soft mask of the face in its aligned crop.

    Args:
        landmarks: `(5, 2)` in crop pixels (pixel centres at integers) of a crop of `size`.
        size: side of the crop the landmarks refer to.
        resolution: side of the mask wanted; it covers the same square.
        ends: up to which share of the oval it is 1, and from which it is 0.

    Returns:
        `(resolution, resolution)` float32 in [0, 1], exactly 0 along the crop's frame.

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
    oval = smootherstep((ends[1] - radius) / (ends[1] - ends[0]))
    return (oval * frame_mask(resolution)).float()


def frame_mask(resolution: int, share: float = _FRAME) -> Tensor:
    """1 within a crop, falling to 0 over a share of it: `(resolution, resolution)` float64.

    The outermost ring of samples is 0, so that nothing ends at the frame.
    """
    axis = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution
    edge = smootherstep((torch.minimum(axis, 1 - axis) - 1.0 / resolution) / share)
    return edge[None, :] * edge[:, None]


def motion_mask(mask: Tensor) -> Tensor:
    """A wider mask for motion: 1 wherever `mask` is above one half, 0 where it is 0.

    Jaw and cheeks must be free to move; unlike a change of colour, motion that fades leaves no
    visible border.
    """
    return smootherstep(mask * 2)


def follow_edges(mask: Tensor, guide: Tensor, reach: float = 0.05) -> Tensor:
    """Let the mask's border run along the photo's own edges: cheek against hair or background.

    A guided filter (He, Sun & Tang 2013) with a colour guide and Gaussian windows: around each
    pixel the mask is fitted as an affine function of the photo's colour.

    Args:
        mask: `(N, N)` in [0, 1].
        guide: `(3, N, N)` the photo's crop.
        reach: standard deviation of the window as a share of the crop.

    Returns:
        `(N, N)` in [0, 1], 0 wherever `mask` is.
    """
    sigma = reach * mask.shape[-1]
    products = torch.stack([guide[i] * guide[j] for i in range(3) for j in range(i, 3)])
    local = gaussian_blur(torch.cat([guide, mask[None], guide * mask, products]), sigma)
    mean, mean_mask, cross, second = local.split([3, 1, 3, 6])
    upper = iter(second)
    covariance = mean.new_zeros(*mask.shape, 3, 3)
    for i in range(3):
        for j in range(i, 3):
            covariance[..., i, j] = next(upper) - mean[i] * mean[j]
            covariance[..., j, i] = covariance[..., i, j]
    covariance = covariance + _EDGE_FLOOR * torch.eye(3, device=mask.device)
    slope = torch.linalg.solve(covariance, (cross - mean * mean_mask).permute(1, 2, 0))
    slope = slope.permute(2, 0, 1)
    offset = mean_mask[0] - (slope * mean).sum(0)
    smooth = gaussian_blur(torch.cat([slope, offset[None]]), sigma)
    fitted = (smooth[:3] * guide).sum(0) + smooth[3]
    # Without edges the fit is the mask blurred twice; only what the edges add to that is taken
    # over. The filter spreads, so the oval it came from stays the outer limit.
    plain = gaussian_blur(mean_mask, sigma)[0]
    return torch.minimum((mask + _EDGE_GAIN * (fitted - plain)).clamp(0, 1), 2.5 * mask)

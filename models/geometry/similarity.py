"""Plane transforms between a photo and its crop.

Coordinates are (x, y) with pixel centres at integers: (0, 0) is the centre of the top-left pixel,
so an image of width W spans x from -0.5 to W - 0.5. A transform is a (2, 3) float64 matrix that
maps (x, y, 1) of the source to (x, y) of the target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import FaceLatentsError


def fit_whole(height: int, width: int, size: int) -> Tensor:
    """The (2, 3) float64 transform that fits a whole picture into the middle of a square crop.

    A crop cut with it (`align.align_with_transform`) repeats the border pixels beside the picture.
    """
    longest = max(height, width)
    scale = size / longest
    # pixel centres are at integers
    left, top = (size * (1 - side / longest) / 2 + (scale - 1) / 2 for side in (width, height))
    return torch.tensor([[scale, 0, left], [0, scale, top]], dtype=torch.float64)


def scaling_transform(x: float, y: float) -> Tensor:
    """The (2, 3) float64 transform from a picture's pixels to those of the same picture, `x` and
    `y` times as many: corners stay corners."""
    return torch.tensor([[x, 0.0, (x - 1) / 2], [0.0, y, (y - 1) / 2]], dtype=torch.float64)


def similarity_transform(src: Tensor, dst: Tensor) -> Tensor:
    """Least-squares rotation, uniform scale and shift from `src` to `dst`, never a reflection.

    In two dimensions the solution of Umeyama 1991 without reflection is the complex regression
    dst = (a + ib) src + t, which needs no SVD.

    Args:
        src, dst: `(*, N, 2)` with N >= 2.

    Returns:
        `(*, 2, 3)` float64.

    Raises:
        FaceLatentsError: the points do not fix a transform: not finite, all at one place, or
            shapes that differ.
    """
    src = torch.as_tensor(src, dtype=torch.float64)
    dst = torch.as_tensor(dst, dtype=torch.float64)
    if src.shape != dst.shape or src.dim() < 2 or src.shape[-1] != 2 or src.shape[-2] < 2:
        raise FaceLatentsError(
            "Alignment needs two lists of (x, y) points of the same length (2 or more), got shapes "
            f"{tuple(src.shape)} and {tuple(dst.shape)}."
        )
    if not bool(torch.isfinite(src).all() and torch.isfinite(dst).all()):
        raise FaceLatentsError(
            "The face landmarks contain values that are not numbers (NaN or infinite). "
            "Check the landmark input, or let the face finder locate the face."
        )
    src_mean, dst_mean = src.mean(-2), dst.mean(-2)
    p, q = src - src_mean.unsqueeze(-2), dst - dst_mean.unsqueeze(-2)
    spread = p.square().sum((-2, -1))
    extent = src.abs().amax((-2, -1)).clamp_min(1.0)
    coincident = spread <= (1e-9 * extent).square()
    safe_spread = torch.where(coincident, torch.ones_like(spread), spread)
    a = (p * q).sum((-2, -1)) / safe_spread
    b = (p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0]).sum(-1) / safe_spread
    if bool((coincident | (a.square() + b.square() <= 1e-18)).any()):
        raise FaceLatentsError(
            "The face landmarks lie on one point or in an impossible arrangement, so the face "
            "cannot be aligned. Check the landmark input, or let the face finder locate the face."
        )
    linear = torch.stack([torch.stack([a, -b], -1), torch.stack([b, a], -1)], -2)
    shift = dst_mean - (linear @ src_mean.unsqueeze(-1)).squeeze(-1)
    return torch.cat([linear, shift.unsqueeze(-1)], -1)


def transform_points(transform: Tensor, points: Tensor) -> Tensor:
    """Apply (*, 2, 3) to points (*, N, 2); float64."""
    transform = transform.to(torch.float64)
    points = points.to(torch.float64)
    return points @ transform[..., :2].transpose(-1, -2) + transform[..., 2].unsqueeze(-2)


def invert_transform(transform: Tensor) -> Tensor:
    """The (*, 2, 3) transform that undoes `transform`.

    Raises:
        FaceLatentsError: the transform flattens the plane (determinant 0) or is not finite.
    """
    transform = transform.to(torch.float64)
    linear = transform[..., :2]
    determinant = linear[..., 0, 0] * linear[..., 1, 1] - linear[..., 0, 1] * linear[..., 1, 0]
    if not bool((torch.isfinite(transform).all()) and (determinant.abs() > 1e-18).all()):
        raise FaceLatentsError(
            "This alignment transform cannot be inverted: its scale is 0 or NaN."
        )
    rows = linear.flatten(-2)[..., [3, 1, 2, 0]] * linear.new_tensor([1.0, -1.0, -1.0, 1.0])
    inverse = (rows / determinant.unsqueeze(-1)).unflatten(-1, (2, 2))
    shift = -(inverse @ transform[..., 2:])
    return torch.cat([inverse, shift], -1)


def compose_transforms(second: Tensor, first: Tensor) -> Tensor:
    """The (*, 2, 3) transform that applies `first`, then `second`."""
    second, first = second.to(torch.float64), first.to(torch.float64)
    linear = second[..., :2] @ first[..., :2]
    shift = second[..., :2] @ first[..., 2:] + second[..., 2:]
    return torch.cat([linear, shift], -1)


def transform_scale(transform: Tensor) -> Tensor:
    """Target pixels per source pixel, (*,): the square root of the determinant's magnitude."""
    linear = transform.to(torch.float64)[..., :2]
    determinant = linear[..., 0, 0] * linear[..., 1, 1] - linear[..., 0, 1] * linear[..., 1, 0]
    return determinant.abs().sqrt()

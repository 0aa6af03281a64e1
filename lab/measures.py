"""Measures of pictures: likeness, sharpness, identity; stroke thickness and slant of digits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.imaging.light import luminance

_SIGMA, _RADIUS = 1.5, 5  # of the SSIM window: 11 x 11, Gaussian
_C1, _C2 = 0.01**2, 0.03**2  # for data in [0, 1]
INK_FLOOR = 1e-6  # pictures with less ink than this have no slant or thickness


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair in dB, `(B,)`, peak 1; 99 for equal pictures."""
    error = (a.double() - b.double()).square().mean((1, 2, 3))
    return (-10 * error.clamp(min=10**-9.9).log10()).float()


def sharpness(crops: Tensor) -> Tensor:
    """Variance of the 4-neighbour Laplacian of 8-bit luminance, `(B,)`."""
    kernel = crops.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    response = F.conv2d(luminance(crops.clamp(0, 1)) * 255, kernel[None, None])
    return response.flatten(1).var(1)


def identity_percentile(edited: Tensor, originals: Tensor) -> Tensor:
    """How surely each edited face is still itself: `(N,)` in [0, 1].

    Args:
        edited: descriptors `(N, D)` of the edited faces.
        originals: descriptors `(N, D)` of the same people unedited, in the same order.

    Returns:
        The share of the other people who are farther from the edited face than its own original.
    """
    distance = torch.cdist(edited, originals)
    original = distance.diagonal()[:, None]
    others = len(originals) - 1
    return (distance > original).sum(1).float() / max(others, 1)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each pair, `(N,)` in [-1, 1].

    Wang et al. 2004: Gaussian window of 11 x 11 with sigma 1.5, population covariance, data range
    1; the mean over the places where the window lies inside the picture.

    Args:
        a, b: `(N, 1, H, W)` in [0, 1], H and W at least 11.

    Raises:
        ValueError: shapes differ or are too small.
    """
    if a.shape != b.shape or a.dim() != 4 or min(a.shape[-2:]) <= 2 * _RADIUS:
        raise ValueError(
            "SSIM needs two stacks (N, 1, H, W) of the same shape, 11 pixels or more a side; got "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
    a, b = a.double(), b.double()
    down, across = (_window(side).to(a.device) for side in a.shape[-2:])
    stack = down @ torch.stack([a, b, a * a, b * b, a * b]) @ across.T
    mean_a, mean_b, aa, bb, ab = stack
    var_a, var_b, covariance = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    likeness = likeness / ((mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2))
    means: Tensor = likeness.mean((1, 2, 3)).float()
    return means


def _window(side: int) -> Tensor:
    """The Gaussian window at every place where it fits, as a matrix `(side - 10, side)`."""
    steps = torch.arange(side, dtype=torch.float64)
    centres = steps[_RADIUS : side - _RADIUS, None]
    weights = torch.exp(-0.5 * ((steps - centres) / _SIGMA).square())
    weights = weights * ((steps - centres).abs() <= _RADIUS)
    return weights / weights.sum(1, keepdim=True)


def thickness(pictures: Tensor) -> Tensor:
    """Mean width of the strokes in pixels, `(N,)`: twice the ink over the length of its outline.

    The outline's length is the total variation of the grey values, so neither anti-aliased edges
    nor paler ink change the result: a long stroke of width w has ink w L and outline 2 L.

    Args:
        pictures: `(N, 1, H, W)`, ink bright on black.
    """
    x = F.pad(pictures.double(), (1, 1, 1, 1))
    a, b, c, d = x[..., :-1, :-1], x[..., :-1, 1:], x[..., 1:, :-1], x[..., 1:, 1:]
    # slopes in the middle of four pixels: strokes of 3 pixels or more come out within 4%
    across, down = (b + d - a - c) / 2, (c + d - a - b) / 2
    outline = (across.square() + down.square()).sqrt().sum((1, 2, 3))
    ink = x.sum((1, 2, 3))
    width = 2 * ink / outline.clamp(min=INK_FLOOR)
    return torch.where(ink > INK_FLOOR, width, torch.zeros_like(width)).float()


def slant(pictures: Tensor) -> Tensor:
    """Lean of the ink to the right in degrees, `(N,)`: the shear of its second moments.

    `atan(-mu_xy / mu_yy)` with y downwards; 0 for ink of one row only, and for no ink.

    Args:
        pictures: `(N, 1, H, W)`, ink bright on black.
    """
    ink = pictures.double().sum(1).clamp(min=0)
    total = ink.sum((1, 2)).clamp(min=INK_FLOOR)
    y = torch.arange(ink.shape[1], dtype=ink.dtype, device=ink.device)[:, None]
    x = torch.arange(ink.shape[2], dtype=ink.dtype, device=ink.device)
    dy = y - ((ink * y).sum((1, 2)) / total)[:, None, None]
    dx = x - ((ink * x).sum((1, 2)) / total)[:, None, None]
    mu_xy, mu_yy = (ink * dx * dy).sum((1, 2)), (ink * dy * dy).sum((1, 2))
    return torch.rad2deg(torch.atan2(-mu_xy, mu_yy.clamp(min=INK_FLOOR))).float()


def auc(values: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve of values `(N,)` against labels `(N,)`, true or above 0.5.

    By the rank sum (Mann & Whitney 1947); equal values are ranked as they come. NaN where all
    labels are on one side.
    """
    positive, negative = values[labels.float() > 0.5], values[labels.float() <= 0.5]
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = torch.cat([positive, negative]).double().argsort().argsort().double() + 1
    total = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(total / (len(positive) * len(negative)))


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson correlation over the last dimension, `(*,)`; 0 where either side does not vary."""
    a, b = a.double(), b.double()
    centred_a, centred_b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    spread_a, spread_b = centred_a.norm(dim=-1), centred_b.norm(dim=-1)
    # values that differ by the rounding of float32 only count as constant
    varies = (spread_a > 1e-5 * a.norm(dim=-1)) & (spread_b > 1e-5 * b.norm(dim=-1))
    spread = (spread_a * spread_b).clamp(min=1e-30)
    return torch.where(varies, (centred_a * centred_b).sum(-1) / spread, 0.0).float()

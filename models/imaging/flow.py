"""Dense smooth motion between two pictures of a face, before and after an edit.

A variational estimate in the manner of Horn & Schunck (1981) and Brox et al. (2004): the motion u
minimises sum w |f_after(x) - f_before(x + u)|^2 + alpha |grad u|^2, coarse to fine, with robust
weights w. The features f are locally normalised brightness and colour, so that a change of light
does not pass for motion.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .light import luminance
from .maps import gaussian_blur, resize

_LEVELS = (24, 48, 96)  # sides of the pictures compared, coarse to fine
_LARGEST = 128  # larger pictures are compared at this side: motion is smooth
_STEPS = 4  # linearisations per level
_SOLVER_STEPS = 24  # conjugate gradient steps per linearisation
_DEAD_ZONE = (0.001, 0.004)  # shares of the side: shorter motion is dropped, longer is kept
_MIN_JACOBIAN = 0.25  # local area factor below which the motion is smoothed further


def features(picture: Tensor, radius: float) -> Tensor:
    """Locally normalised brightness and colour differences `(3, N, N)` of `(3, N, N)`.

    Each has its local mean removed and is divided by its local spread, within `radius` pixels.
    """
    luma = luminance(picture)
    stack = torch.cat([luma, picture[:1] - luma, picture[2:] - luma])
    detail = stack - gaussian_blur(stack, radius)
    spread = gaussian_blur(detail.square(), radius).sqrt()
    scale = stack.new_tensor([0.06, 0.04, 0.04]).view(3, 1, 1)
    return detail / (spread + scale) * stack.new_tensor([1.0, 0.5, 0.35]).view(3, 1, 1)


def warp(picture: Tensor, motion: Tensor, mode: str = "bicubic") -> Tensor:
    """Read `(C, N, N)` at x + u(x), the motion `(2, N, N)` being (dx, dy) in pixels."""
    height, width = picture.shape[-2:]
    y = torch.arange(height, dtype=motion.dtype, device=motion.device)[:, None] + motion[1]
    x = torch.arange(width, dtype=motion.dtype, device=motion.device) + motion[0]
    grid = torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)
    return F.grid_sample(
        picture[None], grid[None], mode=mode, padding_mode="border", align_corners=False
    )[0]


def jacobian(motion: Tensor) -> Tensor:
    """Area factor of x -> x + u(x) by central differences, `(N, N)`; > 0 means no folding."""
    padded = F.pad(motion[None], (1, 1, 1, 1), mode="replicate")[0]
    dx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    dy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return (1 + dx[0]) * (1 + dy[1]) - dx[1] * dy[0]


def estimate_motion(
    before: Tensor, after: Tensor, mask: Tensor, *, smoothness: float = 0.2
) -> Tensor:
    """Motion u with after(x) ~ before(x + u(x)), up to brightness.

    Args:
        before, after: `(3, N, N)` float32, nominally in [0, 1].
        mask: `(N, N)` in [0, 1]; the motion is drawn to zero where it is 0.
        smoothness: weight of the motion's gradient; larger is stiffer.

    Returns:
        `(2, N, N)` float32 (dx, dy) in pixels of the N grid, free of folds, exactly zero where
        the mask is.
    """
    full = before.shape[-1]
    side = min(full, _LARGEST)
    before, after = resize(before, side), resize(after, side)
    motion = before.new_zeros(2, min(_LEVELS[0], side), min(_LEVELS[0], side))
    for level in _LEVELS:
        if level > side and level != _LEVELS[0]:
            break
        level = min(level, side)
        motion = resize(motion, level) * (level / motion.shape[-1])
        # Features of the full picture are made first: shrinking first would lose fine contrast.
        radius = 0.06 * side
        pair = torch.stack([features(before, radius), features(after, radius)])
        first, second = (resize(item, level) for item in pair)
        hold = 4.0 * (1 - resize(mask[None], level)[0].clamp(0, 1)).square()
        for _ in range(_STEPS):
            motion = motion + _increment(first, second, motion, hold, smoothness)
            motion = _limit(motion, 0.12 * level)
    motion = resize(_still(motion, side), full) * (full / motion.shape[-1])
    return unfold(motion * mask)


def _still(motion: Tensor, side: int) -> Tensor:
    """No motion where it is too short to see: those pixels can stay exactly as they are."""
    length = motion.square().sum(0, keepdim=True).sqrt() / (motion.shape[-1] / side)
    low, high = (share * side for share in _DEAD_ZONE)
    t = ((length - low) / (high - low)).clamp(0, 1)
    return motion * t * t * (3 - 2 * t)


def unfold(motion: Tensor) -> Tensor:
    """The motion, smoothed only as far as needed for its Jacobian to stay positive."""
    sigma = 0.5
    out = motion
    while float(jacobian(out).min()) < _MIN_JACOBIAN and sigma < motion.shape[-1]:
        support = (motion != 0).any(0).to(motion.dtype)
        out = gaussian_blur(motion, sigma) * support
        sigma *= 1.4
    return out


def _increment(
    first: Tensor, second: Tensor, motion: Tensor, hold: Tensor, smoothness: float
) -> Tensor:
    """Gauss-Newton step of the motion, by conjugate gradients on the normal equations."""
    moved = warp(first, motion)
    gx, gy = _gradients((moved + second) / 2)
    error = second - moved
    weight = 1 / (1 + (error.square().sum(0) / 0.5))  # Lorentzian: outliers hardly count
    xx, xy, yy = ((weight * p).sum(0) for p in (gx * gx, gx * gy, gy * gy))
    right = torch.stack([(weight * gx * error).sum(0), (weight * gy * error).sum(0)])
    right = right - smoothness * _roughness(motion) - hold * motion

    def apply(v: Tensor) -> Tensor:
        data = torch.stack([xx * v[0] + xy * v[1], xy * v[0] + yy * v[1]])
        return data + smoothness * _roughness(v) + hold * v

    diagonal = torch.stack([xx, yy]) + 4 * smoothness + hold
    step = torch.zeros_like(motion)
    residual = right
    z = residual / diagonal
    direction = z
    rho = (residual * z).sum()
    for _ in range(_SOLVER_STEPS):
        applied = apply(direction)
        alpha = rho / (direction * applied).sum().clamp_min(1e-20)
        step = step + alpha * direction
        residual = residual - alpha * applied
        z = residual / diagonal
        rho_next = (residual * z).sum()
        direction = z + (rho_next / rho.clamp_min(1e-20)) * direction
        rho = rho_next
    return _limit(step, 1.0)


def _gradients(maps: Tensor) -> tuple[Tensor, Tensor]:
    padded = F.pad(maps[None], (1, 1, 1, 1), mode="replicate")[0]
    gx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2
    gy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2
    return gx, gy


def _roughness(motion: Tensor) -> Tensor:
    """Negative five-point Laplacian with free borders: the gradient of |grad u|^2 / 2."""
    padded = F.pad(motion[None], (1, 1, 1, 1), mode="replicate")[0]
    around = padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2] + padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1]
    return 4 * motion - around


def _limit(motion: Tensor, longest: float) -> Tensor:
    """Shorten vectors smoothly to at most `longest` pixels."""
    length = motion.square().sum(0, keepdim=True).sqrt()
    return motion / (1 + (length / longest).pow(4)).pow(0.25)

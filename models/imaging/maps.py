"""Small smooth maps in crop coordinates, sampled at the photo's own pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALL = 256  # sides up to which a blur is faster as a matrix product
_FINE = 512  # maps are raised to about this side by cubic splines, then read bilinearly


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur of `(C, H, W)` with the border repeated; sigma in pixels."""
    if sigma <= 0:
        return maps.clone()
    if max(maps.shape[-2:]) <= _SMALL:
        down, across = (_blur_matrix(side, sigma).to(maps) for side in maps.shape[-2:])
        return down @ maps @ across.T
    kernel = _blur_kernel(sigma).to(maps)
    radius = len(kernel) // 2
    out = F.pad(maps[:, None], (radius, radius, 0, 0), mode="replicate")
    out = F.conv2d(out, kernel.view(1, 1, 1, -1))
    out = F.pad(out, (0, 0, radius, radius), mode="replicate")
    return F.conv2d(out, kernel.view(1, 1, -1, 1))[:, 0]


def _blur_kernel(sigma: float) -> Tensor:
    radius = max(1, math.ceil(3 * sigma))
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    return kernel / kernel.sum()


@lru_cache(maxsize=64)
def _blur_matrix(side: int, sigma: float) -> Tensor:
    """The blur of `side` values in a row as a matrix, float64."""
    kernel = _blur_kernel(sigma)
    reach = torch.arange(len(kernel)) - len(kernel) // 2
    places = (torch.arange(side)[:, None] + reach).clamp(0, side - 1)
    matrix = torch.zeros(side, side, dtype=torch.float64)
    return matrix.scatter_add_(1, places, kernel.expand(side, -1))


def resize(maps: Tensor, side: int) -> Tensor:
    """`(C, N, N)` to `(C, side, side)` over the same square, antialiased when shrinking."""
    if maps.shape[-1] == side:
        return maps.clone()
    return F.interpolate(
        maps[None], (side, side), mode="bicubic", align_corners=False, antialias=True
    )[0]


def prepare_maps(maps: Tensor, photo_pixels_per_crop: float) -> Tensor:
    """Make `(C, N, N)` maps fit to be read bilinearly at photo pixels.

    Raised with cubic interpolation where the photo is finer than the maps, so that no facet of
    the coarse grid shows; blurred where the photo is coarser, so that none is skipped.

    Args:
        maps: `(C, N, N)` float32 over the crop's square.
        photo_pixels_per_crop: side of the crop's square in photo pixels.
    """
    side = maps.shape[-1]
    if photo_pixels_per_crop < side:
        shrink = side / max(photo_pixels_per_crop, 1.0)
        return gaussian_blur(maps, 0.5 * math.sqrt(max(shrink * shrink - 1.0, 0.0)))
    fine = min(max(_FINE, side), math.ceil(photo_pixels_per_crop))
    return resize(maps, fine) if fine > side else maps.clone()


def sample_maps(maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read `(C, N, N)` maps at fractions x, y of the square (each `(H, W)`); 0 outside.

    Returns:
        `(C, H, W)`.
    """
    grid = torch.empty(*x.shape, 2, dtype=maps.dtype, device=maps.device)
    for axis, fractions in enumerate((x, y)):
        torch.sub(fractions * 2, 1, out=grid[..., axis])
    return F.grid_sample(
        maps[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False
    )[0]

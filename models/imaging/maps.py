"""Small smooth maps in crop coordinates, sampled at the photo's own pixels."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALL = 512  # sides up to which a blur may be a matrix product, which it is
_WORTH = 16  # where no side has more pixels than so many times those of the kernel
_FINE = 512  # maps are raised to about this side by cubic splines, then read bilinearly


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur of `(C, H, W)` with the border repeated; sigma in pixels."""
    if sigma <= 0:
        return maps.clone()
    kernel, sides = _blur_kernel(sigma), maps.shape[-2:]
    if max(sides) <= min(_SMALL, _WORTH * len(kernel)):
        down, across = (_blur_matrix(side, sigma).to(maps) for side in sides)
        return down @ maps @ across.T
    reach = len(kernel) // 2
    for axis, around in ((-1, (reach, reach, 0, 0)), (-2, (0, 0, reach, reach))):
        padded = F.pad(maps[None], around, mode="replicate")[0]
        first, *others = kernel.tolist()
        maps = padded.narrow(axis, 0, maps.shape[axis]) * first
        for start, weight in enumerate(others, 1):
            maps.add_(padded.narrow(axis, start, maps.shape[axis]), alpha=weight)
    return maps


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
    return sample_grid(maps[None], grid[None], padding_mode="zeros")[0]


def sample_grid(
    pictures: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "border"
) -> Tensor:
    """`F.grid_sample` of `(B, C, H, W)` at `(B, h, w, 2)`, corners not aligned, in all threads.

    On a CPU only pictures of a batch are worked on at once; so the rows of one are made such.
    """
    parts = math.gcd(grid.shape[1], torch.get_num_threads())
    split = len(grid) == 1 and parts > 1 and grid.is_cpu
    if split:
        pictures = pictures.expand(parts, -1, -1, -1)
        grid = grid.unflatten(1, (parts, -1))[0]
    read = F.grid_sample(pictures, grid, mode=mode, padding_mode=padding_mode, align_corners=False)
    return read.transpose(0, 1).flatten(1, 2)[None] if split else read

"""Face alignment: five landmarks -> similarity transform -> square crop, anti-aliased.

Coordinates and transforms are those of `transforms.py`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import (
    compose_transforms,
    invert_transform,
    scaling_transform,
    similarity_transform,
    transform_points,
    transform_scale,
)
from ..geometry.templates import AlignmentTemplate
from .maps import sample_grid

MAX_BLOCK_ROWS = 512  # source rows averaged at a time, so that a photo is never whole in float32


def require_photo(photo: Tensor) -> None:
    """Raise `FaceLatentsError` unless `photo` is (H, W, 3), uint8 or floating point, not empty."""
    if photo.dim() != 3 or photo.shape[-1] != 3 or 0 in photo.shape:
        raise FaceLatentsError(
            "A photo must have height, width and 3 colour channels, got shape "
            f"{tuple(photo.shape)}. Convert grey or RGBA pictures to RGB first."
        )
    if photo.dtype != torch.uint8 and not photo.is_floating_point():
        raise FaceLatentsError(
            f"A photo must hold 8-bit values or floats from 0 to 1, got {photo.dtype}."
        )


def to_unit_float(pixels: Tensor) -> Tensor:
    """uint8 -> [0, 1]; floats as they are, NaN and infinities as 0. float32, a new tensor."""
    if pixels.dtype == torch.uint8:
        return pixels.to(torch.float32).div_(255.0)
    values = pixels.to(torch.float32, copy=True)
    if bool(values.sum().isfinite()):  # at a tenth of the time
        return values
    return values.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)


def to_bytes(pixels: Tensor) -> Tensor:
    """`(H, W, C)` in [0, 1] -> uint8, rounded; NaN and infinities as 0. Strip by strip: memory that
    is used again costs a large photo less time than new memory."""
    if pixels.dtype == torch.uint8:
        return pixels
    result = torch.empty(pixels.shape, dtype=torch.uint8, device=pixels.device)
    for strip, made in zip(pixels.split(MAX_BLOCK_ROWS), result.split(MAX_BLOCK_ROWS), strict=True):
        made.copy_(to_unit_float(strip).mul_(255.0).add_(0.5).clamp_(0.0, 255.0))
    return result


def box_reduce(photo: Tensor, factor: int) -> Tensor:
    """Mean over `factor` x `factor` pixel blocks, in strips, so memory stays bounded.

    Args:
        photo: `(H, W, 3)` uint8 or float in [0, 1].
        factor: side of a block.

    Returns:
        `(3, ceil(H / factor), ceil(W / factor))` float32; blocks over the right and lower edge see
        the last row or column repeated.
    """
    if factor <= 1:
        return to_unit_float(photo).permute(2, 0, 1)
    height = photo.shape[0]
    rows = max(1, MAX_BLOCK_ROWS // factor) * factor
    strips = []
    for top in range(0, height, rows):
        strip = to_unit_float(photo[top : top + rows])
        pad_right, pad_bottom = -strip.shape[1] % factor, -strip.shape[0] % factor
        if pad_right or pad_bottom:
            planes = strip.permute(2, 0, 1).unsqueeze(0)
            planes = F.pad(planes, (0, pad_right, 0, pad_bottom), mode="replicate")
            strip = planes[0].permute(1, 2, 0)
        high, wide, channels = strip.shape
        # rows first: whole rows are what is added fastest
        strip = strip.reshape(high // factor, factor, wide * channels).sum(1)
        strips.append(strip.view(high // factor, wide // factor, factor, channels).sum(2))
    return torch.cat(strips).div_(factor**2).permute(2, 0, 1)


def warp_affine(
    image: Tensor, transform: Tensor, size: tuple[int, int], *, mode: str = "bilinear"
) -> Tensor:
    """Resample an image through a transform (source pixel -> target pixel).

    No anti-aliasing: meant for enlarging, or after the source has been reduced.

    Args:
        image: `(B, C, H, W)` float.
        transform: `(2, 3)` or `(B, 2, 3)`.
        size: target height and width.
        mode: "bilinear", "bicubic" or "nearest".

    Returns:
        `(B, C, height, width)`; outside of the source its border pixels are repeated.

    Raises:
        FaceLatentsError: the transform cannot be inverted.
    """
    inverse = invert_transform(transform)
    if inverse.dim() == 2:
        inverse = inverse.expand(image.shape[0], 2, 3)
    grid = sampling_grid(inverse, size, (image.shape[-2], image.shape[-1]))
    return sample_grid(image, grid.to(image.dtype), mode)


def sampling_grid(inverse: Tensor, size: tuple[int, int], source: tuple[int, int]) -> Tensor:
    """(B, height, width, 2) float64 coordinates for `grid_sample` with align_corners=False.

    `inverse` (B, 2, 3) maps target pixels to source pixels; `source` is the source's (H, W).
    """
    extent = torch.tensor([source[1], source[0]], dtype=torch.float64, device=inverse.device)
    step_x, step_y = (2.0 * inverse[:, :, axis] / extent for axis in (0, 1))
    origin = (2.0 * inverse[:, :, 2] + 1.0) / extent - 1.0
    ys, xs = (torch.arange(side, dtype=torch.float64, device=inverse.device) for side in size)
    rows = origin[:, None] + ys[:, None] * step_y[:, None]
    return rows[:, :, None] + (xs[:, None] * step_x[:, None])[:, None]


def align(photo: Tensor, landmarks: Tensor, template: AlignmentTemplate) -> tuple[Tensor, Tensor]:
    """Cut the aligned face out of a photo, anti-aliased where the face is larger than the crop.

    Only the face's own region of the photo is read and turned into float. Outside of the photo
    its border pixels are repeated; NaN pixels count as 0.

    Args:
        photo: `(H, W, 3)` uint8 or float in [0, 1].
        landmarks: `(5, 2)` in photo pixels.
        template: where the landmarks go.

    Returns:
        The crop `(3, S, S)` float32, and the `(2, 3)` float64 transform, photo pixel -> crop pixel.

    Raises:
        FaceLatentsError: the photo is not `(H, W, 3)`, or the landmarks are degenerate.
    """
    require_photo(photo)
    transform = similarity_transform(landmarks, template.pixels().to(landmarks.device))
    return align_with_transform(photo, transform.cpu(), template.size), transform


def align_with_transform(
    photo: Tensor, transform: Tensor, size: int, *, fast: bool = False
) -> Tensor:
    """The (3, size, size) float32 crop of `photo` under a given (2, 3) transform; see `align`.

    `fast` takes a quarter of the samples and joins them by straight lines, for a network's eye.
    """
    require_photo(photo)
    shrink = 1.0 / float(transform_scale(transform))
    # Blocks of half the shrink factor or less, then a few bicubic samples per crop pixel: close to
    # an area filter at any rotation, at a cost that does not grow with the photo.
    factor = max(1, math.floor(shrink if fast else shrink / 2.0))
    samples = max(1, min(4, math.ceil(shrink / factor - 1e-6)))
    region, left, top = _crop_region(photo, transform, size, factor)
    reduced = box_reduce(region, factor).unsqueeze(0)

    to_reduced = torch.tensor(
        [
            [1.0 / factor, 0.0, (0.5 - left) / factor - 0.5],
            [0.0, 1.0 / factor, (0.5 - top) / factor - 0.5],
        ],
        dtype=torch.float64,
    )
    to_fine = scaling_transform(samples, samples)
    fine = compose_transforms(
        to_fine, compose_transforms(transform.to(torch.float64), invert_transform(to_reduced))
    )
    mode = "bilinear" if fast else "bicubic"
    crop = warp_affine(reduced, fine, (size * samples, size * samples), mode=mode)
    if samples > 1:
        crop = F.avg_pool2d(crop, samples)
    return crop[0].clamp_(0.0, 1.0)


def reframe(crops: Tensor, source: AlignmentTemplate, target: AlignmentTemplate) -> Tensor:
    """Aligned crops as another template frames them, anti-aliased.

    Args:
        crops: `(B, 3, S, S)` in [0, 1], of any size.
        source: how they are framed.
        target: how they are wanted; its size is that of the result.

    Returns:
        `(B, 3, T, T)` float32. Crops framed as wanted are only brought to the size.

    Raises:
        FaceLatentsError: a template of whole pictures, in which no landmarks are known.
    """
    for template in (source, target):
        if template.whole:
            raise FaceLatentsError(
                f"Template '{template.name}' takes whole pictures and knows no landmarks, so its "
                "crops cannot be framed as another one. Use a model of aligned faces."
            )
    given = source.resized(crops.shape[-1])
    if given.size == target.size and torch.equal(given.points, target.points):
        return crops.float()
    transform = similarity_transform(given.pixels(), target.pixels())
    if not len(crops):
        return crops.new_zeros(0, 3, target.size, target.size).float()
    photos = crops.permute(0, 2, 3, 1)
    return torch.stack([align_with_transform(each, transform, target.size) for each in photos])


def _crop_region(
    photo: Tensor, transform: Tensor, size: int, factor: int
) -> tuple[Tensor, int, int]:
    """The part of the photo under the crop, with a margin, on the photo's own block grid."""
    low, high = -0.5, size - 0.5
    corners = torch.tensor(
        [[low, low], [high, low], [low, high], [high, high]], dtype=torch.float64
    )
    corners = transform_points(invert_transform(transform), corners)
    margin = 3 * factor
    height, width = photo.shape[:2]
    bounds = []
    for axis, extent in ((0, width), (1, height)):
        first = math.floor(float(corners[:, axis].min())) - margin
        last = math.ceil(float(corners[:, axis].max())) + margin
        first = min(max(first, 0), extent - 1) // factor * factor
        last = min(max(last, first), extent - 1)
        last = min((last // factor + 1) * factor, extent)
        bounds.append((first, last))
    (left, right), (top, bottom) = bounds
    return photo[top:bottom, left:right], left, top

"""The photo's own pixels under an aligned crop: which they are, and moving them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry.similarity import invert_transform, transform_points, transform_scale
from ..imaging.light import luminance
from ..imaging.maps import gaussian_blur, prepare_maps, sample_grid, sample_maps
from ..threads import check_interrupt
from ..values import PhotoContext

DETAIL_REACH = 9  # pixels around one that count for its detail
_STRIP_PIXELS = 1 << 20  # of a photo, looked at between two chances to cancel
CELL = 4  # pixels a side, in which detail is judged
_SHARPENING = 1.5  # share of the missing Laplacian to add in the finest band, which has least
_LARGEST_GAIN = 2.0
_GRAIN_FLOOR = 1e-6  # (0.001)^2: below this there is no detail to restore

Box = tuple[int, int, int, int]  # left, top, right, bottom in photo pixels; right, bottom excluded


def photo_box(
    transform: Tensor, size: float, height: int, width: int, acting: Tensor | None = None
) -> Box | None:
    """Photo pixels under the square of a crop of `size`; None if there are none.

    Args:
        transform: `(2, 3)`, photo pixels to those of the crop.
        size: of the crop.
        height, width: of the photo.
        acting: `(N, N)` over the square; only pixels about where it is true, somewhere, count.
    """
    edges = [(0.0, 1.0)] * 2  # of x and y
    if acting is not None:
        if not bool(acting.any()):
            return None
        side = len(acting)
        lines = [acting.any(axis).nonzero() for axis in (0, 1)]
        edges = [((int(line[0]) - 1) / side, (int(line[-1]) + 2) / side) for line in lines]
    corners = torch.tensor(list(product(*edges)), dtype=torch.float64)
    corners = transform_points(invert_transform(transform), corners * size - 0.5)
    (x0, y0), (x1, y1) = corners.amin(0).tolist(), corners.amax(0).tolist()
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)
    return None if left >= right or top >= bottom else (left, top, right, bottom)


def common_box(one: Box, other: Box | None) -> Box | None:
    """The pixels that are in both boxes; None if there are none."""
    if other is None:
        return None
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return None if left >= right or top >= bottom else (left, top, right, bottom)


def pixels_of(box: Box, around: Box) -> tuple[slice, slice, slice]:
    """Where a box is in the pixels `(C, h, w)` of a larger one."""
    left, top = around[:2]
    return slice(None), slice(box[1] - top, box[3] - top), slice(box[0] - left, box[2] - left)


@dataclass(frozen=True, eq=False)
class PlacedMaps:
    """Maps over a square of a photo, fit to be read at its pixels.

    Attributes:
        maps: `(C, N, N)`; the first four say what is done.
        transform: `(2, 3)`, photo pixels to those of the square.
        square: its side.
        box: the photo's pixels to which anything is done; None: none.
    """

    maps: Tensor
    transform: Tensor
    square: float
    box: Box | None

    @classmethod
    def over(
        cls, maps: Tensor, photo: Tensor, transform: Tensor, square: float, strength: float
    ) -> PlacedMaps:
        """Maps `(C, M, M)` for a photo `(H, W, C)`, of which a share is done."""
        if bool(maps[:4].abs().amax() > 0):
            maps = prepare_maps(maps, square / float(transform_scale(transform)))
            maps[:4] *= strength
        acting = (maps[:4].abs().amax(0) > 0).cpu()
        box = photo_box(transform, square, photo.shape[0], photo.shape[1], acting)
        return cls(maps, transform, square, box)

    def read(self, box: Box, mask: Tensor | None) -> Tensor:
        """The maps `(C, h, w)` at pixels of a box; as much as a mask `(H, W)` allows is done."""
        fractions = crop_fractions(self.transform, self.square, box, self.maps.device)
        values = sample_maps(self.maps, *fractions)
        if mask is not None:
            values[:4] *= mask[box[1] : box[3], box[0] : box[2]].to(values).clamp(0, 1)
        return values


def square_around(transform: Tensor, size: float, extent: float) -> Tensor:
    """Photo pixels to those of a square of `extent` sides about a crop's middle, `(2, 3)`.

    Args:
        transform: `(2, 3)`, photo pixels to those of the crop.
        size: of the crop.
        extent: see `EditMaps`.
    """
    return torch.cat([transform[:, :2], transform[:, 2:] + size * (extent - 1) / 2], 1)


def crop_fractions(
    transform: Tensor, size: float, box: Box, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Fractions (x, y) of the crop's square at the box's pixels, each `(bottom-top, right-left)`.

    Formed in float64: at 8K a float32 product is off by a visible fraction of a pixel.
    """
    left, top, right, bottom = box
    px = torch.arange(left, right, dtype=torch.float64, device=device)
    py = torch.arange(top, bottom, dtype=torch.float64, device=device)[:, None]
    (a, b, tx), (c, d, ty) = (transform / size).tolist()
    x = (a * px + (tx + 0.5 / size)) + b * py
    y = c * px + (d * py + (ty + 0.5 / size))
    return x.float(), y.float()


def place_maps(maps: Tensor, context: PhotoContext) -> tuple[Tensor, Box] | None:
    """Maps `(C, N, N)` of a face's crop at the photo's own pixels.

    Returns:
        `(C, bottom - top, right - left)` and the box they cover; None where the crop lies outside
        of the photo.
    """
    transform = context.transform.to("cpu", torch.float64)
    box = photo_box(transform, context.size, context.photo.shape[0], context.photo.shape[1])
    if box is None:
        return None
    maps = prepare_maps(maps, context.size / float(transform_scale(transform)))
    left, top, right, bottom = box
    rows = max(1, _STRIP_PIXELS // (right - left))
    strips = []
    for start in range(top, bottom, rows):
        check_interrupt()
        strip = (left, start, right, min(start + rows, bottom))
        strips.append(
            sample_maps(maps, *crop_fractions(transform, context.size, strip, maps.device))
        )
    return torch.cat(strips, 1), box


def end_before_border(motion: Tensor, photo: Tensor, box: Box, to_photo: Tensor) -> Tensor:
    """Motion `(2, h, w)` of a box that ends before the photo's border.

    A pixel may read at most a third as far away as the nearest border is: the picture is squeezed
    there, and nothing is read from outside.

    Args:
        motion: as that of `move_photo`.
        photo: `(H, W, C)`.
        box: left, top, right, bottom.
        to_photo: as that of `move_photo`.
    """
    left, top, right, bottom = box
    height, width = photo.shape[:2]
    reach = 3 * float(to_photo[:, 0].norm())  # a similarity
    if min(left, top, width - right, height - bottom) > 1.5 * reach * float(motion.abs().amax()):
        return motion  # no border is near
    x = torch.arange(left, right, device=motion.device, dtype=motion.dtype)
    y = torch.arange(top, bottom, device=motion.device, dtype=motion.dtype)
    near = torch.minimum(
        torch.minimum(x, width - 1 - x)[None], torch.minimum(y, height - 1 - y)[:, None]
    )
    length = motion.square().sum(0).sqrt_()
    return motion * near.div_(length.mul_(reach).add_(1e-6)).clamp_(max=1)


def move_photo(photo: Tensor, box: Box, motion: Tensor, to_photo: Tensor) -> Tensor:
    """The box of the photo, read at x + u(x).

    Cubic interpolation, followed by local sharpening to the detail the photo had there; pixels
    that do not move are copied.

    Args:
        photo: `(H, W, 3 or more)`; beyond its frame the border is repeated.
        motion: `(2, bottom - top, right - left)` (dx, dy).
        to_photo: `(2, 2)` that turns the motion's unit into photo pixels.

    Returns:
        `(3, bottom - top, right - left)` float32.
    """
    left, top, right, bottom = box
    dx, dy = (to_photo.to(motion) @ motion.flatten(1)).view_as(motion)
    reach = math.ceil(max(float(dx.abs().amax()), float(dy.abs().amax()))) + 2
    height, width = photo.shape[:2]
    north, south = max(0, top - reach), min(height, bottom + reach)
    west, east = max(0, left - reach), min(width, right + reach)
    source = photo[north:south, west:east, :3].permute(2, 0, 1).float().contiguous()
    window = source[pixels_of(box, (west, north, east, south))]
    moving = motion.abs().sum(0).sign_()
    if not bool(moving.amax() > 0):
        return window
    x = torch.arange(left - west, right - west, device=photo.device) + 0.5
    y = torch.arange(top - north, bottom - north, device=photo.device)[:, None] + 0.5
    grid = torch.empty(*dx.shape, 2, device=photo.device)
    for axis, place, shift, side in ((0, x, dx, east - west), (1, y, dy, south - north)):
        torch.add(place * (2 / side) - 1, shift, alpha=2 / side, out=grid[..., axis])
    moved = sample_grid(source[None], grid[None], "bicubic")[0]
    energy = sample_grid(detail_energy(source)[None], grid[None])[0]
    moved = restore_detail(moved, energy)
    # Cubic interpolation overshoots at edges; it must not leave the range of the pixels it read.
    low, high = source.aminmax()
    moved.clamp_(min(0.0, float(low)), max(1.0, float(high)))
    return window.lerp(moved, moving)


def restore_detail(picture: Tensor, energy: Tensor) -> Tensor:
    """Sharpen where interpolation, stretching or averaging took fine contrast away.

    Args:
        picture: `(3, h, w)`.
        energy: `(1, h, w)`, the `detail_energy` that it should have.
    """
    wanted, present = _around(energy), _around(detail_energy(picture))
    gain = ((wanted + _GRAIN_FLOOR) / (present + _GRAIN_FLOOR)).sqrt()
    gain = (gain.clamp(1, _LARGEST_GAIN) - 1)[None]
    fine = F.interpolate(gain, scale_factor=CELL, mode="bilinear", align_corners=False)[0]
    fine = fine[:, : picture.shape[1], : picture.shape[2]]
    soft = F.pad(picture[None], (1, 1, 1, 1), mode="replicate")[0]
    soft = (soft[:, :, :-2] + soft[:, :, 2:]).add_(soft[:, :, 1:-1], alpha=2)
    soft = (soft[:, :-2] + soft[:, 2:]).add_(soft[:, 1:-1], alpha=2)
    missing = torch.sub(picture, soft, alpha=1 / 16).mul_(_SHARPENING)
    return torch.addcmul(picture, fine, missing)


def detail_energy(picture: Tensor) -> Tensor:
    """Of the brightness Laplacian of `(3, H, W)`: `(1, H, W)`."""
    luma = luminance(picture)
    padded = F.pad(luma[None], (1, 1, 1, 1), mode="replicate")[0]
    around = padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2] + padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1]
    return (4 * luma - around).square_()


def _around(energy: Tensor) -> Tensor:
    """Energy `(1, H, W)` around each cell, `(1, h, w)`."""
    return gaussian_blur(_cells(energy), DETAIL_REACH / 3 / CELL)


def _cells(maps: Tensor) -> Tensor:
    """Means of `(C, H, W)` over cells; the last ones go on as the border does."""
    height, width = maps.shape[1:]
    maps = F.pad(maps[None], (0, -width % CELL, 0, -height % CELL), mode="replicate")[0]
    rows = sum((maps[:, i::CELL] for i in range(1, CELL)), maps[:, ::CELL])
    return sum((rows[:, :, i::CELL] for i in range(1, CELL)), rows[:, :, ::CELL]) / CELL**2

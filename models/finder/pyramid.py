"""The image pyramid the face detector runs over.

The detector knows faces of 11 to 60 px only. Every other size is found on a level where the photo
has been shrunk to suit it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..geometry.similarity import (
    compose_transforms,
    invert_transform,
    scaling_transform,
    transform_scale,
)
from ..imaging.align import align_with_transform, box_reduce, sampling_grid, to_bytes, to_unit_float

LARGEST_SIDE = 2048  # of the finest level, in pixels
USUAL_SIDE = 640  # photos are not shrunk below this
SMALLEST_FACE = 24  # px of the photo, up to 4 megapixels
DETECTABLE = 16.0  # px a face needs on the finest level
COARSEST_SIDE = 56  # a face that fills this is small enough for the detector
PAD_MULTIPLE = 16


@dataclass(frozen=True, eq=False)
class Level:
    """One image of the pyramid.

    Attributes:
        image: (3, H, W) float32
        step: photo pixels per pixel of the level, in x and y
    """

    image: Tensor
    step: tuple[float, float]

    def to_photo(self, points: Tensor) -> Tensor:
        """(*, 2) positions on this level -> photo pixels, float64."""
        return (points.double() + 0.5) * torch.tensor(self.step, dtype=torch.float64) - 0.5

    def from_photo(self, points: Tensor) -> Tensor:
        """(*, 2) positions in photo pixels -> on this level, float64."""
        return (points.double() + 0.5) / torch.tensor(self.step, dtype=torch.float64) - 0.5

    def of_photo(self, transforms: Tensor) -> Tensor:
        """Transforms (*, 2, 3) from photo pixels, as transforms from this level's pixels."""
        return compose_transforms(transforms, scaling_transform(*self.step))

    def turned(self, quarters: int) -> Level:
        """This level turned to the left by so many quarters of a full turn."""
        step = self.step[::-1] if quarters % 2 else self.step
        return Level(self.image.rot90(quarters, (1, 2)), step)

    def crops(self, transforms: Tensor, size: int) -> Tensor:
        """Bilinear crops (N, 3, size, size) for transforms (N, 2, 3), level pixel -> crop pixel."""
        height, width = self.image.shape[1:]
        grid = sampling_grid(invert_transform(transforms), (size, size), (height, width))
        # All crops in one tall grid: one image in, no copies of it.
        tall = F.grid_sample(
            self.image.unsqueeze(0),
            grid.reshape(1, -1, size, 2).float(),
            padding_mode="border",
            align_corners=False,
        )
        return tall.reshape(3, -1, size, size).transpose(0, 1).contiguous()


def crop_from(levels: list[Level], photo: Tensor, transform: Tensor, size: int) -> Tensor:
    """The (3, size, size) crop under a (2, 3) transform, photo pixel -> crop pixel, anti-aliased.

    Cut from the coarsest level that has the crop's resolution or more, which costs the same for
    every photo; from the photo itself where none has.
    """
    step = 1.0 / float(transform_scale(transform))
    level = next((level for level in reversed(levels) if max(level.step) <= step), None)
    if level is None:
        return align_with_transform(photo, transform, size, fast=True)
    transform = compose_transforms(scaling_transform(2, 2), level.of_photo(transform))
    return F.avg_pool2d(level.crops(transform.unsqueeze(0), 2 * size), 2)[0]


def photo_pyramid(photo: Tensor, min_face: float = SMALLEST_FACE) -> list[Level]:
    """The photo shrunk to where `min_face` is just detectable, then halved until a face that
    fills the frame is small enough.

    Args:
        photo: (H, W, 3) uint8, or float in [0, 1]; never turned into float whole when it is larger
            than 2048 px
        min_face: in photo pixels
    """
    height, width = photo.shape[:2]
    factor = math.ceil(max(height, width) / LARGEST_SIDE)
    if factor > 1:
        photo = box_reduce(photo, factor).permute(1, 2, 0)
    reduced, step = photo.shape[:2], (float(factor), float(factor))
    scale = min(1.0, max(USUAL_SIDE / max(reduced), DETECTABLE * factor / max(min_face, 1.0)))
    if scale < 1.0:
        shape = [max(1, round(n * scale)) for n in reduced]
        step = (factor * reduced[1] / shape[1], factor * reduced[0] / shape[0])
        if scale < 0.5:
            # 8-bit interleaved pixels are what is shrunk fastest by far.
            pixels = to_bytes(photo).permute(2, 0, 1)[None]
            small = F.interpolate(pixels, shape, mode="bilinear", antialias=True)
        else:
            pixels = to_unit_float(photo).permute(2, 0, 1)[None]
            small = F.interpolate(pixels, shape, mode="bilinear")
        photo = small[0].permute(1, 2, 0)
    image = to_unit_float(photo).permute(2, 0, 1).contiguous()
    levels = [Level(image, step)]
    while max(image.shape[1:]) > COARSEST_SIDE:
        padding = (0, image.shape[2] % 2, 0, image.shape[1] % 2)
        even = F.pad(image.unsqueeze(0), padding, mode="replicate")
        # at exactly half the size the mean of 2 x 2 pixels, in a third of a pooling's time
        image = F.interpolate(even, scale_factor=0.5, mode="bilinear")[0]
        step = (step[0] * 2, step[1] * 2)
        levels.append(Level(image, step))
    return levels


def turn_back(points: Tensor, sizes: Tensor, quarters: int) -> Tensor:
    """Positions on levels turned by `Level.turned`, as positions on the levels as they were.

    Args:
        points: (N, P, 2) pixels of the turned levels
        sizes: (N, 2) width and height of the levels as they were
        quarters: 0 to 3
    """
    x, y = points.unbind(-1)
    right, bottom = (sizes - 1).unsqueeze(1).unbind(-1)
    back = [(x, y), (right - y, x), (right - x, bottom - y), (y, bottom - x)]
    return torch.stack(back[quarters], -1)


@dataclass(frozen=True, eq=False)
class Canvas:
    """Levels of a pyramid side by side, for the detector to look at together.

    Attributes:
        image: (1, 3, H, W) float32 in [-0.5, 0.5], channels last, as the detector takes it; H and W
            are multiples of `PAD_MULTIPLE`. 0 where no level lies
        places: (number of the level, left, top) of each; left and top are multiples, too
    """

    image: Tensor
    places: tuple[tuple[int, int, int], ...]

    def owners(self, levels: list[Level], stride: int) -> Tensor:
        """(H / stride, W / stride) int64: the number of the level that each cell of the canvas
        belongs to, -1 for none."""
        height, width = self.image.shape[2:]
        owners = torch.full((height // stride, width // stride), -1)
        for number, left, top in self.places:
            rows, columns = (-(-side // stride) for side in levels[number].image.shape[1:])
            y, x = top // stride, left // stride
            owners[y : y + rows, x : x + columns] = number
        return owners


def canvases(levels: list[Level]) -> list[Canvas]:
    """The finest level alone, the others together: each call of a network costs time of its own."""
    result = []
    for group in (range(min(1, len(levels))), range(1, len(levels))):
        if not group:
            continue
        # the largest on the left, beside it a column of the others
        sides = [[-(-n // PAD_MULTIPLE) * PAD_MULTIPLE for n in levels[i].image.shape[1:]]
                 for i in group]  # fmt: skip
        left, top = sides[0][1] + PAD_MULTIPLE, 0
        places = [(group[0], 0, 0)]
        for i, (height, _) in zip(group[1:], sides[1:], strict=True):
            places.append((i, left, top))
            top += height + PAD_MULTIPLE
        width = left + max(side[1] for side in sides[1:]) if len(group) > 1 else sides[0][1]
        pixels = torch.zeros(max(sides[0][0], top), width, 3)
        for i, x, y in places:
            rows, columns = levels[i].image.shape[1:]
            place = pixels[y : y + rows, x : x + columns]
            torch.sub(levels[i].image.permute(1, 2, 0), 0.5, out=place)
        result.append(Canvas(pixels.permute(2, 0, 1).unsqueeze(0), tuple(places)))
    return result

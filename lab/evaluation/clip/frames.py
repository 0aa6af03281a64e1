"""Clips made of one photo, whose motion is known: a hand-held camera, light that changes, noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ....models.finder.faces import Face
from ....models.geometry.similarity import compose_transforms, invert_transform, scaling_transform
from ....models.imaging.align import warp_affine

FACE_SHARE = 0.35  # of the frame's height that the face takes
NOISE = 2 / 255  # standard deviation, of a camera in daylight


class Frame(NamedTuple):
    """One frame, and what was done to the photo.

    Attributes:
        pixels: `(H, W, 3)` in [0, 1], of 8 bits.
        transform: `(2, 3)`, pixels of the photo to those of the frame.
        light: factor of brightness.
    """

    pixels: Tensor
    transform: Tensor
    light: float


def made_frames(
    photo: Tensor, face: Face, count: int, size: tuple[int, int], noise: float = NOISE
) -> Iterator[Frame]:
    """Frames of a camera that pans, zooms, rolls and trembles around a face.

    Args:
        photo: `(H, W, 3)` in [0, 1].
        face: in it.
        count: how many.
        size: height and width.
        noise: standard deviation of each pixel.
    """
    generator = torch.Generator().manual_seed(0)
    scale = FACE_SHARE * size[0] / face.size
    shrunk = min(1.0, 1.5 * scale)  # so that nothing is skipped
    planes = photo.permute(2, 0, 1)[None]
    if shrunk < 1:
        planes = torch.nn.functional.interpolate(
            planes, scale_factor=shrunk, mode="bicubic", antialias=True
        )
    back = invert_transform(scaling_transform(shrunk, shrunk))
    for number in range(count):
        transform = camera(number, face.landmarks.double().mean(0), scale, size)
        light = 1 + 0.06 * math.sin(number / 7)
        seen = warp_affine(planes, compose_transforms(transform, back), size, mode="bicubic")
        pixels = seen[0].permute(1, 2, 0) * light
        pixels = pixels + noise * torch.randn(pixels.shape, generator=generator)
        yield Frame((pixels.clamp(0, 1) * 255).round() / 255, transform, light)


def camera(number: int, centre: Tensor, scale: float, size: tuple[int, int]) -> Tensor:
    """The transform `(2, 3)` from the photo to a frame: slow sways, and a tremor of a quarter of a
    second and 0.4 pixels."""
    high, wide = size
    zoom = scale * (1 + 0.04 * math.sin(number / 11) + 0.004 * math.sin(number / 1.9))
    angle = math.radians(3 * math.sin(number / 14 + 1) + 0.15 * math.sin(number / 1.7))
    x = 0.04 * wide * math.sin(number / 13) + 0.4 * math.sin(number / 1.3)
    y = 0.03 * high * math.sin(number / 9 + 0.5) + 0.4 * math.cos(number / 1.5)
    turn = zoom * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    place = torch.tensor([(wide - 1) / 2 + x, (high - 1) / 2 + y], dtype=torch.float64)
    return torch.cat([turn, (place - turn @ centre)[:, None]], 1)

"""The part of a photo around a face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from ..models.values import PhotoContext

AROUND = 1.7  # side of the part, in sides of the aligned face


def close_up(photo: Image.Image, context: PhotoContext) -> Image.Image:
    """The square of `photo` around the face of `context`, cut off at the photo's edges."""
    import torch

    from ..models.geometry.similarity import invert_transform, transform_points

    middle = (context.size - 1) / 2
    ends = torch.tensor([(middle, middle), (middle + context.size, middle)], dtype=torch.float64)
    centre, right = transform_points(invert_transform(context.transform), ends)
    half = float((right - centre).norm()) * AROUND / 2
    x, y = centre.tolist()
    box = (x - half, y - half, x + half, y + half)
    left, top, right_, bottom = (round(value) for value in box)
    return photo.crop(
        (max(0, left), max(0, top), min(photo.width, right_), min(photo.height, bottom))
    )

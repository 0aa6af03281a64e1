"""A face at a chosen place of a photo."""

from __future__ import annotations

import math

import torch
from face_latents.models.imaging.edit_maps import EditMaps
from face_latents.models.paste.back import paste_back
from face_latents.models.paste.edit import PhotoEdit, PictureEdit
from face_latents.models.values import PhotoContext
from torch import Tensor

TIGHT = torch.tensor(
    [[0.31, 0.31], [0.69, 0.31], [0.5, 0.5321], [0.3373, 0.6829], [0.6627, 0.6829]],
    dtype=torch.float64,
)
SIZE = 64


def make_context(
    photo: Tensor, centre: tuple[float, float], side: float, degrees: float = 0.0, size: int = SIZE
) -> PhotoContext:
    """A face whose crop is `side` photo pixels wide, centred at `centre` and rolled."""
    scale, angle = size / side, math.radians(degrees)
    a, b = scale * math.cos(angle), scale * math.sin(angle)
    rotation = torch.tensor([[a, b], [-b, a]], dtype=torch.float64)
    middle = torch.full((2,), size / 2 - 0.5, dtype=torch.float64)
    shift = middle - rotation @ torch.tensor(centre, dtype=torch.float64)
    landmarks = torch.linalg.solve(rotation, (TIGHT * size - 0.5 - shift).T).T
    return PhotoContext(
        photo=photo[..., :3],
        transform=torch.cat([rotation, shift[:, None]], dim=1),
        size=size,
        landmarks=landmarks,
        code=torch.zeros(4),
        photo_key="photo",
        face_index=0,
    )


def paste(
    photo: Tensor,
    context: PhotoContext,
    before: Tensor,
    after: Tensor,
    method: str = "warp",
    **settings: object,
) -> Tensor:
    """`paste_back` of two pictures."""
    edit = PictureEdit(before, after, method)
    return paste_back(photo, context, edit, **settings)  # type: ignore[arg-type]


def paste_maps(photo: Tensor, context: PhotoContext, maps: EditMaps, **settings: object) -> Tensor:
    """`paste_back` of what a model does to the photo itself."""
    return paste_back(photo, context, PhotoEdit(maps), **settings)  # type: ignore[arg-type]


def make_maps(
    motion: tuple[float, float] = (0.0, 0.0),
    change: float = 0.0,
    weight: float = 0.0,
    extent: float = 1.0,
    side: int = 48,
) -> EditMaps:
    """The same at every place of a square; what is laid over is green."""
    green = torch.tensor([0.1, 0.9, 0.2])[:, None, None].expand(3, side, side)
    return EditMaps(
        torch.tensor(motion)[:, None, None].expand(2, side, side).clone(),
        torch.full((3, side, side), change),
        torch.full((1, side, side), weight),
        green.clone(),
        extent,
    )

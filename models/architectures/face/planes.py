"""Pictures as brightness at full and colour at half resolution, by orthonormal steps.

The eye, and the camera's own JPEG files, resolve colour half as finely as brightness. Kept that
way a picture is half as many numbers, and because every step is orthonormal, squared errors of the
numbers are squared errors of the picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PLANES = 6  # four pixels of brightness and two colour differences for every 2 x 2 block


def opponent_matrix(device: torch.device | None = None) -> Tensor:
    """Orthonormal `(3, 3)`: rows are brightness, red - blue, green - magenta."""
    rows = torch.tensor(
        [[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]], dtype=torch.float64, device=device
    )
    unit: Tensor = (rows / rows.norm(dim=1, keepdim=True)).float()
    return unit


def to_planes(pictures: Tensor) -> Tensor:
    """Pictures `(B, 3, H, W)`, H and W even, to planes `(B, 6, H / 2, W / 2)`, float32.

    Differences of colour within a block of 2 x 2 pixels are lost; nothing else is.
    """
    colours = torch.einsum("kc,bchw->bkhw", opponent_matrix(pictures.device), pictures.float())
    chroma = F.avg_pool2d(colours[:, 1:], 2) * 2
    return torch.cat([F.pixel_unshuffle(colours[:, :1], 2), chroma], dim=1)


def from_planes(planes: Tensor) -> Tensor:
    """Planes `(B, 6, h, w)` to pictures `(B, 3, 2 h, 2 w)` float32; `to_planes` gives them back."""
    luma = F.pixel_shuffle(planes[:, :4].float(), 2)
    chroma = planes[:, 4:].float().repeat_interleave(2, -1).repeat_interleave(2, -2) / 2
    colours = torch.cat([luma, chroma], dim=1)
    return torch.einsum("kc,bkhw->bchw", opponent_matrix(planes.device), colours)

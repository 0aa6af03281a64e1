"""Training faces as other cameras and another face finder would have shown them.

The table's landmarks are those of one finder and the photos those of one collection. Users' faces
are aligned by the bundled finder (its error is about 3% of the eye distance), and their photos are
often sharper. A network that works on the photo itself should not depend on either.

Networks learn in the frame in which they are used (`architectures/mouth.py`).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.motion import move_pictures
from ....models.architectures.face.mouth import to_frame
from ....models.architectures.face.net import RenderedFaceNet
from ....models.architectures.face.planes import blur
from ....models.imaging.light import luminance
from ...data.faces import FaceSet

TURN, SCALE, SHIFT = math.radians(1.2), 0.02, 1.0  # standard deviations; the last in pixels
SHARPER = (-0.4, 1.4)  # how much of the fine detail is added
CHROMA, CONTRAST = (0.7, 1.3), (0.85, 1.15)
TINT = 0.02  # standard deviation of what is added to a channel
_BATCH = 256


def in_frame(net: RenderedFaceNet, faces: FaceSet) -> FaceSet:
    """The faces in the frame where all lips meet at one height."""
    crops = torch.empty_like(faces.crops)
    for part in torch.arange(len(faces)).split(_BATCH):
        photos = faces.floats(part)
        offsets = net.lip_offsets(net.encode(photos))
        framed = move_pictures(photos, to_frame(offsets, net.size)).clamp(0, 1)
        crops[part] = (framed * 255).round().to(torch.uint8)
    return FaceSet(crops, faces.rows)


def vary_photos(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops `(B, 3, S, S)` turned, scaled and moved a little, softer or sharper, in other colours;
    how light each half of a face is stays nearly as it was."""
    number, _, size, _ = crops.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(number, *shape, generator=generator, device=crops.device)

    def between(ends: tuple[float, float]) -> Tensor:
        share = torch.rand(number, 1, 1, 1, generator=generator, device=crops.device)
        return ends[0] + (ends[1] - ends[0]) * share

    turn, scale = TURN * normal(), 1 + SCALE * normal()
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    shift = SHIFT * 2 / size * normal(2)
    rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], 1)
    x = _resampled(crops, rows.reshape(-1, 2, 3))
    x = x + between(SHARPER) * (x - blur(x))
    light = luminance(x)
    tint = TINT * normal(3, 1, 1)
    colour = between(CHROMA) * (x - light) + tint - luminance(tint)
    mean = light.mean((2, 3), keepdim=True)
    return (mean + between(CONTRAST) * (light - mean) + colour).clamp(0, 1)


def shift_photos(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures moved by up to a pixel each, by interpolation."""
    device = pictures.device
    shift = torch.rand(len(pictures), 2, 1, generator=generator, device=device) * 2 - 1
    shift = shift * 2 / pictures.shape[-1]
    still = torch.eye(2, device=device).expand(len(pictures), 2, 2)
    return _resampled(pictures, torch.cat([still, shift], 2))


def _resampled(pictures: Tensor, places: Tensor) -> Tensor:
    """What lies at affine places `(B, 2, 3)` of pictures, both in coordinates from -1 to 1."""
    grid = F.affine_grid(places, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)

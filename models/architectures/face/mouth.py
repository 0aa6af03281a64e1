"""The mouth painter: draws the inside of lips that part on the canonical face.

What closed lips hide is in no photo. A weighted sum of other people's mouths is a grey band, as
teeth of one lie over gaps of another. A small network that fills in masked parts (Pathak et al.
2016), trained against a critic, decides for teeth. It sees the colours around the mouth, blurred,
so that it paints as sharp on a soft photo as on a fine one, and how lips are parted.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...imaging.maps import gaussian_blur
from .mesh import polygon_mask
from .points import INNER_LIPS
from .shape import lip_gap

BOX = (136 / 224, 68 / 224, 176 / 224, 156 / 224)  # top, left, bottom, right, in sides of the crop
GAP = (0.03, 0.12)  # sides: of the mouths that it learns from
# What gaps, widths and lifts of corners of mouths are about, in sides of the crop, and their spread
SHAPES = ((0.06, 0.32, 0.01), (0.025, 0.03, 0.02))
CONDITIONS = len(SHAPES[0])
AROUND = 3.5  # pixels at size 224: blur of what is seen around the mouth
EDGE = 1.5  # pixels at size 224, by which the painted inside is larger than the lips' opening
FINE, SHARPENED = 1.2, 0.5  # pixels at size 224; share by which what is finer is raised
SLOPE = 0.2  # of the leaky rectifiers
PLACES = 6  # learnt maps of where a place is


def mouth_shapes(frontal: Tensor) -> Tensor:
    """How the lips of frontal shapes `(B, 478, 3)` are parted, about white: `(B, 3)`."""
    width = (frontal[:, 291] - frontal[:, 61]).norm(dim=1)
    lift = frontal[:, [13, 14], 1].mean(1) - frontal[:, [61, 291], 1].mean(1)
    readings = torch.stack([lip_gap(frontal).clamp(*GAP), width, lift], 1)
    mean, spread = (readings.new_tensor(numbers) for numbers in SHAPES)
    return ((readings - mean) / spread).clamp(-3, 3)


class MouthPainter(nn.Module):
    """Insides of mouths from canonical faces and how their lips part.

    Args:
        size: pixels of a canonical face.
        width: channels at half the resolution.
    """

    mask: Tensor

    def __init__(self, size: int, width: int = 32) -> None:
        super().__init__()
        self.size = size
        top, left, bottom, right = (round(edge * size / 8) * 8 for edge in BOX)
        self.box = (..., slice(top, bottom), slice(left, right))
        high, broad = bottom - top, right - left
        self.register_buffer("mask", torch.zeros(1, high, broad), persistent=False)
        self.places = nn.Parameter(torch.empty(PLACES, high // 2, broad // 2))
        nn.init.uniform_(self.places, -0.2, 0.2)
        middle, deep = 2 * width, 3 * width
        self.enter = nn.Conv2d(12 + PLACES + CONDITIONS, width, 3, padding=1)
        self.down = nn.Conv2d(width, middle, 3, 2, 1)
        self.deeper = nn.Conv2d(middle, deep, 3, 2, 1)
        self.deep = nn.Conv2d(deep, deep, 3, padding=1)
        self.up = nn.Conv2d(deep, 4 * middle, 1)
        self.middle = nn.Conv2d(2 * middle, middle, 3, padding=1)
        self.higher = nn.Conv2d(middle, 4 * width, 1)
        self.wide = nn.Conv2d(2 * width, width, 3, padding=1)
        self.leave = nn.Conv2d(width, 12, 3, padding=1)
        self.to(memory_format=torch.channels_last)

    def prepare(self, canon: Tensor) -> None:
        """Learn where the opening of the canonical lips is."""
        opening = polygon_mask(canon, INNER_LIPS, self.size, 1.0)[None]
        wider = (gaussian_blur(opening, EDGE * self.size / 224) * 2.5).clamp(0, 1)
        self.mask = wider[self.box].contiguous()

    def around(self, mouths: Tensor) -> Tensor:
        """The colours around mouths (the box of canonical faces), without their insides."""
        seen, blur = (1 - self.mask).square(), AROUND * self.size / 224
        return gaussian_blur(mouths * seen, blur) / (gaussian_blur(seen, blur) + 1e-3)

    def forward(self, around: Tensor, shapes: Tensor) -> Tensor:
        """Paint.

        Args:
            around: of canonical faces.
            shapes: `(B, 3)`, `mouth_shapes` of these faces.

        Returns:
            `(B, 3, h, w)` in [0, 1], of which only the inside is meant to be seen.
        """
        x = F.pixel_unshuffle(around * 4 - 2, 2)
        here = self.places.expand(len(x), -1, -1, -1)
        shape = shapes[:, :, None, None].expand(-1, -1, *x.shape[2:])
        x = torch.cat([x, here, shape], 1).contiguous(memory_format=torch.channels_last)
        wide = F.leaky_relu(self.enter(x), SLOPE)
        middle = F.leaky_relu(self.down(wide), SLOPE)
        deep = F.leaky_relu(self.deeper(middle), SLOPE)
        deep = deep + F.leaky_relu(self.deep(deep), SLOPE)
        back = F.pixel_shuffle(self.up(deep), 2)
        middle = F.leaky_relu(self.middle(torch.cat([middle, back], 1)), SLOPE)
        back = F.pixel_shuffle(self.higher(middle), 2)
        wide = F.leaky_relu(self.wide(torch.cat([wide, back], 1)), SLOPE)
        painted: Tensor = F.pixel_shuffle(self.leave(wide), 2)
        return (painted + torch.logit(around.clamp(0.02, 0.98))).sigmoid()

    def paint(self, faces: Tensor, shapes: Tensor) -> Tensor:
        """Canonical faces `(B, 3, S, S)`, or half as large, with painted mouths, see `forward`."""
        times = self.size // faces.shape[-1]
        top, bottom, left, right = (e // times for d in self.box[1:] for e in (d.start, d.stop))
        more = times - 1  # pixels around, which enlarging reads
        near = faces[..., top - more : bottom + more, left - more : right + more]
        mouths = F.pad(F.interpolate(near, scale_factor=times, mode="bilinear"), (-2 * more,) * 4)
        painted = self(self.around(mouths), shapes)
        painted = painted + SHARPENED * (painted - gaussian_blur(painted, FINE * self.size / 224))
        result = faces.clone()
        mouths = mouths + self.mask * (painted.clamp(0, 1) - mouths)
        result[..., top:bottom, left:right] = F.avg_pool2d(mouths, times)
        return result


def painter_of(shapes: Mapping[str, tuple[int, ...]], size: int) -> MouthPainter:
    """A painter of the width that its tensors (names without prefix) have.

    Raises:
        KeyError: the layer that tells it is missing.
    """
    return MouthPainter(size, shapes["enter.weight"][0])

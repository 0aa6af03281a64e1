"""Faces in a frame where all lips meet at one height.

Five landmarks align the corners of a mouth, not its lips: those meet up to 6 of 128 pixels higher
or lower. Motions of mouths are the same for all faces, and what is between parting lips is drawn
where they part, so networks and motions work in a frame where the mouth and what is close to it are
moved up or down until lips meet where they do on average.

Where they meet is seen in the picture: the darkest line across the middle of the mouth, near to its
usual place. Of a laughing mouth that is the line between teeth and upper lip.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.light import luminance
from .motion import invert_motion

# Where lips meet, in shares of the side: the darkest row of mean faces with closed mouths.
LIPS = 0.70
LARGEST = 6 / 128  # of the moves
_SIDE = 128  # of pictures when lips are looked for; what follows is in its pixels
_COLUMNS = slice(52, 76)  # the middle of the mouth
_USUAL, _RANGE = 90.5, 6.0  # where the line is looked for, and how far from there it may well be
_SURE = 0.04  # how much darker than its surroundings a line has to be at that distance
_ARM = 5  # how far away its surroundings are
_SHARPNESS = 100.0  # by how much the darkest line counts more than others
_ROWS = (68.0, 82.0, 100.0, 122.0)  # between the inner two all moves, beyond the outer two nothing
_ACROSS = (14.0, 34.0, 93.0, 113.0)  # symmetric: a mirrored face is moved as its mirror image


def lip_offsets(pictures: Tensor) -> Tensor:
    """How much lower than usual lips meet on pictures `(B, 3, S, S)` of aligned faces, `(B,)` in
    shares of the side, less than `LARGEST`."""
    small = F.interpolate(pictures, size=(_SIDE, _SIDE), mode="bilinear", antialias=True)
    shade = luminance(small)[:, :, :, _COLUMNS].mean(3)
    shade = F.avg_pool1d(F.pad(shade, (1, 1), mode="replicate"), 3, 1)[:, 0]
    around = (shade[:, : -2 * _ARM] + shade[:, 2 * _ARM :]) / 2
    rows = torch.arange(_SIDE, device=pictures.device, dtype=pictures.dtype)[_ARM:-_ARM]
    likely = around - shade[:, _ARM:-_ARM] - _SURE * ((rows - _USUAL) / _RANGE).square()
    line = ((_SHARPNESS * likely).softmax(1) * rows).sum(1)
    lower = (line + 0.5) / _SIDE - LIPS
    return LARGEST * torch.tanh(lower / LARGEST)


def to_frame(offsets: Tensor, side: int) -> Tensor:
    """The motion `(B, 2, side, side)` that brings faces whose lips have offsets `(B,)` into the
    frame, in shares of the side; a picture there shows at x what was at x + u."""
    down = offsets[:, None, None] * near_mouth(side, offsets)
    return torch.stack([torch.zeros_like(down), down], 1)


def from_frame(offsets: Tensor, side: int) -> Tensor:
    """The motion that undoes `to_frame`."""
    return invert_motion(to_frame(offsets, side))


def near_mouth(side: int, like: Tensor) -> Tensor:
    """`(side, side)` of the device and type of another: 1 at the mouth, 0 away from it."""
    places = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side * _SIDE - 0.5
    rows, columns = (
        smoothstep((places - a) / (b - a)) * (1 - smoothstep((places - c) / (d - c)))
        for a, b, c, d in (_ROWS, _ACROSS)
    )
    return rows[:, None] * columns


def smoothstep(x: Tensor) -> Tensor:
    """From 0 at 0 to 1 at 1, level beyond both."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)

"""The renderer: a small convolutional network that draws a soft canonical face sharp.

A weighted sum of components is soft. The renderer adds what such sums leave out: a residual network
at a quarter, an eighth and half of the resolution (He et al. 2016; residual branches without
normalisation as in Lim et al. 2017; pixel shuffles after Shi et al. 2016). Faces lie on the same
points, so it also learns what belongs to each place. Its last layer starts at zero: untrained it
returns what it is given.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifiers
PLACES = 8  # learnt maps of where a place is


class Block(nn.Module):
    """Two 3 x 3 convolutions on a branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = x + self.second(F.leaky_relu(self.first(x), SLOPE))
        return features


class Renderer(nn.Module):
    """Canonical faces `(B, 3, S, S)` to sharp ones, same shape; S divisible by 8.

    Args:
        size: S.
        wide, deep, fine: channels at a quarter, an eighth and half of the resolution.
    """

    def __init__(self, size: int, wide: int = 40, deep: int = 80, fine: int = 16) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.empty(PLACES, size // 4, size // 4))
        nn.init.uniform_(self.places, -0.2, 0.2)
        self.enter = nn.Conv2d(48 + PLACES, wide, 3, padding=1)
        self.before = Block(wide)
        self.down = nn.Conv2d(4 * wide, deep, 1)
        self.middle = nn.Sequential(Block(deep), Block(deep))
        self.up = nn.Conv2d(deep, 4 * wide, 1)
        self.after = Block(wide)
        self.widen = nn.Conv2d(wide, 4 * fine, 3, padding=1)
        self.detail = Block(fine)
        self.leave = nn.Conv2d(fine, 12, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor, corner: tuple[int, int] = (0, 0)) -> Tensor:
        """Draw faces, or parts `(B, 3, h, w)` whose top left corner (y, x) is divisible by 4."""
        x = F.pixel_unshuffle(pictures * 4 - 2, 4)
        top, left = corner[0] // 4, corner[1] // 4
        here = self.places[:, top : top + x.shape[2], left : left + x.shape[3]]
        x = torch.cat([x, here.expand(len(x), -1, -1, -1)], 1)
        x = F.leaky_relu(self.enter(x.contiguous(memory_format=torch.channels_last)), SLOPE)
        x = self.before(x)
        y = self.middle(F.leaky_relu(self.down(F.pixel_unshuffle(x, 2)), SLOPE))
        x = self.after(x + F.pixel_shuffle(self.up(y), 2))
        y = self.detail(F.leaky_relu(F.pixel_shuffle(self.widen(x), 2), SLOPE))
        drawn: Tensor = pictures + F.pixel_shuffle(self.leave(y), 2).float()
        return drawn


def renderer_of(shapes: Mapping[str, tuple[int, ...]], size: int) -> Renderer:
    """A renderer of the widths that its tensors (names without prefix) have.

    Raises:
        KeyError: a layer that tells them is missing.
    """
    return Renderer(
        size, shapes["enter.weight"][0], shapes["down.weight"][0], shapes["leave.weight"][1]
    )

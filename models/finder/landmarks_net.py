"""The network of the dense landmarks: residual 3x3 convolutions on one aligned crop."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

POINTS = 478  # MediaPipe's canonical face mesh (468) and the irises (10)
CROP_SIZE = 128  # pixels
WIDTHS = (32, 64, 112, 160)  # channels at 32, 16, 8 and 4 pixels
BLOCKS = (1, 1, 3, 1)  # residual blocks at each of them
HIDDEN = 256
SHAPES = 128  # directions in which the points of a crop can move together


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class LandmarkNet(nn.Module):
    """Aligned crops `(B, 3, 128, 128)` in [0, 1] to dense landmarks and a confidence.

    Returns of `forward`: points `(B, 478, 3)` in fractions of the crop's side from its centre (x to
    the right, y down, z away from the camera, in the same scale), and the logit `(B,)` of the crop
    showing a face.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(48, WIDTHS[0])
        self.downs = nn.ModuleList(
            convolution(before, after, stride=2) for before, after in pairwise(WIDTHS)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.hidden = nn.Linear(WIDTHS[-1] * 16, HIDDEN)
        self.shape = nn.Linear(HIDDEN, SHAPES)
        self.points = nn.Linear(SHAPES, POINTS * 3)
        self.face = nn.Linear(HIDDEN, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.stem(F.pixel_unshuffle(crops - 0.5, 4)))  # (B, 32, 32, 32)
        x = self.blocks[0](x)
        for down, blocks in zip(self.downs, list(self.blocks)[1:], strict=True):
            x = blocks(F.relu(down(x)))
        x = F.relu(self.hidden(x.flatten(1)))
        return self.points(self.shape(x)).view(-1, POINTS, 3), self.face(x)[:, 0]


def convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and batch normalisation."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after))

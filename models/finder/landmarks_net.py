"""The networks of the dense landmarks: a look at an aligned crop, and at each point of it."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = 478  # MediaPipe's canonical face mesh (468) and the irises (10)
CROP_SIZE = 128  # pixels
WIDTHS = (32, 64, 112, 160)  # channels at 32, 16, 8 and 4 pixels
BLOCKS = (1, 1, 3, 1)  # residual blocks at each of them
HIDDEN = 256
SHAPES = 128  # directions in which the points of a crop can move together
FINE_WIDTH = 24  # channels at 64 pixels
AT_POINT = 12  # features kept of what is seen at each point
CORRECTIONS = 2  # looks at the points, each from where the last one put them


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
        points, face, _ = self.look(crops)
        return points, face

    def looks(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """As those of `RefiningNet`: one."""
        points, face, _ = self.look(crops)
        return [points], face

    def look(self, crops: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """As `forward`, and the features at 32, 16, 8 and 4 pixels."""
        x = F.relu(self.stem(F.pixel_unshuffle(crops - 0.5, 4)))  # (B, 32, 32, 32)
        features = [self.blocks[0](x)]
        for down, blocks in zip(self.downs, list(self.blocks)[1:], strict=True):
            features.append(blocks(F.relu(down(features[-1]))))
        x = F.relu(self.hidden(features[-1].flatten(1)))
        return self.points(self.shape(x)).view(-1, POINTS, 3), self.face(x)[:, 0], features


class RefiningNet(nn.Module):
    """A `LandmarkNet` whose points are corrected by what is seen at each of them.

    Features at 64, 32 and 16 pixels are read at the points, bilinearly; each point's own weights
    say how far it is off, and all together how the face is (cascaded regression: Cao et al., Face
    Alignment by Explicit Shape Regression, 2012; Xiong and De la Torre, Supervised Descent, 2013).
    """

    def __init__(self) -> None:
        super().__init__()
        self.whole = LandmarkNet()
        self.fine = nn.Sequential(convolution(12, FINE_WIDTH), nn.ReLU(), ResidualBlock(FINE_WIDTH))
        seen = FINE_WIDTH + WIDTHS[0] + WIDTHS[1]
        self.reduce = nn.Linear(seen, 64)
        self.own = nn.Parameter(torch.empty(POINTS, 64, AT_POINT))
        self.own_shift = nn.Parameter(torch.zeros(POINTS, AT_POINT, 3))
        self.hidden = nn.Linear(POINTS * AT_POINT, HIDDEN)
        self.shape = nn.Linear(HIDDEN, SHAPES)
        self.points = nn.Linear(SHAPES, POINTS * 3, bias=False)
        nn.init.normal_(self.own, std=1 / 8)
        nn.init.normal_(self.points.weight, std=1e-4)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        points, face = self.looks(crops)
        return points[-1], face

    def looks(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        """Points after the look at the whole and after each correction, and the logit."""
        points, face, features = self.whole.look(crops)
        maps = [self.fine(F.pixel_unshuffle(crops - 0.5, 2)), *features[:2]]
        all_points = [points]
        for _ in range(CORRECTIONS):
            places = 2 * all_points[-1][:, :, None, :2].detach()
            seen = torch.cat(
                [
                    F.grid_sample(m, places.to(m), padding_mode="border", align_corners=False)
                    for m in maps
                ],
                1,
            )[..., 0].mT  # (B, 478, features)
            x = F.relu(self.reduce(seen))
            x = F.relu(torch.einsum("bpi,pio->bpo", x, self.own))
            own = torch.einsum("bpi,pio->bpo", x, self.own_shift)
            together = self.points(self.shape(F.relu(self.hidden(x.flatten(1)))))
            all_points.append(all_points[-1].detach() + own + together.view_as(own))
        return all_points, face


def convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution and batch normalisation."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after))

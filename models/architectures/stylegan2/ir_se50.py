"""IR-SE50: the face recognition network that e4e and pSp take their features from.

A residual network of 24 blocks in four stages, each of which halves the picture, with the
pre-activation blocks of Deng et al. 2019, "ArcFace", and the channel attention of Hu et al. 2018,
"Squeeze-and-Excitation Networks". Parameters have the names that published weights use. Widths
are arguments, so that a narrow network of the same depth can be built for tests.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from ...threads import check_interrupt

STAGES = (3, 4, 14, 3)  # blocks of each stage
ENDS = (2, 6, 20, 23)  # the last block of each stage


class Widths(NamedTuple):
    """Channels of the network.

    Attributes:
        stem: after the first convolution; 64 in the published network.
        stages: of each stage; 64, 128, 256, 512.
        squeezed: of each stage's channel attention; a 16th of the stage's.
    """

    stem: int
    stages: tuple[int, int, int, int]
    squeezed: tuple[int, int, int, int]


PUBLISHED = Widths(64, (64, 128, 256, 512), (4, 8, 16, 32))


class Features(NamedTuple):
    """Feature maps of a 256 x 256 picture, coarsest last."""

    fine: Tensor  # (B, stages[1], 64, 64)
    middle: Tensor  # (B, stages[2], 32, 32)
    coarse: Tensor  # (B, stages[3], 16, 16)


class ChannelAttention(nn.Module):
    """Scales each channel by a number in (0, 1) that depends on the means of all channels."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1, bias=False)
        self.fc2 = nn.Conv2d(squeezed, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        weighted: Tensor = x * self.fc2(self.fc1(means).relu()).sigmoid()
        return weighted


class Block(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, squeezed: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            ChannelAttention(outputs, squeezed),
        )
        # without parameters where channels stay: every stride-th pixel
        self.shortcut_layer: nn.Module | None = None
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        if self.shortcut_layer is not None:
            shortcut = self.shortcut_layer(x)
        else:
            shortcut = x[:, :, :: self.stride, :: self.stride]
        features: Tensor = self.res_layer(x) + shortcut
        return features


def input_layer(stem: int) -> nn.Sequential:
    """(B, 3, H, W) -> (B, stem, H, W)."""
    return nn.Sequential(
        nn.Conv2d(3, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem), nn.PReLU(stem)
    )


def body(widths: Widths) -> nn.Sequential:
    """The blocks, (B, stem, H, W) -> (B, stages[3], H / 16, W / 16)."""
    blocks: list[Block] = []
    channels = widths.stem
    for count, outputs, squeezed in zip(STAGES, widths.stages, widths.squeezed, strict=True):
        for number in range(count):
            blocks.append(Block(channels, outputs, squeezed, 2 if number == 0 else 1))
            channels = outputs
    return nn.Sequential(*blocks)


def features(stem: nn.Module, blocks: nn.Sequential, pictures: Tensor) -> Features:
    """What the last three stages make of pictures (B, 3, 256, 256) in [-1, 1]."""
    x = stem(pictures)
    maps: list[Tensor] = []
    for number, block in enumerate(blocks):
        check_interrupt()
        x = block(x)
        if number in ENDS:
            maps.append(x)
    return Features(*maps[1:])

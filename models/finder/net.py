"""The networks of the face finder.

`FaceDetector` is fully convolutional, stride 8: it sees faces of one narrow range of sizes and is
run over an image pyramid for the others. `LandmarkRefiner` looks at one aligned crop and gives
five landmarks and a face score; a second one of its kind, the polisher, has learnt only
well-aligned crops and reads them at a higher resolution. All use depthwise-separable
convolutions, which are what a CPU without matrix instructions runs well.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

DETECTOR_STRIDE = 8
DETECTOR_UNIT = 16.0  # pixels per unit of the detector's landmark offsets
REFINER_SIZE = 64
POLISHER_SIZE = 96


def conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution and batch normalisation; `fold` turns the pair into one convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Separable(nn.Module):
    """Depthwise then pointwise convolution, with a skip connection where the shapes allow it."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.depthwise = conv(inputs, inputs, kernel, stride, groups=inputs)
        self.pointwise = conv(inputs, outputs)
        self.skip = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(F.relu_(self.depthwise(x)))
        return F.relu_(y.add_(x) if self.skip else y)


def stage(
    inputs: int, outputs: int, blocks: int, stride: int = 2, kernel: int = 3
) -> nn.Sequential:
    first = Separable(inputs, outputs, stride, kernel)
    return nn.Sequential(first, *(Separable(outputs, outputs, 1, kernel) for _ in range(blocks)))


class Upsample(nn.Module):
    """Twice the size, each new pixel with weights of its own (1x1 convolution, pixel shuffle)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = conv(inputs, outputs * 4)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.expand(x), 2)


class FaceDetector(nn.Module):
    """(B, 3, H, W) in [-0.5, 0.5], H and W multiples of 16 -> (B, 11, H / 8, W / 8).

    Channel 0 is the face logit; channels 1-10 are the landmarks' (x, y) minus the cell's centre in
    units of `DETECTOR_UNIT` pixels.
    """

    def __init__(self, width: int = 64, deep: int = 128) -> None:
        super().__init__()
        self.stem = conv(12, 24, 3, 2)  # on 2x2 pixel blocks: an overlapping stride-4 stem
        self.stage4 = stage(24, width // 2, 0, stride=1)
        self.stage8 = stage(width // 2, width, 3)
        self.stage16 = stage(width, deep, 3)
        self.up = Upsample(deep, width)
        self.head = stage(width, width, 1, stride=1)
        self.output = nn.Conv2d(width, 11, 1)
        nn.init.normal_(self.output.weight, std=0.01)
        # Nearly every cell is background.
        self.output.bias = nn.Parameter(torch.tensor([-4.0] + [0.0] * 10))

    def forward(self, image: Tensor) -> Tensor:
        x = self.stage8(self.stage4(F.relu_(self._enter(image))))
        x = F.relu_(self.up(self.stage16(x)).add_(x))
        maps: Tensor = self.output(self.head(x))
        return maps

    def _enter(self, image: Tensor) -> Tensor:
        """The stem; in quick form as one convolution over pixels, which saves regrouping them."""
        if not isinstance(self.stem, nn.Conv2d):
            pixels = F.pixel_unshuffle(image, 2)
            features: Tensor = self.stem(pixels.contiguous(memory_format=torch.channels_last))
            return features
        weight = self.stem.weight.unflatten(1, (3, 2, 2)).permute(0, 1, 4, 2, 5, 3)
        weight = weight.reshape(-1, 3, 6, 6).contiguous(memory_format=torch.channels_last)
        image = image.contiguous(memory_format=torch.channels_last)
        return F.conv2d(image, weight, self.stem.bias, stride=4, padding=2)


class LandmarkRefiner(nn.Module):
    """(B, 3, S, S) aligned crops in [0, 1] -> landmarks (B, 5, 2) in crop pixels, logits (B,).

    S is a multiple of 16; the sizes in the comments are those of a 64 px crop.
    Landmarks are the expectation of a heatmap over the crop (soft-argmax, Sun et al. 2018).
    """

    def __init__(self, width: int = 64, deep: int = 128) -> None:
        super().__init__()
        self.stem = conv(12, 32, 3)  # 32 x 32
        self.stage2 = stage(32, 32, 0, stride=1)
        self.stage4 = stage(32, width, 3)  # 16 x 16
        self.stage8 = stage(width, deep, 3)  # 8 x 8
        self.stage16 = stage(deep, deep, 2)  # 4 x 4
        self.up8 = Upsample(deep, deep)
        self.merge8 = stage(deep, deep, 0, stride=1)
        self.up4 = Upsample(deep, width)
        self.merge4 = stage(width, width, 1, stride=1, kernel=5)
        self.heatmaps = nn.Conv2d(width, 5, 1)
        self.score = nn.Linear(2 * deep, 1)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pixel_unshuffle(crops - 0.5, 2).contiguous(memory_format=torch.channels_last)
        x4 = self.stage4(self.stage2(F.relu_(self.stem(x))))
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        logit = self.score(torch.cat([x16.mean((2, 3)), x16.amax((2, 3))], 1)).squeeze(1)
        y8 = self.merge8(F.relu_(self.up8(x16).add_(x8)))
        y4 = self.merge4(F.relu_(self.up4(y8).add_(x4)))
        return soft_argmax(self.heatmaps(y4), crops.shape[-1]), logit


def soft_argmax(heatmaps: Tensor, size: int) -> Tensor:
    """(B, K, h, w) logits -> mean (x, y) positions (B, K, 2), in pixels of a `size` px image."""
    batch, count, height, width = heatmaps.shape
    weights = heatmaps.reshape(batch, count, -1).float().softmax(-1)
    weights = weights.reshape(batch, count, height, width)
    xs = (torch.arange(width, device=weights.device) + 0.5) * (size / width) - 0.5
    ys = (torch.arange(height, device=weights.device) + 0.5) * (size / height) - 0.5
    return torch.stack([(weights.sum(2) * xs).sum(-1), (weights.sum(3) * ys).sum(-1)], -1)


class FinderNet(nn.Module):
    """Detector, refiner and polisher in one checkpoint."""

    def __init__(self, width: int = 64, deep: int = 128) -> None:
        super().__init__()
        self.detector = FaceDetector(width, deep)
        self.refiner = LandmarkRefiner(width, deep)
        self.polisher = LandmarkRefiner(width, deep)


def fold(net: nn.Module) -> nn.Module:
    """Merge every convolution + batch normalisation pair in place, for inference."""
    net.eval()
    for module in net.modules():
        if not isinstance(module, nn.Sequential) or len(module) != 2:
            continue
        conv, norm = module[0], module[1]
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
            continue
        if conv.weight.is_meta:
            conv.bias = nn.Parameter(torch.empty(conv.out_channels))
        else:
            conv.weight, conv.bias = fuse_conv_bn_weights(
                conv.weight,
                conv.bias,
                cast(Tensor, norm.running_mean),
                cast(Tensor, norm.running_var),
                norm.eps,
                norm.weight,
                norm.bias,
            )
        module[1] = nn.Identity()
    return net

"""The face finder's networks in the form that takes a CPU the least time.

They are so small that on a face's crop calling a module costs as much as its work. The quick form
has the same weights, folded, and calls little else than the convolutions.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from .net import Separable, Upsample

Net = TypeVar("Net", bound=nn.Module)


class Pointwise(nn.Module):
    """A 1x1 convolution as a matrix product: half the time on small pictures, channels last."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert convolution.bias is not None
        self.bias = convolution.bias
        self.weight = nn.Parameter(convolution.weight.detach().flatten(1).T.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return _mix_channels(x, self.bias, self.weight)


class QuickStage(nn.Module):
    """A stage of separable convolutions as a list of steps."""

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.steps = []
        for block in blocks:
            assert isinstance(block, Separable)
            depthwise, pointwise = (
                _convolution_of(block.depthwise),
                _convolution_of(block.pointwise),
            )
            assert isinstance(depthwise, nn.Conv2d)
            assert isinstance(pointwise, nn.Conv2d)
            mix = Pointwise(pointwise)
            weights = (depthwise.weight, depthwise.bias, mix.bias, mix.weight)
            # as numbers: a module's attributes are slow to find
            stride, kernel = int(depthwise.stride[0]), depthwise.kernel_size[0]
            self.steps.append((weights, stride, kernel // 2, depthwise.groups, block.skip))

    def forward(self, x: Tensor) -> Tensor:
        for (weight, shift, bias, mix), stride, padding, groups, skip in self.steps:
            y = torch.conv2d(x, weight, shift, stride, padding, 1, groups).relu_()
            y = _mix_channels(y, bias, mix)
            x = (y.add_(x) if skip else y).relu_()
        return x


def quick_form(net: Net) -> Net:
    """The folded detector or refiner in its quick form, in place.

    It runs only: its weights stay in the number and memory format they have now, and their names
    are no longer those of a checkpoint.
    """
    parts: list[nn.Module] = [net, *(m for m in net.children() if isinstance(m, Upsample))]
    for module in parts:
        for name, child in list(module.named_children()):
            child = _convolution_of(child)
            if isinstance(child, nn.Sequential):
                setattr(module, name, QuickStage(child))
            elif isinstance(child, nn.Conv2d):
                single = child.kernel_size == (1, 1)
                setattr(module, name, Pointwise(child) if single else child)
    return net


def _convolution_of(module: nn.Module) -> nn.Module:
    """The convolution of a folded pair; any other module as it is."""
    if isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
        return module[0]
    return module


def _mix_channels(x: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, D, H, W) with a weight (C, D)."""
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
    mixed = torch.addmm(bias, rows, weight)
    return mixed.view(batch, height, width, -1).permute(0, 3, 1, 2)

"""The layers of a StyleGAN2 generator, one picture at a time, on shared (dense) weights.

A modulated convolution scales its input channels by a style s, convolves, and scales its output
channels so that unit variance stays unit variance ("demodulation", Karras et al. 2020, section
2.2). Both factors are per channel, so they may stand on the weights or on the activations: they
are put where fewer numbers have to be multiplied. Styles and demodulation are float32 always;
activations have the type of the input and are channels_last.

Parameters hold the values of the file; the equalised learning rate scales of Karras et al. 2018
are applied at use.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-8
_SLOPE = 0.2
_GAIN = math.sqrt(2.0)  # keeps the variance through the leaky ReLU
# float16 ends at 65504, and a demodulated kernel of 512 channels may give sqrt(2 * 9 * 512) = 96
# times its largest input
_HALF_LIMIT = 512.0


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape), requires_grad=False)


class Constant(nn.Module):
    """The 4 x 4 maps that every picture starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = _parameter(1, channels, 4, 4)


class Strength(nn.Module):
    """How strong the noise of a layer is, `(1,)`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = _parameter(1)


class Bias(nn.Module):
    """One number per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = _parameter(channels)


class Dense(nn.Module):
    """`x W^T / sqrt(in) + b`, all times `rate`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rate: float = 1.0,  # learning rate multiplier of training, stored values are 1 / rate up
    ) -> None:
        super().__init__()
        self.weight = _parameter(outputs, inputs)
        self.bias = _parameter(outputs)
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        scale = self.rate / math.sqrt(self.weight.shape[1])
        return F.linear(x, self.weight) * scale + self.bias * self.rate


def normalise(x: Tensor) -> Tensor:
    """Rows `(B, d)` scaled to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU times sqrt(2), a new tensor."""
    return F.leaky_relu(x, _SLOPE) * _GAIN


class Modulated(nn.Module):
    """Kernels `(1, out, in, k, k)` and the map from w to one factor per input channel."""

    def __init__(self, inputs: int, outputs: int, kernel: int, w_dim: int) -> None:
        super().__init__()
        self.weight = _parameter(1, outputs, inputs, kernel, kernel)
        self.modulation = Dense(w_dim, inputs)
        self.scale = 1 / math.sqrt(inputs * kernel * kernel)

    def styles(self, w: Tensor) -> Tensor:
        """w `(1, w_dim)` to factors `(in,)`, the weights' own scale included."""
        styles: Tensor = self.modulation(w)[0] * self.scale
        return styles


class StyledConv(nn.Module):
    """3x3 modulated convolution, noise, bias, leaky ReLU; `up` doubles the resolution first."""

    energy: Tensor

    def __init__(self, inputs: int, outputs: int, w_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, w_dim)
        self.noise = Strength()
        self.activate = Bias(outputs)
        self.up = up
        # squares of the weights, summed over each kernel: all that demodulation needs of them
        self.register_buffer("energy", torch.zeros(outputs, inputs), persistent=False)
        self.register_load_state_dict_post_hook(_set_energy)

    def forward(
        self,
        x: Tensor,  # (1, in, h, w)
        w: Tensor,  # (1, w_dim) float32
        noise: Tensor,  # (1, 1, H, W)
        limit: float | None = None,  # of the magnitude of what comes out
    ) -> Tensor:
        # A style on the weights costs a gradient to the weights, which is slow.
        wanted = torch.is_grad_enabled() and w.requires_grad
        numbers = self.conv.weight.numel()
        if not wanted and numbers < x[0].numel() + self._numbers_out(x):
            kernel, bias, noise = self.prepare_kernel(w, noise, x.dtype)
            return finish(self._convolve(x, kernel, bias), noise, limit)
        styles, factors = self._factors(w)
        reach = styles.abs().amax().clamp_min(EPSILON)  # float16 would run over otherwise
        weight = self.conv.weight[0].to(x.dtype)
        y = self._convolve(x * _per_channel(styles / reach, x), weight, None)
        y = y * _per_channel(factors * reach, y) + _per_channel(self.activate.bias * _GAIN, y)
        return finish(y, self._noise(noise), limit)

    def prepare_kernel(self, w: Tensor, noise: Tensor, dtype: torch.dtype) -> Prepared:
        """What a plain convolution and `finish` need, styles being on the weights."""
        styles, factors = self._factors(w)
        kernel = self.conv.weight[0] * (factors[:, None] * styles)[:, :, None, None]
        bias = self.activate.bias * _GAIN
        return Prepared(kernel.to(dtype), bias.to(dtype), self._noise(noise))

    def _factors(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Of input channels `(in,)`; of output channels `(out,)`, the gain included."""
        styles = self.conv.styles(w)
        return styles, torch.rsqrt(self.energy @ styles.square() + EPSILON) * _GAIN

    def _noise(self, noise: Tensor) -> Tensor:
        return noise * (self.noise.weight * _GAIN)

    def _numbers_out(self, x: Tensor) -> int:
        return int(self.energy.shape[0] * x.shape[2] * x.shape[3] * (4 if self.up else 1))

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        if not self.up:
            return F.conv2d(x, kernel, bias, padding=1)
        y = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)  # (1, out, 2 h + 1, 2 w + 1)
        return blur(y, bias, rows=1)


class Prepared(NamedTuple):
    """A layer for one code: `(out, in, 3, 3)`, `(out,)`, and noise `(1, 1, H, W)` float32."""

    kernel: Tensor
    bias: Tensor
    noise: Tensor


def blur(y: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    """Filtered with [1, 3, 3, 1] / 4 on both axes, and `bias` added.

    Args:
        y: `(1, C, H, W)`.
        bias: `(C,)`.
        rows: of zeros above and below; columns beside have one always.
    """
    row = y.new_tensor([1.0, 3.0, 3.0, 1.0]) / 4  # halves the mean: three of four are zeros
    kernel = torch.outer(row, row).expand(y.shape[1], 1, 4, 4)
    return F.conv2d(y, kernel, bias, padding=(rows, 1), groups=y.shape[1])


def finish(y: Tensor, noise: Tensor, limit: float | None) -> Tensor:
    """Noise, leaky ReLU and limit, in place; `y` and `noise` already have the gain."""
    return clamp_limit(F.leaky_relu_(add_noise(y, noise), _SLOPE), limit)


def _set_energy(module: Any, _keys: object) -> None:
    module.energy = module.conv.weight[0].float().square().sum((2, 3))


class ToRGB(nn.Module):
    """1x1 modulated convolution to colours, added to the doubled picture so far."""

    def __init__(self, inputs: int, w_dim: int) -> None:
        super().__init__()
        self.conv = Modulated(inputs, 3, 1, w_dim)
        self.bias = _parameter(1, 3, 1, 1)

    def forward(
        self,
        x: Tensor,  # (1, in, H, W)
        w: Tensor,  # (1, w_dim) float32
        picture: Tensor | None,  # (1, 3, H / 2, W / 2) float32
        limit: float | None = None,
    ) -> Tensor:
        y = self.colours(x, self.kernel(w, x.dtype), limit)
        return y if picture is None else y + double_size(picture)

    def kernel(self, w: Tensor, dtype: torch.dtype) -> Tensor:
        """`(3, in, 1, 1)` for one code."""
        return (self.conv.weight[0] * self.conv.styles(w)[:, None, None]).to(dtype)

    def colours(self, x: Tensor, kernel: Tensor, limit: float | None) -> Tensor:
        """What `(1, in, H, W)` adds to the picture, `(1, 3, H, W)` float32."""
        return clamp_limit(F.conv2d(x, kernel).float() + self.bias, limit)


def double_size(picture: Tensor) -> Tensor:
    """Twice the size with the [1, 3, 3, 1] kernel, zeros beyond the border.

    Per axis the new pixels are (1, 3) / 4 and (3, 1) / 4 of two neighbours: linear interpolation.
    """
    padded = F.pad(picture, (1, 1, 1, 1))
    return F.interpolate(padded, scale_factor=2, mode="bilinear")[..., 2:-2, 2:-2]


def add_noise(y: Tensor, noise: Tensor) -> Tensor:
    """Add `(1, 1, H, W)` to every channel of `(1, C, H, W)`, in place."""
    noise = noise.to(y.dtype)
    rows = y.permute(0, 2, 3, 1)
    if y.device.type == "cpu" and y.dtype == torch.bfloat16 and rows.is_contiguous():
        # the same sum as a matrix product of rank 1, several times faster than broadcasting
        rows.view(-1, y.shape[1]).addmm_(noise.reshape(-1, 1), noise.new_ones(1, y.shape[1]))
        return y
    return y.add_(noise)


def clamp_limit(y: Tensor, limit: float | None) -> Tensor:
    """Clamped to +-limit, in place; float16 always, since infinities would spread."""
    if y.dtype == torch.float16:
        limit = min(limit or _HALF_LIMIT, _HALF_LIMIT)
    return y if limit is None else y.clamp_(-limit, limit)


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype)[None, :, None, None]

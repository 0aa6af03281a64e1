"""The public e4e and pSp encoders on given weights, imported from checkouts of theirs.

The checkouts are of encoder4editing and pixel2style2pixel. Nothing of them is kept here; plain
operators stand in for their compiled ones.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
from torch import Tensor, nn

from ...models.architectures.stylegan2.encoders import INPUT_SIZE, encoder_specs, load_encoder
from .checks import Outputs

CLASSES = {"e4e": "Encoder4Editing", "psp": "GradualStyleEncoder"}


def compare_encoders(directory: Path, encoder_type: str) -> Outputs:
    """Codes of the reference and of this project's encoder of the published size, random weights.

    Args:
        directory: checkout of the reference.
        encoder_type: "e4e" or "psp".
    """
    with encoder_module(directory, "models.encoders.psp_encoders") as encoders:
        theirs = published(encoders, encoder_type)
        randomise(theirs, seed=0)
        state = theirs.state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        expected = encoder_specs(shapes) or {}
        if {name: spec.shape for name, spec in expected.items()} != shapes:
            raise SystemExit(f"{encoder_type}: names or shapes are not those of the reference")
        ours = load_encoder(encoder_type, state)
        generator = torch.Generator().manual_seed(1)
        pictures = torch.rand((1, 3, INPUT_SIZE, INPUT_SIZE), generator=generator) * 2 - 1
        yield f"{encoder_type} encoder", ours(pictures), theirs(pictures)


@contextmanager
def encoder_module(directory: Path, name: str) -> Iterator[ModuleType]:
    """A module of the reference, such as "models.psp", with plain operators."""
    before = set(sys.modules)
    operators = ModuleType("models.stylegan2.op")
    operators.FusedLeakyReLU = _FusedLeakyReLU  # type: ignore[attr-defined]
    operators.fused_leaky_relu = _leaky_relu  # type: ignore[attr-defined]
    operators.upfirdn2d = _resample  # type: ignore[attr-defined]
    plots = ModuleType("matplotlib")
    plots.use = lambda name: None  # type: ignore[attr-defined]
    sys.modules[operators.__name__] = operators
    sys.modules.setdefault("matplotlib", plots)
    sys.path.insert(0, str(directory))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(directory))
        for known in set(sys.modules) - before:
            if known.split(".")[0] in ("models", "configs", "matplotlib"):
                del sys.modules[known]


def _leaky_relu(x: Tensor, bias: Tensor) -> Tensor:
    return nn.functional.leaky_relu(x + bias.view(1, -1, *[1] * (x.dim() - 2)), 0.2) * 2**0.5


class _FusedLeakyReLU(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _leaky_relu(x, self.bias)


def _resample(
    x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)
) -> Tensor:
    """Zeros between pixels, padding, a convolution with the kernel, every `down`-th pixel."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, channels, height * up, width * up)
    spread[:, :, ::up, ::up] = x
    padded = nn.functional.pad(spread, (pad[0], pad[1], pad[0], pad[1]))
    weight = kernel.flip(0, 1).expand(channels, 1, *kernel.shape)
    return nn.functional.conv2d(padded, weight, groups=channels)[:, :, ::down, ::down]


def published(encoders: ModuleType, encoder_type: str) -> nn.Module:
    """The reference's encoder for pictures of 1024 px: 18 layers."""
    options = SimpleNamespace(stylegan_size=1024, n_styles=18, input_nc=3)
    net: nn.Module = getattr(encoders, CLASSES[encoder_type])(50, "ir_se", options)
    return net.eval()


def randomise(net: nn.Module, seed: int) -> None:
    """Statistics and biases as a trained network has them, not the zeros and ones of a new one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1, generator=generator)

"""Digit model: a small convolutional autoencoder of 28 x 28 grey pictures.

Its codes of 100 numbers follow a mixture of ten Gaussians, one per digit; the file states the
centres and the common spread, so that digits can be sampled. Weights are stored as float16 and
computed in float32. Tensors of a file: see `specs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UnsupportedModelError
from ..files.networks import without_numbers
from ..files.tensors import TensorSpec
from ..imaging.light import luminance
from .capabilities import Capabilities, FaceNet
from .statistics import CodeStatistics

NAME = "digits"
SIZE = 28
CLASSES = 10
STATISTICS = tuple(field.name for field in fields(CodeStatistics))
_GRID = SIZE // 4  # side of the coarsest maps
_SLOPE = 0.2
_BLOCK = 16  # items computed at once, see `_in_blocks`
_LARGEST = 4096 * _GRID * _GRID  # of any size: a strange file cannot ask for absurd memory


class DigitEncoder(nn.Module):
    """(B, 1, 28, 28) in [0, 1] -> (B, outputs)."""

    def __init__(
        self,
        outputs: int = 100,  # numbers of a code
        width: int = 32,  # channels at 14 x 14
        deep: int = 64,  # channels at 7 x 7
        hidden: int = 192,  # units between maps and code
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 3, padding=1)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.coarse = nn.Conv2d(4 * width, deep, 3, padding=1)
        self.hidden = nn.Linear(_GRID * _GRID * deep, hidden)
        self.code = nn.Linear(hidden, outputs)

    def forward(self, grey: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(grey - 0.5, 2)), _SLOPE)  # (B, width, 14, 14)
        x = F.leaky_relu(self.fine(x), _SLOPE)
        x = F.leaky_relu(self.coarse(F.pixel_unshuffle(x, 2)), _SLOPE)  # (B, deep, 7, 7)
        x = F.leaky_relu(self.hidden(x.flatten(1)), _SLOPE)
        codes: Tensor = self.code(x)
        return codes


class DigitGenerator(nn.Module):
    """(B, inputs) -> (B, 1, 28, 28) in [0, 1]."""

    def __init__(
        self,
        inputs: int = 100,  # numbers of a code
        hidden: int = 192,  # units between code and maps
        deep: int = 64,  # channels at 7 x 7
        width: int = 32,  # channels that enter 14 x 14
        fine: int = 64,  # channels at 14 x 14
    ) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.maps = nn.Linear(hidden, _GRID * _GRID * deep)
        self.coarse = nn.Conv2d(deep, 4 * width, 3, padding=1)
        self.fine = nn.Conv2d(width, fine, 3, padding=1)
        self.picture = nn.Conv2d(fine, 4, 3, padding=1)

    def forward(self, codes: Tensor) -> Tensor:
        x = F.leaky_relu(self.hidden(codes), _SLOPE)
        x = F.leaky_relu(self.maps(x), _SLOPE).unflatten(1, (-1, _GRID, _GRID))  # (B, deep, 7, 7)
        x = F.pixel_shuffle(F.leaky_relu(self.coarse(x), _SLOPE), 2)  # (B, width, 14, 14)
        x = F.leaky_relu(self.fine(x), _SLOPE)
        return torch.sigmoid(F.pixel_shuffle(self.picture(x), 2))  # (B, 1, 28, 28)


class DigitNet(FaceNet):
    """Encoder, generator, and the statistics of the codes of training digits.

    `mean` and `std` are over all codes; a random digit is `centres[k] + normal @ spread`.
    """

    mean: Tensor
    std: Tensor
    centres: Tensor
    spread: Tensor

    space_name = "z"
    size = SIZE

    def __init__(self, encoder: DigitEncoder, generator: DigitGenerator, axes: int) -> None:
        super().__init__()
        count = encoder.code.out_features
        self.encoder, self.generator = encoder, generator
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("std", torch.ones(count))
        self.register_buffer("centres", torch.zeros(CLASSES, count))
        self.register_buffer("spread", torch.zeros(axes, count))

    def capabilities(self) -> Capabilities:
        """Codes of digits, drawn class by class."""
        mixture = CodeStatistics(self.mean, self.std, self.centres, self.spread).cpu()
        return Capabilities(
            decode=self.decode,
            encode=self.encode,
            code_mean=mixture.mean,
            code_std=mixture.std,
            mixture=mixture,
        )

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(100,)` for the bundled model."""
        return (self.mean.shape[0],)

    def encode(self, crops: Tensor) -> Tensor:
        """`(B, 3, 28, 28)` in [0, 1] to codes `(B, Z)` float32; colour counts as its luminance."""
        return _in_blocks(self.encoder, luminance(crops.float()))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, Z)` to grey pictures `(B, 3, 28, 28)` float32 in [0, 1]."""
        return _in_blocks(self.generator, codes.float()).expand(-1, 3, -1, -1).contiguous()


def _in_blocks(net: nn.Module, items: Tensor) -> Tensor:
    """Apply `net` to blocks of one size, the last one filled up with zeros.

    Matrix kernels are chosen by size and round differently; with one size, what comes out for an
    item does not depend on the other items of its batch.
    """
    count = items.shape[0]
    missing = -count % _BLOCK if count else _BLOCK
    filled = F.pad(items, [0] * (2 * items.dim() - 1) + [missing])
    return torch.cat([net(block) for block in filled.split(_BLOCK)])[:count]


def build(shapes: Mapping[str, tuple[int, ...]]) -> DigitNet:
    """A network for tensors of these shapes, weights not yet set.

    Raises:
        KeyError, IndexError: a tensor that tells a size is missing or has no dimensions.
    """
    encoder, generator = "digits.encoder", "digits.generator"
    latent = shapes[f"{encoder}.code.weight"][0]
    return DigitNet(
        DigitEncoder(
            latent,
            width=shapes[f"{encoder}.stem.weight"][0],
            deep=shapes[f"{encoder}.coarse.weight"][0],
            hidden=shapes[f"{encoder}.hidden.weight"][0],
        ),
        DigitGenerator(
            latent,
            hidden=shapes[f"{generator}.hidden.weight"][0],
            deep=shapes[f"{generator}.maps.weight"][0] // (_GRID * _GRID),
            width=shapes[f"{generator}.coarse.weight"][0] // 4,
            fine=shapes[f"{generator}.fine.weight"][0],
        ),
        axes=shapes["digits.spread"][0],
    )


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when the tensor names, and sizes that make sense, are those of a digit model."""
    if any(not 1 <= size <= _LARGEST for shape in shapes.values() for size in shape):
        return False
    try:
        return set(shapes) == set(expected(shapes))
    except (KeyError, IndexError):
        return False


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true."""
    with without_numbers():
        state = build(shapes).state_dict()
    return {
        f"digits.{name}": TensorSpec(tuple(tensor.shape), ("F16", "F32"))
        for name, tensor in state.items()
    }


def load(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> DigitNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Args:
        tensors: by their names in the file.
        metadata: of the file; not needed.

    Raises:
        UnsupportedModelError: values that make no model (std <= 0).
    """
    if not bool((tensors["digits.std"] > 0).all()):
        raise UnsupportedModelError("digits.std must be positive everywhere.")
    net = build({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    net.load_state_dict({name.removeprefix("digits."): t for name, t in tensors.items()})
    return net.float().eval().requires_grad_(False)


def digit_net(
    encoder: DigitEncoder, generator: DigitGenerator, statistics: CodeStatistics
) -> DigitNet:
    """Encoder, generator and statistics as one network, in evaluation mode."""
    net = DigitNet(encoder, generator, len(statistics.spread)).eval()
    for name in STATISTICS:
        getattr(net, name).copy_(getattr(statistics, name))
    return net

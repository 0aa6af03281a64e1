"""The encoders e4e and pSp: a photo to the layers of a StyleGAN2 w+ code.

Both read IR-SE50 features at three sizes and turn them into one vector per layer (Richardson et
al. 2021, "Encoding in Style", section 3). pSp takes the vectors as the layers; e4e (Tov et al.
2021, "Designing an Encoder for StyleGAN Image Manipulation", section 4) takes the first one as a
code for all layers and the others as offsets from it. The tensors of both have the same names and
shapes, so which of the two a file holds has to be stated. What they give is relative to the mean
code they were trained around.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import UnsupportedModelError
from ...files.networks import without_numbers
from ...files.tensors import TensorSpec
from . import ir_se50

ENCODER_TYPES = ("e4e", "psp")
INPUT_SIZE = 256  # pixels
COARSE, MIDDLE = 3, 7  # the first layers that read the 32 x 32 and the 64 x 64 maps
LAYERS = (8, 10, 12, 14, 16, 18)  # of a w+ code, for pictures of 32 to 1024 pixels
_GRIDS = (16, 32, 64)  # sides of the feature maps
_SLOPE = 0.01
_LARGEST = 8192  # channels: a strange file cannot ask for absurd memory
_FLOATS = ("F16", "BF16", "F32")
_COUNTER = ".num_batches_tracked"  # of training steps, without effect


class EncoderLayout(NamedTuple):
    """The sizes of one encoder."""

    widths: ir_se50.Widths
    w_dim: int  # numbers of a layer, also channels of the maps that are read
    num_ws: int  # layers


class EqualLinear(nn.Module):
    """Fully connected, its stored weights divided by the root of their inputs (equalised rate)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class MapToStyle(nn.Module):
    """(B, inputs, grid, grid) -> (B, outputs): halved until one pixel is left."""

    def __init__(self, inputs: int, outputs: int, grid: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(grid.bit_length() - 1):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(_SLOPE)]
            inputs = outputs
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        code: Tensor = self.linear(self.convs(x).flatten(1))
        return code


class StyleEncoder(nn.Module):
    """Pictures to w+ codes, relative to the mean code; in float32."""

    def __init__(self, encoder_type: str, layout: EncoderLayout) -> None:
        super().__init__()
        self.encoder_type = encoder_type
        self.num_ws, self.w_dim = layout.num_ws, layout.w_dim
        widths, w_dim = layout.widths, layout.w_dim
        self.input_layer = ir_se50.input_layer(widths.stem)
        self.body = ir_se50.body(widths)
        self.styles = nn.ModuleList(
            MapToStyle(w_dim, w_dim, _grid(layer)) for layer in range(layout.num_ws)
        )
        self.latlayer1 = nn.Conv2d(widths.stages[2], w_dim, 1)
        self.latlayer2 = nn.Conv2d(widths.stages[1], w_dim, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, 256, 256) in [-1, 1] to (B, num_ws, w_dim), see `encoder_input`.

        Picture by picture, as convolutions of a batch may round differently: a face's code does
        not depend on the other faces of its batch.
        """
        return torch.cat([self._layers(picture) for picture in pictures.split(1)])

    def _layers(self, pictures: Tensor) -> Tensor:
        maps = ir_se50.features(self.input_layer, self.body, pictures)
        middle = _enlarged(maps.coarse, maps.middle) + self.latlayer1(maps.middle)
        fine = _enlarged(middle, maps.fine) + self.latlayer2(maps.fine)
        read = {16: maps.coarse, 32: middle, 64: fine}
        layers = torch.stack(
            [style(read[_grid(layer)]) for layer, style in enumerate(self.styles)], dim=1
        )
        if self.encoder_type == "psp":
            return layers
        return torch.cat([layers[:, :1], layers[:, :1] + layers[:, 1:]], dim=1)


def encoder_input(crops: Tensor) -> Tensor:
    """Aligned crops `(B, 3, S, S)` in [0, 1] as the encoders want them: `(B, 3, 256, 256)` in
    [-1, 1], anti-aliased where S is larger."""
    if crops.shape[-1] != INPUT_SIZE:
        size = (INPUT_SIZE, INPUT_SIZE)
        crops = F.interpolate(crops, size, mode="bilinear", align_corners=False, antialias=True)
    return crops.float() * 2 - 1


def load_encoder(encoder_type: str, tensors: Mapping[str, Tensor]) -> StyleEncoder:
    """The encoder with its weights, in float32 and evaluation mode.

    Args:
        encoder_type: "e4e" or "psp".
        tensors: its tensors, names without a prefix, shapes as in `encoder_specs`; float32 ones
            are taken over, not copied.

    Raises:
        UnsupportedModelError: another type, tensors of another network, or a variance below 0.
    """
    if encoder_type not in ENCODER_TYPES:
        raise UnsupportedModelError(
            f"The file states the encoder type '{encoder_type}', but only "
            f"{' and '.join(ENCODER_TYPES)} are known here. Convert the file again, or use a "
            "generator without an encoder."
        )
    layout = layout_of({name: tuple(t.shape) for name, t in tensors.items()})
    if layout is None:
        raise UnsupportedModelError(
            "These are not the tensors of an e4e or pSp encoder (IR-SE50 with 24 blocks, colour "
            f"pictures, {LAYERS[0]} to {LAYERS[-1]} layers)."
        )
    state = {n: t.float() for n, t in tensors.items() if not n.endswith(_COUNTER)}
    for name, tensor in state.items():
        if name.endswith(".running_var") and bool((tensor < 0).any()):
            raise UnsupportedModelError(
                f"The encoder's tensor '{name}' holds variances below 0: the file is damaged."
            )
    with without_numbers():
        net = StyleEncoder(encoder_type, layout)
    counters = {n: torch.zeros((), dtype=torch.long) for n in net.state_dict() if _COUNTER in n}
    net.load_state_dict({**state, **counters}, assign=True)
    return net.requires_grad_(False).eval()


def layout_of(shapes: Mapping[str, tuple[int, ...]]) -> EncoderLayout | None:
    """The layout that tensors of these shapes could have; None if there is none."""
    try:
        stages = [shapes[f"body.{end}.res_layer.3.weight"][0] for end in ir_se50.ENDS]
        squeezed = [shapes[f"body.{end}.res_layer.5.fc1.weight"][0] for end in ir_se50.ENDS]
        stem, colours = shapes["input_layer.0.weight"][:2]
        w_dim = shapes["latlayer1.weight"][0]
    except (KeyError, IndexError, ValueError):
        return None
    num_ws = 0
    while f"styles.{num_ws}.linear.weight" in shapes and num_ws < max(LAYERS):
        num_ws += 1
    numbers = (stem, *stages, *squeezed, w_dim)
    # the maps are added to the coarsest features and read by styles as wide as a code
    sane = all(1 <= n <= _LARGEST for n in numbers) and stages[3] == w_dim
    if not sane or colours != 3 or num_ws not in LAYERS:
        return None
    a, b, c, d = stages
    e, f, g, h = squeezed
    return EncoderLayout(ir_se50.Widths(stem, (a, b, c, d), (e, f, g, h)), w_dim, num_ws)


def encoder_specs(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec] | None:
    """Every tensor of the encoder whose sizes these shapes tell; None if they tell none.

    Counters of training steps are listed where `shapes` has them. Names are without a prefix.
    """
    layout = layout_of(shapes)
    if layout is None:
        return None
    with without_numbers():
        state = StyleEncoder("psp", layout).state_dict()
    specs = {}
    for name, tensor in state.items():
        if not name.endswith(_COUNTER):
            specs[name] = TensorSpec(tuple(tensor.shape), _FLOATS)
        elif name in shapes:
            specs[name] = TensorSpec((), ("I64",))
    return specs


def _grid(layer: int) -> int:
    return _GRIDS[0 if layer < COARSE else 1 if layer < MIDDLE else 2]


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    size = (fine.shape[-2], fine.shape[-1])
    return F.interpolate(coarse, size, mode="bilinear", align_corners=True)

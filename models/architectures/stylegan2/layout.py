"""The tensors of a StyleGAN2 generator file: which there are, and what their shapes say.

Names and raw values are those of the widespread PyTorch layout of Karras et al. 2020, "Analyzing
and Improving the Image Quality of StyleGAN": weights as trained, before any equalised learning
rate scaling. Nothing but shapes decides the size of a network, so that no file name or setting
can contradict its tensors.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...files.tensors import TensorSpec

ENCODER_PREFIX = "encoder."
ENCODER_AVG = "encoder_avg"  # mean code of the encoder, where it is not the generator's
EMBED = "style_embed."  # of classes
CLAMP = "conv_clamp"  # optional: largest magnitude of an activation the network was trained with
SIZES = (32, 64, 128, 256, 512, 1024)
SMALLEST_MAPPING = 2  # layers; a single one is no mapping network
_LARGEST = 8192  # channels, dimensions and classes: a strange file cannot ask for absurd memory
_FLOATS = ("F16", "BF16", "F32")


@dataclass(frozen=True)
class Layout:
    """The sizes of one network.

    Attributes:
        size: side of a picture, a power of two from 32 to 1024.
        z_dim, w_dim: numbers of a z and of a w code.
        mapping_layers: fully connected layers from z to w.
        classes: labels of a class-conditional mapping, 0 without.
        channels: at 4, 8, ..., `size` pixels.
    """

    size: int
    z_dim: int
    w_dim: int
    mapping_layers: int
    classes: int
    channels: tuple[int, ...]

    @property
    def num_ws(self) -> int:
        """Layers of a w+ code: two per resolution."""
        return 2 * len(self.channels)


def layout_of(shapes: Mapping[str, tuple[int, ...]]) -> Layout | None:
    """The layout that tensors of these shapes could have; None if there is none."""
    try:
        blocks = 0
        while f"to_rgbs.{blocks}.bias" in shapes:
            blocks += 1
        layers = 0
        while f"style.{layers + 1}.weight" in shapes:
            layers += 1
        w_dim, inputs = shapes["style.1.weight"]
        classes = shapes[f"{EMBED}weight"][1] if f"{EMBED}weight" in shapes else 0
        channels = [shapes["input.input"][1]]
        channels += [shapes[f"convs.{2 * k}.conv.weight"][1] for k in range(blocks)]
    except (KeyError, IndexError, ValueError):
        return None
    layout = Layout(
        size=4 << min(blocks, 16),
        z_dim=inputs - (w_dim if classes else 0),
        w_dim=w_dim,
        mapping_layers=layers,
        classes=classes,
        channels=tuple(channels),
    )
    numbers = (layout.z_dim, w_dim, *channels)
    sane = all(1 <= n <= _LARGEST for n in numbers) and classes <= _LARGEST
    if not classes and layout.z_dim != w_dim:
        return None  # a mapping that also takes classes, without what embeds them
    if not sane or layout.size not in SIZES or not SMALLEST_MAPPING <= layers <= 64:
        return None
    return layout


def generator_specs(layout: Layout) -> dict[str, TensorSpec]:
    """Every tensor of the generator but `latent_avg` and `conv_clamp`, see `file_specs`."""
    w_dim, channels = layout.w_dim, layout.channels
    specs: dict[str, TensorSpec] = {}

    def put(name: str, *shape: int) -> None:
        specs[name] = TensorSpec(shape, _FLOATS)

    def convolution(name: str, inputs: int, outputs: int, kernel: int) -> None:
        put(f"{name}.conv.weight", 1, outputs, inputs, kernel, kernel)
        put(f"{name}.conv.modulation.weight", inputs, w_dim)
        put(f"{name}.conv.modulation.bias", inputs)
        if kernel == 1:
            put(f"{name}.bias", 1, outputs, 1, 1)
        else:
            put(f"{name}.noise.weight", 1)
            put(f"{name}.activate.bias", outputs)

    inputs = layout.z_dim + (w_dim if layout.classes else 0)
    for number in range(1, layout.mapping_layers + 1):
        put(f"style.{number}.weight", w_dim, inputs if number == 1 else w_dim)
        put(f"style.{number}.bias", w_dim)
    if layout.classes:
        put(f"{EMBED}weight", w_dim, layout.classes)
        put(f"{EMBED}bias", w_dim)
    put("input.input", 1, channels[0], 4, 4)
    convolution("conv1", channels[0], channels[0], 3)
    convolution("to_rgb1", channels[0], 3, 1)
    for k, (coarse, fine) in enumerate(itertools.pairwise(channels)):
        convolution(f"convs.{2 * k}", coarse, fine, 3)
        convolution(f"convs.{2 * k + 1}", fine, fine, 3)
        convolution(f"to_rgbs.{k}", fine, 3, 1)
    for j in range(layout.num_ws - 1):
        side = 2 ** ((j + 5) // 2)
        put(f"noises.noise_{j}", 1, 1, side, side)
    return specs


def file_specs(layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """Every tensor of a file with these shapes, its encoder's left out.

    `latent_avg`, the mean of w, is `(w_dim,)`, or `(num_ws, w_dim)` where layers differ.
    """
    specs = generator_specs(layout)
    one, each = (layout.w_dim,), (layout.num_ws, layout.w_dim)
    for name in ("latent_avg", ENCODER_AVG):
        if name == "latent_avg" or name in shapes:
            specs[name] = TensorSpec(each if shapes.get(name) == each else one, _FLOATS)
    if CLAMP in shapes:
        specs[CLAMP] = TensorSpec((1,), _FLOATS)
    return specs


def usual_channels(size: int, multiplier: float = 2.0) -> tuple[int, ...]:
    """Channels of the published networks: 512 up to 32 pixels, then halved per doubling.

    `multiplier` 2 is the large configuration ("config F"), 1 the small one.
    """
    steps = int(math.log2(size)) - 1
    return tuple(
        512 if 4 << step <= 32 else int(16384 * multiplier / (4 << step)) for step in range(steps)
    )

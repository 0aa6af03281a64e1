"""The public StyleGAN2 implementations on given weights, imported from checkouts of theirs.

"rosinality" is stylegan2-pytorch, "nvidia" is stylegan2-ada-pytorch. Nothing of them is kept here;
their compiled operators are not built, both fall back to plain PyTorch on a CPU.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...models.architectures.stylegan2.layout import CLAMP, Layout, layout_of
from ..bench.stylegan2 import reference_module


class Rosinality:
    """The generator of stylegan2-pytorch with the widths of the given tensors.

    Its class fixes the widths, so its layers are put together here, as its constructor does.
    """

    def __init__(self, directory: Path, tensors: Mapping[str, Tensor]) -> None:
        layout = _layout(tensors)
        with reference_module(directory) as module:
            self.net = _rosinality(module, layout)
        state = {n: t for n, t in tensors.items() if n not in ("latent_avg", CLAMP)}
        missing, unexpected = self.net.load_state_dict(state, strict=False)
        if unexpected or any(not name.endswith(".kernel") for name in missing):
            raise SystemExit(f"names differ: missing {missing}, unexpected {unexpected}")
        self.net.eval().requires_grad_(False)
        self.latent_avg = tensors["latent_avg"]

    def from_w_plus(self, codes: Tensor) -> Tensor:
        pictures: Tensor = self.net([codes], input_is_latent=True, randomize_noise=False)[0]
        return pictures

    def from_z(self, z: Tensor, psi: float) -> Tensor:
        pictures: Tensor = self.net(
            [z], truncation=psi, truncation_latent=self.latent_avg, randomize_noise=False
        )[0]
        return pictures


def _rosinality(module: ModuleType, layout: Layout) -> nn.Module:
    net: Any = module.Generator.__new__(module.Generator)
    nn.Module.__init__(net)
    width, channels = layout.w_dim, layout.channels
    net.size, net.style_dim = layout.size, width
    layers = [module.PixelNorm()]
    for _ in range(layout.mapping_layers):
        layers.append(module.EqualLinear(width, width, lr_mul=0.01, activation="fused_lrelu"))
    net.style = nn.Sequential(*layers)
    net.input = module.ConstantInput(channels[0])
    net.conv1 = module.StyledConv(channels[0], channels[0], 3, width)
    net.to_rgb1 = module.ToRGB(channels[0], width, upsample=False)
    net.log_size, net.n_latent = len(channels) + 1, layout.num_ws
    net.num_layers = layout.num_ws - 1
    net.convs, net.to_rgbs, net.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
    for before, after in itertools.pairwise(channels):
        net.convs.append(module.StyledConv(before, after, 3, width, upsample=True))
        net.convs.append(module.StyledConv(after, after, 3, width))
        net.to_rgbs.append(module.ToRGB(after, width))
    for j in range(net.num_layers):
        side = 2 ** ((j + 5) // 2)
        net.noises.register_buffer(f"noise_{j}", torch.zeros(1, 1, side, side))
    return cast(nn.Module, net)


class Nvidia:
    """The generator of stylegan2-ada-pytorch with the given tensors.

    Its channels are `min(base / resolution, most)`: tensors must have such channels.
    """

    def __init__(
        self, directory: Path, tensors: Mapping[str, Tensor], *, base: int, most: int
    ) -> None:
        layout = _layout(tensors)
        clamp = float(tensors[CLAMP]) if CLAMP in tensors else None
        with nvidia_module(directory) as networks:
            self.net = networks.Generator(
                layout.z_dim,
                layout.classes,
                layout.w_dim,
                layout.size,
                3,
                mapping_kwargs={"num_layers": layout.mapping_layers},
                synthesis_kwargs={"channel_base": base, "channel_max": most, "conv_clamp": clamp},
            )
        self.net.load_state_dict(self._state(tensors))
        self.net.eval().requires_grad_(False)
        self.classes = layout.classes

    def _state(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under the names and in the shapes of the reference."""
        state = {}
        for name, wanted in self.net.state_dict().items():
            if name.endswith("resample_filter"):
                state[name] = wanted
            else:
                state[name] = tensors[our_name(name)].reshape(wanted.shape)
        return state

    def from_w_plus(self, codes: Tensor) -> Tensor:
        pictures: Tensor = self.net.synthesis(codes, noise_mode="const")
        return pictures

    def from_z(
        self,
        z: Tensor,
        psi: float,
        cutoff: int | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        hot = None
        if labels is not None:
            hot = torch.nn.functional.one_hot(labels, self.classes).float()
        pictures: Tensor = self.net(
            z, hot, truncation_psi=psi, truncation_cutoff=cutoff, noise_mode="const"
        )
        return pictures


def our_name(name: str) -> str:
    """The name, in a file of this project, of a tensor of stylegan2-ada-pytorch."""
    if name == "mapping.w_avg":
        return "latent_avg"
    if name.startswith("mapping.embed."):
        return name.replace("mapping.embed", "style_embed")
    if name.startswith("mapping.fc"):
        number, kind = name.removeprefix("mapping.fc").split(".")
        return f"style.{int(number) + 1}.{kind}"
    _, block, rest = name.split(".", 2)
    resolution = int(block.removeprefix("b"))
    if rest == "const":
        return "input.input"
    layer, rest = rest.split(".", 1)
    k = resolution.bit_length() - 4  # 0 at 8 x 8
    colours = layer == "torgb"
    if colours:
        place = "to_rgb1" if k < 0 else f"to_rgbs.{k}"
    else:
        place = "conv1" if k < 0 else f"convs.{2 * k + int(layer == 'conv1')}"
    if rest == "noise_const":
        return f"noises.noise_{2 * (k + 1) - int(layer == 'conv0')}"
    renamed = {
        "weight": "conv.weight",
        "bias": "bias" if colours else "activate.bias",
        "affine.weight": "conv.modulation.weight",
        "affine.bias": "conv.modulation.bias",
        "noise_strength": "noise.weight",
    }
    return f"{place}.{renamed[rest]}"


@contextmanager
def nvidia_module(directory: Path) -> Iterator[ModuleType]:
    """The module `training.networks` of a checkout of stylegan2-ada-pytorch."""
    if not (directory / "training" / "networks.py").is_file():
        raise SystemExit(f"There is no checkout of stylegan2-ada-pytorch in '{directory}'.")
    if "requests" not in sys.modules and importlib.util.find_spec("requests") is None:
        sys.modules["requests"] = ModuleType("requests")  # for downloads only
    sys.path.insert(0, str(directory))
    try:
        yield importlib.import_module("training.networks")
    finally:
        sys.path.remove(str(directory))


def _layout(tensors: Mapping[str, Tensor]) -> Layout:
    layout = layout_of({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if layout is None:
        raise SystemExit("these are no tensors of a StyleGAN2 generator")
    return layout

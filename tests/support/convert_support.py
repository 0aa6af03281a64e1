"""Files as other programs write them, with small random networks in them."""

from __future__ import annotations

import argparse
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from encoder_support import small_encoder
from face_latents.models.architectures.stylegan2.layout import EMBED, Layout
from stylegan2_support import small_layout, small_tensors
from torch import Tensor, nn

LAYOUT = small_layout(32, dim=32, width=4)
KERNEL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def port_state(tensors: Mapping[str, Tensor]) -> OrderedDict[str, Tensor]:
    """The state dict of the PyTorch port: without the mean code, with blur kernels."""
    state = OrderedDict((n, t) for n, t in tensors.items() if n != "latent_avg")
    for name in tensors:
        if name.startswith("convs.") and name.endswith(".conv.weight"):
            if int(name.split(".")[1]) % 2 == 0:
                state[name.replace("weight", "blur.kernel")] = KERNEL * 4
        elif name.startswith("to_rgbs.") and name.endswith(".bias") and "mod" not in name:
            state[name.replace("bias", "upsample.kernel")] = KERNEL * 4
    state._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    return state


def training_checkpoint(tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """What the port's training script saves: no mean code, but much else."""
    state = port_state(tensors)
    weight = nn.Parameter(torch.randn(3, 4))
    optimiser = torch.optim.Adam([weight])
    weight.sum().backward()
    optimiser.step()
    return {
        "g": OrderedDict((name, tensor + 1) for name, tensor in state.items()),
        "d": {"convs.0.0.weight": torch.randn(4, 3, 1, 1)},
        "g_ema": state,
        "g_optim": optimiser.state_dict(),
        "d_optim": optimiser.state_dict(),
        "args": argparse.Namespace(size=32, path="data", mixing=0.9),
        "ada_aug_p": 0.25,
    }


def encoder_checkpoint(
    tensors: Mapping[str, Tensor], encoder_type: str = "Encoder4Editing", **options: object
) -> dict[str, object]:
    """What the training scripts of e4e and pSp save."""
    encoder = small_encoder(LAYOUT.num_ws, LAYOUT.w_dim)
    counters = [n.replace("running_mean", "num_batches_tracked") for n in encoder if "mean" in n]
    state = {f"encoder.{n}": t for n, t in encoder.items()}
    state |= {f"encoder.{n}": torch.tensor(7) for n in counters}
    state |= {f"decoder.{n}": t for n, t in port_state(tensors).items()}
    opts = {"encoder_type": encoder_type, "device": "cuda:0", "start_from_latent_avg": True}
    return {
        "state_dict": state,
        "opts": {**opts, **options},
        "latent_avg": tensors["latent_avg"].repeat(LAYOUT.num_ws, 1),
    }


class Pickled:
    """Stands for an object that NVIDIA's `torch_utils.persistence` pickles with its code."""

    def __init__(self, name: str, state: dict[str, object], code: str) -> None:
        self.facts = {
            "type": "class",
            "version": 6,
            "module_src": code,
            "class_name": name,
            "state": state,
        }

    def __reduce__(self) -> tuple[object, tuple[object]]:
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return function, (self.facts,)


def network(
    name: str, tensors: Mapping[str, Tensor], code: str = "", **settings: object
) -> Pickled:
    """A network object with tensors by dotted name; those called noise or filter are buffers."""
    children: dict[str, dict[str, Tensor]] = {}
    parameters: OrderedDict[str, object] = OrderedDict(unused=None)
    buffers: OrderedDict[str, object] = OrderedDict()
    for path, tensor in tensors.items():
        head, _, rest = path.partition(".")
        if rest:
            children.setdefault(head, {})[rest] = tensor
        elif head in ("noise_const", "resample_filter", "w_avg"):
            buffers[head] = tensor
        else:
            parameters[head] = nn.Parameter(tensor)
    inner = {part: network(part, held, code, **settings) for part, held in children.items()}
    state = {
        "training": False,
        "_parameters": parameters,
        "_buffers": buffers,
        "_modules": OrderedDict(inner),
        "_non_persistent_buffers_set": set(),
        "_init_kwargs": sys.modules["dnnlib.util"].EasyDict(width=4),
        **settings,
    }
    if name.startswith("fc"):
        state["bias_gain"] = 0.01
    return Pickled(name, state, code)


def nvidia_tensors(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The tensors under the names and in the shapes of StyleGAN2-ADA."""
    named = {"mapping.w_avg": tensors["latent_avg"]}
    for number in range(layout.mapping_layers):
        for part in ("weight", "bias"):
            named[f"mapping.fc{number}.{part}"] = tensors[f"style.{number + 1}.{part}"]
    if layout.classes:
        for part in ("weight", "bias"):
            named[f"mapping.embed.{part}"] = tensors[EMBED + part]
    named["synthesis.b4.const"] = tensors["input.input"][0]
    noise = 0
    for step in range(len(layout.channels)):
        side = 4 << step
        block = f"synthesis.b{side}"
        named[f"{block}.resample_filter"] = KERNEL
        for conv in ("conv0", "conv1") if step else ("conv1",):
            old = f"convs.{noise - 1}" if step else "conv1"
            new = f"{block}.{conv}"
            named[f"{new}.weight"] = tensors[f"{old}.conv.weight"][0]
            named[f"{new}.bias"] = tensors[f"{old}.activate.bias"]
            named[f"{new}.affine.weight"] = tensors[f"{old}.conv.modulation.weight"]
            named[f"{new}.affine.bias"] = tensors[f"{old}.conv.modulation.bias"]
            named[f"{new}.noise_strength"] = tensors[f"{old}.noise.weight"][0]
            named[f"{new}.noise_const"] = tensors[f"noises.noise_{noise}"][0, 0]
            named[f"{new}.resample_filter"] = KERNEL
            noise += 1
        old = f"to_rgbs.{step - 1}" if step else "to_rgb1"
        named[f"{block}.torgb.weight"] = tensors[f"{old}.conv.weight"][0]
        named[f"{block}.torgb.bias"] = tensors[f"{old}.bias"].flatten()
        named[f"{block}.torgb.affine.weight"] = tensors[f"{old}.conv.modulation.weight"]
        named[f"{block}.torgb.affine.bias"] = tensors[f"{old}.conv.modulation.bias"]
    return named


@contextmanager
def nvidia_modules() -> Iterator[None]:
    """Stand-ins for the modules whose names the pickles hold."""
    persistence = types.ModuleType("torch_utils.persistence")
    util = types.ModuleType("dnnlib.util")

    def _reconstruct_persistent_obj(meta: object) -> object:
        raise AssertionError("a network was rebuilt")

    _reconstruct_persistent_obj.__module__ = persistence.__name__
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    util.EasyDict = type("EasyDict", (dict,), {"__module__": util.__name__})  # type: ignore[attr-defined]
    names = {"torch_utils.persistence": persistence, "dnnlib.util": util}
    for name in ("torch_utils", "dnnlib"):
        names[name] = types.ModuleType(name)
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


def nvidia_file(
    path: Path,
    layout: Layout = LAYOUT,
    *,
    protocol: int = 4,
    code: str = "",
    change: Mapping[str, Tensor | None] | None = None,
    **settings: object,
) -> dict[str, Tensor]:
    """Write a pickle as StyleGAN2-ADA does, and return the tensors of its G_ema by our names.

    Args:
        path: of the pickle.
        layout: of the network.
        protocol: of the pickle.
        code: source of the classes, which is in the file.
        change: tensors to replace, or to leave out where None, by their names in the pickle.
        settings: of every part of the network.
    """
    tensors = small_tensors(layout)
    named = {**nvidia_tensors(tensors, layout), **(change or {})}
    kept = {name: tensor for name, tensor in named.items() if tensor is not None}
    known: dict[str, object] = {"architecture": "skip", "activation": "lrelu", "conv_clamp": None}
    with nvidia_modules():
        data = {
            "training_set_kwargs": None,
            "G": network("Generator", kept, code, **{**known, **settings}),
            "D": network("Discriminator", {"b4.fc.weight": torch.randn(3, 3)}, code),
            "G_ema": network("Generator", kept, code, **{**known, **settings}),
            "augment_pipe": None,
        }
        path.write_bytes(pickle.dumps(data, protocol=protocol))
    return tensors

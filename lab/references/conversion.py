"""Checkpoints as the references write them, converted, loaded and compared with the references.

The checkpoints are made by the references' own classes, with random weights: what other programs
really pickle, and not what this project thinks they do.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from ...models.convert import convert
from ...models.face_model import load_face_model
from ..bench.stylegan2 import randomise, reference_generator
from .stylegan2 import nvidia_module

SIZE = 64
CLASSES = 3


def converted_rosinality(directory: Path) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name of the check, this project's pictures, the reference's."""
    net = reference_generator(directory, SIZE)
    average = net.mean_latent(64)[0]
    state = net.state_dict()
    codes = _codes(net.n_latent)
    with _folder() as folder:
        file, out = folder / "net.pt", folder / "net.safetensors"
        torch.save({"g_ema": state, "latent_avg": average}, file)
        report = convert(file, out, licence="random weights", source="a check")
        _account(set(report.taken.values()) | set(report.dropped), "g_ema.", state)
        model = load_face_model(out)
    theirs = net([codes], input_is_latent=True, randomize_noise=False)[0]
    yield f"rosinality .pt converted, {SIZE} px", model.decode(codes) * 2 - 1, theirs


def converted_nvidia(directory: Path) -> Iterator[tuple[str, Tensor, Tensor]]:
    """With and without classes; the pickle holds a discriminator too, as theirs do."""
    for classes in (0, CLASSES):
        with nvidia_module(directory) as networks, _folder() as folder:
            torch.manual_seed(0)
            narrow = {"channel_base": 2048, "channel_max": 64}
            net = networks.Generator(
                512,
                classes,
                512,
                SIZE,
                3,
                mapping_kwargs={"num_layers": 8},
                synthesis_kwargs={**narrow, "conv_clamp": 256},
            )
            net = net.eval().requires_grad_(False)
            randomise(net)
            net.mapping.w_avg.normal_(0, 0.2)
            judge = networks.Discriminator(classes, SIZE, 3, **narrow).eval()
            file, out = folder / "net.pkl", folder / "net.safetensors"
            with file.open("wb") as stream:
                pickle.dump({"G": net, "D": judge, "G_ema": net, "augment_pipe": None}, stream)
            report = convert(file, out, licence="random weights", source="a check")
            _account(set(report.taken.values()) | set(report.dropped), "G_ema.", net.state_dict())
            model = load_face_model(out)
            codes = _codes(net.num_ws)
            theirs = net.synthesis(codes, noise_mode="const")
        words = f", {classes} classes" if classes else ""
        name = f"nvidia .pkl converted, {SIZE} px{words}"
        yield name, model.decode(codes) * 2 - 1, theirs


def _account(seen: set[str], prefix: str, state: dict[str, Tensor]) -> None:
    """Every tensor of the network is taken, or dropped with a reason."""
    forgotten = {prefix + name for name in state} - seen
    if forgotten:
        raise SystemExit(f"the report is silent about {', '.join(sorted(forgotten)[:5])}")


def _codes(num_ws: int) -> Tensor:
    return torch.randn(1, num_ws, 512, generator=torch.Generator().manual_seed(5))


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place)

"""Compares the e4e and pSp encoders with their reference implementations, on the same weights.

The reference is imported from a checkout of its public repository (encoder4editing,
pixel2style2pixel); nothing of it is kept here.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from ...models.architectures.stylegan2.encoders import (
    COARSE,
    INPUT_SIZE,
    MIDDLE,
    encoder_specs,
    layout_of,
    load_encoder,
)
from ...models.architectures.stylegan2.ir_se50 import STAGES

CLASSES = {"e4e": "Encoder4Editing", "psp": "GradualStyleEncoder"}


class Comparison(NamedTuple):
    """How far two encoders are apart on the same pictures."""

    largest: float  # difference of two numbers of a code
    spread: float  # highest minus lowest number of the reference's codes
    seconds: float  # of this project's encoder
    reference_seconds: float

    @property
    def relative(self) -> float:
        """The largest difference as a fraction of the output's range."""
        return self.largest / self.spread


def compare(directory: Path, encoder_type: str, *, num_ws: int = 18, count: int = 1) -> Comparison:
    """Run the reference and this project's encoder of the published size with random weights.

    Args:
        directory: checkout of the reference.
        encoder_type: "e4e" or "psp".
        num_ws: layers of a code.
        count: random pictures.
    """
    with reference_modules(directory) as encoders:
        theirs = published(encoders, encoder_type, num_ws)
        randomise(theirs, seed=0)
        state = theirs.state_dict()
        shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
        expected = encoder_specs(shapes) or {}
        if {name: spec.shape for name, spec in expected.items()} != shapes:
            raise SystemExit(f"{encoder_type}: names or shapes are not those of the reference")
        ours = load_encoder(encoder_type, state)
        generator = torch.Generator().manual_seed(1)
        size = (count, 3, INPUT_SIZE, INPUT_SIZE)
        pictures = torch.rand(size, generator=generator) * 2 - 1
        with torch.no_grad():
            start = time.perf_counter()
            reference = theirs(pictures)
            middle = time.perf_counter()
            codes = ours(pictures)
            end = time.perf_counter()
    return Comparison(
        float((codes - reference).abs().max()),
        float(reference.max() - reference.min()),
        end - middle,
        middle - start,
    )


def golden(
    directory: Path, encoder_type: str, tensors: Mapping[str, Tensor], pictures: Tensor
) -> Tensor:
    """Codes that the reference's own layers give with narrower widths.

    Args:
        directory: checkout of the reference.
        encoder_type: "e4e" or "psp".
        tensors: of a narrow encoder, in the reference's names.
        pictures: (B, 3, 256, 256) in [-1, 1].
    """
    layout = layout_of({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if layout is None:
        raise SystemExit("no encoder's tensors")
    with reference_modules(directory) as encoders:
        net = narrow(encoders, encoder_type, layout)
        net.load_state_dict(dict(tensors))
        with torch.no_grad():
            codes: Tensor = net.eval()(pictures)
            return codes


@contextmanager
def reference_modules(directory: Path) -> Iterator[ModuleType]:
    """The reference's module of encoders; its compiled operators are stood in for, as encoders
    do not use them."""
    before = set(sys.modules)
    operators = ModuleType("models.stylegan2.op")
    for name in ("FusedLeakyReLU", "fused_leaky_relu", "upfirdn2d"):
        setattr(operators, name, None)
    sys.modules[operators.__name__] = operators
    sys.path.insert(0, str(directory))
    try:
        yield importlib.import_module("models.encoders.psp_encoders")
    finally:
        sys.path.remove(str(directory))
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "models":
                del sys.modules[name]


def published(encoders: ModuleType, encoder_type: str, num_ws: int) -> nn.Module:
    options = SimpleNamespace(stylegan_size=2 ** (num_ws // 2 + 1), n_styles=num_ws, input_nc=3)
    net: nn.Module = getattr(encoders, CLASSES[encoder_type])(50, "ir_se", options).eval()
    return net


def narrow(encoders: ModuleType, encoder_type: str, layout: Any) -> nn.Module:
    """The reference's class around layers of other widths than those written into it."""
    kind = getattr(encoders, CLASSES[encoder_type])
    net: Any = kind.__new__(kind)
    nn.Module.__init__(net)
    widths, w_dim = layout.widths, layout.w_dim
    stem = widths.stem
    net.input_layer = nn.Sequential(
        nn.Conv2d(3, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem), nn.PReLU(stem)
    )
    blocks, channels = [], stem
    for count, depth, squeezed in zip(STAGES, widths.stages, widths.squeezed, strict=True):
        for number in range(count):
            block = encoders.bottleneck_IR_SE(channels, depth, 1 if number else 2)
            block.res_layer[5].fc1 = nn.Conv2d(depth, squeezed, 1, bias=False)
            block.res_layer[5].fc2 = nn.Conv2d(squeezed, depth, 1, bias=False)
            blocks.append(block)
            channels = depth
    net.body = nn.Sequential(*blocks)
    net.style_count, net.coarse_ind, net.middle_ind = layout.num_ws, COARSE, MIDDLE
    grids = [16 if i < COARSE else 32 if i < MIDDLE else 64 for i in range(layout.num_ws)]
    net.styles = nn.ModuleList(encoders.GradualStyleBlock(w_dim, w_dim, grid) for grid in grids)
    net.latlayer1 = nn.Conv2d(widths.stages[2], w_dim, 1)
    net.latlayer2 = nn.Conv2d(widths.stages[1], w_dim, 1)
    if encoder_type == "e4e":
        net.progressive_stage = encoders.ProgressiveStage.Inference
    return cast(nn.Module, net)


def randomise(net: nn.Module, seed: int) -> None:
    """Statistics and biases as a trained network has them, not the zeros and ones of a new one."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith(("running_mean", "bias")):
                tensor.normal_(0, 0.1, generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--e4e", type=Path, help="checkout of encoder4editing")
    parser.add_argument("--psp", type=Path, help="checkout of pixel2style2pixel")
    options = parser.parse_args()
    failed = False
    for encoder_type, directory in (("e4e", options.e4e), ("psp", options.psp)):
        if directory is None:
            continue
        found = compare(directory, encoder_type)
        failed |= found.relative > 1e-4
        print(
            f"{encoder_type}: largest difference {found.largest:.3g}, {found.relative:.3g} of the "
            f"range {found.spread:.4g} (limit 1e-4); {found.seconds:.2f} s, reference "
            f"{found.reference_seconds:.2f} s"
        )
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

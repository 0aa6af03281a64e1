"""Compares this project's StyleGAN2 and encoders with public implementations, on equal weights.

    python -m face_latents.lab.references.outputs \
        --rosinality DIR --nvidia DIR --e4e DIR --psp DIR

Each DIR is a checkout of the public repository: stylegan2-pytorch, stylegan2-ada-pytorch,
encoder4editing, pixel2style2pixel. Weights are random, pictures float32 on the CPU; the script
fails where a difference exceeds 1e-4 of the range of the reference's output.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...models.architectures.stylegan2.file import load
from ...models.architectures.stylegan2.layout import CLAMP, Layout, file_specs, usual_channels
from ...models.files.tensors import save_tensors
from .checks import Outputs, checks_parser, run_checks
from .encoders import compare_encoders
from .stylegan2 import Nvidia, Rosinality

PSI = 0.7
CUTOFF = 3  # layers
MAPPING_LAYERS = 8


def random_tensors(layout: Layout, seed: int, clamp: float | None = None) -> dict[str, Tensor]:
    """Weights as an untrained network has them, but biases and noise that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, spec in file_specs(layout, {}).items():
        value = torch.randn([int(n or 0) for n in spec.shape], generator=generator)
        if name.startswith("style."):
            value *= 100 if name.endswith("weight") else 10  # learning rate multiplier 0.01
        elif name.endswith("modulation.bias"):
            value = 1 + 0.1 * value
        elif name.endswith(("bias", "noise.weight")) or name == "latent_avg":
            value *= 0.2
        tensors[name] = value
    if clamp is not None:
        tensors[CLAMP] = torch.tensor([clamp])
    return tensors


def compare_rosinality(directory: Path, sizes: list[int]) -> Outputs:
    """W+ codes, and z with truncation, both configurations of each size; noise fixed."""
    for size in sizes:
        for multiplier in (2, 1):
            channels = usual_channels(size, multiplier)
            layout = Layout(size, 512, 512, MAPPING_LAYERS, 0, channels)
            tensors = random_tensors(layout, seed=size)
            ours, theirs = load(tensors), Rosinality(directory, tensors)
            name = f"rosinality, {size} px, channels x {multiplier}"
            codes, z = _inputs(layout)
            yield f"{name}, w+", ours.synthesize(codes), theirs.from_w_plus(codes)
            if multiplier == 1 and size == max(sizes):
                continue  # the mapping is that of the other configuration
            truncated = ours.truncate(ours.broadcast(ours.map(z)), PSI)
            yield f"{name}, z, psi {PSI}", ours.synthesize(truncated), theirs.from_z(z, PSI)


def compare_nvidia(directory: Path, sizes: list[int]) -> Outputs:
    """As for the other layout, and with classes, a limit of activations and a cutoff."""
    for size in sizes:
        base, classes = (32768, 0) if size == max(sizes) else (16384, 3)
        channels = tuple(min(base // side, 512) for side in _sides(size))
        layout = Layout(size, 512, 512, MAPPING_LAYERS, classes, channels)
        tensors = random_tensors(layout, seed=size, clamp=4.0 if classes else None)
        ours, theirs = load(tensors), Nvidia(directory, tensors, base=base, most=512)
        name = f"nvidia, {size} px" + (", classes, clamp" if classes else "")
        codes, z = _inputs(layout)
        yield f"{name}, w+", ours.synthesize(codes), theirs.from_w_plus(codes)
        labels = torch.tensor([1]) if classes else None
        truncated = ours.truncate(ours.broadcast(ours.map(z, labels)), PSI, CUTOFF)
        yield (
            f"{name}, z, psi {PSI}, first {CUTOFF} layers",
            ours.synthesize(truncated),
            theirs.from_z(z, PSI, CUTOFF, labels),
        )


def write_golden(file: Path, rosinality: Path, nvidia: Path) -> None:
    """Narrow weights, codes, and the pictures that the references make of them."""
    generator = torch.Generator().manual_seed(7)
    layout = Layout(32, 16, 16, 2, 0, (12, 10, 8, 6))
    codes = torch.randn(2, layout.num_ws, layout.w_dim, generator=generator)
    z = torch.randn(2, layout.z_dim, generator=generator)
    labels = torch.tensor([2, 0])
    tensors = random_tensors(layout, seed=1)
    plain = Rosinality(rosinality, tensors)
    golden = {f"rosinality.{name}": tensor for name, tensor in tensors.items()}
    golden["rosinality_w_plus"] = plain.from_w_plus(codes)
    golden["rosinality_z"] = plain.from_z(z, PSI)

    channels = tuple(min(128 // side, 12) for side in _sides(32))
    layout = replace(layout, classes=3, channels=channels)
    tensors = random_tensors(layout, seed=2, clamp=1.5)
    other = Nvidia(nvidia, tensors, base=128, most=12)
    golden |= {f"nvidia.{name}": tensor for name, tensor in tensors.items()}
    golden["nvidia_w_plus"] = other.from_w_plus(codes)
    golden["nvidia_z"] = other.from_z(z, PSI, CUTOFF, labels)
    golden |= {"codes": codes, "z": z, "labels": labels}
    save_tensors(file, golden, {"psi": str(PSI), "cutoff": str(CUTOFF)})


def _sides(size: int) -> list[int]:
    return [4 << step for step in range(size.bit_length() - 2)]


def _inputs(layout: Layout) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    codes = torch.randn(1, layout.num_ws, layout.w_dim, generator=generator)
    return codes, torch.randn(1, layout.z_dim, generator=generator)


def main() -> None:
    parser = checks_parser(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 256, 1024], metavar="PX")
    parser.add_argument("--golden", type=Path, metavar="FILE", help="write the tests' values")
    options = parser.parse_args()
    if options.golden is not None:
        with torch.no_grad():
            return write_golden(options.golden, options.rosinality, options.nvidia)
    run_checks(
        options,
        {
            "rosinality": lambda place: compare_rosinality(place, options.sizes),
            "nvidia": lambda place: compare_nvidia(place, options.sizes),
            "e4e": lambda place: compare_encoders(place, "e4e"),
            "psp": lambda place: compare_encoders(place, "psp"),
        },
    )


if __name__ == "__main__":
    main()

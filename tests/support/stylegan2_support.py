"""A small StyleGAN2 model with random weights, for tests: no trained ones can be shipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from face_latents.models.architectures.stylegan2.layout import CLAMP, EMBED, Layout, file_specs
from face_latents.models.face_model import save_face_model
from face_latents.models.geometry.templates import FFHQ


def small_layout(
    size: int = 64,
    *,
    dim: int = 512,
    width: int = 8,
    mapping_layers: int = 2,
    classes: int = 0,
) -> Layout:
    """Few channels: `width` at 32 px and above, a little more below."""
    steps = range(size.bit_length() - 2)
    channels = tuple(width + 4 * max(3 - step, 0) for step in steps)
    return Layout(size, dim, dim, mapping_layers, classes, channels)


def small_tensors(
    layout: Layout, seed: int = 0, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Random weights with the spread of untrained networks; noise and biases are not zero."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, spec in file_specs(layout, {}).items():
        shape = tuple(int(n or 0) for n in spec.shape)
        value = torch.randn(shape, generator=generator)
        if name.startswith("style."):
            value *= 100 if name.endswith("weight") else 10  # learning rate multiplier 0.01
        elif name.endswith("modulation.bias"):
            value = 1 + 0.1 * value
        elif name.endswith("bias") or name == "latent_avg" or name.startswith(EMBED):
            value *= 0.2
        elif name.endswith("noise.weight"):
            value = value.abs() * 0.1
        tensors[name] = value.to(dtype)
    return tensors


def small_model_file(
    path: str | Path,
    size: int = 64,
    *,
    dim: int = 512,
    width: int = 8,
    mapping_layers: int = 2,
    classes: int = 0,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    clamp: float | None = None,
    metadata: Mapping[str, str] | None = None,
    extra: Mapping[str, torch.Tensor] | None = None,
) -> Path:
    """Write a generator of few channels, without an encoder, and return its path.

    Args:
        path: a .safetensors file.
        size: side of its pictures, 32 to 1024.
        dim: numbers of a z and of a w code.
        width: channels at 32 px and above.
        mapping_layers: 2 or more.
        classes: labels of a class-conditional mapping, 0 for none.
        seed: which weights.
        dtype: as stored.
        clamp: limit of activations, where the network has one.
        metadata: entries to add or replace.
        extra: tensors to add or replace, e.g. an encoder's, by their name in the file.
    """
    layout = small_layout(
        size, dim=dim, width=width, mapping_layers=mapping_layers, classes=classes
    )
    tensors = small_tensors(layout, seed, dtype)
    if clamp is not None:
        tensors[CLAMP] = torch.tensor([clamp])
    tensors |= dict(extra or {})
    facts = {
        "name": f"Small StyleGAN2 {size}",
        "architecture": "stylegan2",
        "source_format": "rosinality",
        "licence": "random weights, free of rights",
        "source": "made by a test",
        **dict(metadata or {}),
    }
    save_face_model(path, tensors, facts, FFHQ.resized(size))
    return Path(path)

"""A small digit model of random numbers."""

from __future__ import annotations

import torch
from face_latents.models.architectures import digits

SIZES = {
    "latent": 12, "width": 4, "deep": 3, "hidden": 5, "hidden_up": 6, "deep_up": 4, "width_up": 3,
    "fine_up": 5, "axes": 7,
}  # fmt: skip


def tiny_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        name: torch.rand(tuple(spec.shape), generator=generator).half() - 0.5
        for name, spec in digits.specs(SIZES).items()
    }
    tensors["digits.std"] += 0.75
    return tensors

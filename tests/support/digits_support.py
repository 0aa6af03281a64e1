"""A small digit model of random numbers."""

from __future__ import annotations

import torch
from face_latents.models.architectures import digits


def tiny_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    encoder = digits.DigitEncoder(12, width=4, deep=3, hidden=5)
    net = digits.DigitNet(encoder, digits.DigitGenerator(12, 6, 4, 3, 5), axes=7)
    tensors = {
        f"digits.{name}": torch.rand(tensor.shape, generator=generator).half() - 0.5
        for name, tensor in net.state_dict().items()
    }
    tensors["digits.std"] += 0.75
    return tensors

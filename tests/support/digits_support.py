"""Seven-segment digits, for trainings in a few steps, and a small digit model of random numbers."""

from __future__ import annotations

import torch
from face_latents.models.architectures import digits

# top, upper right, lower right, bottom, lower left, upper left, middle
SEGMENTS = ("012345", "12", "01346", "01236", "1256", "02356", "023456", "012", "0123456", "012356")
BOXES = ((4, 9, 2, 10), (5, 17, 9, 2), (14, 17, 9, 2), (21, 9, 2, 10), (14, 9, 9, 2), (5, 9, 9, 2),
         (12, 9, 2, 10))  # fmt: skip


def drawn_digits(count: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Seven-segment digits of two widths, `(N, 1, 28, 28)` uint8, labels `(N,)`."""
    labels = torch.arange(count) % 10
    pictures = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
    for number, label in enumerate(labels.tolist()):
        for segment in SEGMENTS[label]:
            top, left, height, width = BOXES[int(segment)]
            more = number // 10 % 2
            pictures[number, 0, top : top + height + more, left : left + width + more] = 255
    return pictures, labels


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

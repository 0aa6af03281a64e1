"""Seven-segment digits, for trainings of the digits models in a few steps."""

from __future__ import annotations

import torch

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

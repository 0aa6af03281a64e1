"""Seven-segment digits, for trainings in a few steps, and a small digit model of random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from face_latents.lab.training.digits.export import save_digits
from face_latents.models.architectures import digits
from face_latents.models.architectures.statistics import CodeStatistics
from PIL import Image

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


def gan_of_digits(file: Path) -> None:
    """A file as `face-latents train digits-gan` writes it, with random weights."""
    torch.manual_seed(0)
    zeros, ones = torch.zeros(100), torch.ones(100)
    prior = CodeStatistics(zeros, ones, torch.zeros(10, 100), torch.eye(100))
    encoder = digits.DigitEncoder(100, 8, 8, 32)
    torch.nn.init.normal_(encoder.code.weight, std=2)  # codes that tell pictures apart
    net = digits.digit_net(encoder, digits.DigitGenerator(100, 32, 8, 8, 8), prior)
    save_digits(file, net, {"name": "Digits GAN"})


def labelled_digits(folder: Path, names: Sequence[str]) -> torch.Tensor:
    """Six drawn digits of each of the first labels in a folder each; returns them as IMAGE."""
    pictures, labels = drawn_digits(60)
    for number, label in enumerate(labels.tolist()):
        if label < len(names):
            place = folder / names[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pictures[number, 0].numpy()).save(place / f"{number}.png")
    chosen = pictures[labels < len(names)].float() / 255
    return chosen.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous()

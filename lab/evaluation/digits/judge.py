"""The digit judge: a held-out classifier that says which digit a picture shows.

It never takes part in training the digits model: its network, its seed and its augmentation are
its own, and the digits model's training uses another reader. Trained on MNIST's training digits.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.files.tensors import TensorSpec, load_tensors, save_tensors
from ...data.digits import ATTRIBUTION, LICENCE, read_mnist
from ...weights import lab_weights

_BATCH = 100
_PEAK_RATE = 3e-3
_SEED = 90125  # another one than the model's


class DigitJudge(nn.Module):
    """(B, 1 or 3, 28, 28) in [0, 1] -> logits (B, 10); three channels are averaged."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, width, 5, stride=2, padding=2)  # 14 x 14
        self.second = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.third = nn.Conv2d(2 * width, 4 * width, 3, padding=1)  # 7 x 7 after pooling
        self.fourth = nn.Conv2d(4 * width, 4 * width, 3)  # 5 x 5
        self.head = nn.Linear(4 * width * 4, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        x = pictures.mean(1, keepdim=True)
        x = F.relu(self.first(x))
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        x = F.relu(self.third(x))
        x = F.relu(self.fourth(x))
        x = F.dropout(F.adaptive_max_pool2d(x, 2).flatten(1), 0.3, self.training)
        scores: Tensor = self.head(x)
        return scores


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """(N, 1, 28, 28) turned by up to 12 degrees, scaled by 12%, sheared and shifted by 2 px."""
    count = len(pictures)

    def uniform(reach: float) -> Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * reach

    angle, shear = uniform(math.radians(12)), uniform(0.15)
    wide, high = 1 + uniform(0.12), 1 + uniform(0.12)
    theta = torch.stack(
        [
            torch.stack([angle.cos() * wide, shear - angle.sin(), uniform(2 / 14)], 1),
            torch.stack([angle.sin(), angle.cos() * high, uniform(2 / 14)], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def train_digit_judge(
    pictures: Tensor,
    labels: Tensor,
    *,
    epochs: float = 4.0,
    seed: int = _SEED,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> DigitJudge:
    """Fit a judge to digits (N, 1, 28, 28) uint8 with labels (N,)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = DigitJudge().train()
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.AdamW(judge.parameters(), lr=_PEAK_RATE, weight_decay=1e-2)
        steps = max(1, round(epochs * len(pictures) / _BATCH))
        order = torch.empty(0, dtype=torch.long)
        for step in range(steps):
            share = step / steps
            warm = min(1.0, (step + 1) / min(200, 1 + steps // 10))
            rate = _PEAK_RATE * warm * (0.005 + 0.995 * (1 - share) ** 1.5)
            for group in optimizer.param_groups:
                group["lr"] = rate
            if len(order) < _BATCH:
                order = torch.cat([order, torch.randperm(len(pictures), generator=generator)])
            chosen, order = order[:_BATCH], order[_BATCH:]
            batch = augmented(pictures[chosen].float() / 255, generator)
            loss = F.cross_entropy(judge(batch), labels[chosen], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            progress("digit judge", step + 1, steps)
    return judge.eval().requires_grad_(False)


def accuracy(judge: nn.Module, pictures: Tensor, labels: Tensor, batch: int = 500) -> float:
    """Share of pictures (N, C, 28, 28), uint8 or in [0, 1], read as their label."""
    right = 0
    with torch.no_grad():
        for part, wanted in zip(pictures.split(batch), labels.split(batch), strict=True):
            values = part.float() / 255 if part.dtype == torch.uint8 else part
            right += int((judge(values).argmax(1) == wanted).sum())
    return right / len(labels)


def make_digit_judge(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    epochs: float = 4.0,
    download: bool = True,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> DigitJudge:
    """Train a judge on MNIST's training digits, measure it on the test digits, write it."""
    pictures, labels = read_mnist(data_dir, train=True, download=download)
    judge = train_digit_judge(pictures, labels, epochs=epochs, progress=progress)
    unseen = read_mnist(data_dir, train=False, download=download)
    metadata = {
        "name": "Digit judge",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "training_data": "60,000 MNIST training digits, moved at random",
        "intended_use": "Measuring the digits model only.",
        "metrics": json.dumps({"test_accuracy": accuracy(judge, *unseen), "epochs": epochs}),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()}
    save_tensors(out_file, tensors, metadata)
    return load_digit_judge(out_file)


def load_digit_judge(path: str | Path | None = None) -> DigitJudge:
    """Load a judge; None loads the bundled one.

    Raises:
        UnsupportedModelError: the file is not a digit judge.
    """
    judge = DigitJudge()
    expect = {name: TensorSpec(tuple(t.shape)) for name, t in judge.state_dict().items()}
    tensors, _ = load_tensors(bundled_digit_judge_path() if path is None else path, expect=expect)
    judge.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return judge.eval().requires_grad_(False)


def bundled_digit_judge_path() -> Path:
    """The digit judge that ships with the package."""
    return lab_weights("digit_judge.safetensors")

"""Training of the held-out digit classifier (`lab/evaluation/digits/classifier.py`)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.files.tensors import save_tensors
from ...data.digits import ATTRIBUTION, LICENCE, read_mnist
from ...evaluation.digits.classifier import DigitClassifier, load_digit_classifier

_BATCH = 100
_PEAK_RATE = 3e-3
_SEED = 90125  # another one than the model's


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """`(N, 1, 28, 28)` turned by up to 12 degrees, scaled by 12%, sheared and shifted by 2 px."""
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


def train_digit_classifier(
    pictures: Tensor,
    labels: Tensor,
    *,
    epochs: float,
    progress: Callable[[str, int, int], None],
) -> DigitClassifier:
    """Fit a classifier to digits `(N, 1, 28, 28)` uint8 with labels `(N,)`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        classifier = DigitClassifier().train()
        generator = torch.Generator().manual_seed(_SEED)
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=_PEAK_RATE, weight_decay=1e-2)
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
            loss = F.cross_entropy(classifier(batch), labels[chosen], label_smoothing=0.02)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            progress("digit classifier", step + 1, steps)
    return classifier.eval().requires_grad_(False)


def accuracy(classifier: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Share of pictures `(N, C, 28, 28)` uint8 that are read as their label."""
    with torch.no_grad():
        found = [classifier(part.float() / 255).argmax(1) for part in pictures.split(500)]
    return float((torch.cat(found) == labels).double().mean())


def make_digit_classifier(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    epochs: float = 4.0,
    download: bool = True,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> DigitClassifier:
    """Train a classifier on MNIST's training digits, measure it on the test digits, write it."""
    pictures, labels = read_mnist(data_dir, train=True, download=download)
    classifier = train_digit_classifier(pictures, labels, epochs=epochs, progress=progress)
    unseen = read_mnist(data_dir, train=False, download=download)
    metadata = {
        "name": "Digit judge",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "training_data": "60,000 MNIST training digits, moved at random",
        "intended_use": "Measuring the digits model only.",
        "metrics": json.dumps({"test_accuracy": accuracy(classifier, *unseen), "epochs": epochs}),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in classifier.state_dict().items()}
    save_tensors(out_file, tensors, metadata)
    return load_digit_classifier(out_file)

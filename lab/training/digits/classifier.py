"""Training of the held-out digit classifier (`lab/evaluation/digits/classifier.py`)."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.files.tensors import save_tensors
from ...data.digits import ATTRIBUTION, LICENCE, read_mnist
from ...evaluation.digits.classifier import DigitClassifier
from ..classifier import batches
from ..loop import Progress, Run, Session, Stage, silent
from ..optimise import descend, set_rate

_BATCH = 100
_PEAK_RATE = 3e-3
_SEED = 90125  # another one than the model's


def move_digits(pictures: Tensor, generator: torch.Generator) -> Tensor:
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


@dataclass(frozen=True)
class DigitClassifierTraining:
    """How long the digit classifier is trained."""

    epochs: Annotated[float, "rounds through the training digits"] = 4.0
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "go on from the state beside the file where there is one"] = True
    download: Annotated[bool, "fetch MNIST when it is missing"] = True


def train_digit_classifier(
    data_dir: str | Path,
    out_file: str | Path,
    settings: DigitClassifierTraining,
    *,
    progress: Progress = silent,
) -> dict[str, str]:
    """Train a classifier on MNIST's training digits, measure it on the test digits, write it.

    Returns:
        The file's metadata.

    Raises:
        FaceLatentsError: the data is missing and cannot be downloaded.
        Paused: the minutes are over.
    """
    session, out_file = Session.start(settings.resume, settings.minutes, progress), Path(out_file)
    pictures, labels = read_mnist(data_dir, train=True, download=settings.download)
    unseen = read_mnist(data_dir, train=False, download=settings.download)
    steps = max(1, round(settings.epochs * len(pictures) / _BATCH))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        classifier = DigitClassifier().train()
        optimiser = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
        modules, optimisers = {"classifier": classifier}, {"classifier": optimiser}
        run = Run(out_file.with_suffix(""), modules, optimisers, session)
        seed = _SEED + run.done.get("digit classifier", 0)
        generator = torch.Generator().manual_seed(seed)
        chosen = batches(len(pictures), _BATCH, generator)

        def step(done: int, share: float) -> dict[str, Tensor]:
            warm = min(1.0, (done + 1) / min(200, 1 + steps // 10))
            set_rate(optimiser, _PEAK_RATE * warm * (0.005 + 0.995 * (1 - share) ** 1.5))
            index = next(chosen)
            batch = move_digits(pictures[index].float() / 255, generator)
            loss = F.cross_entropy(classifier(batch), labels[index], label_smoothing=0.02)
            descend(optimiser, loss)
            return {"loss": loss}

        run.advance(Stage("digit classifier", step, steps))
    classifier.eval()
    metadata = {
        "name": "Digit judge",
        "licence": LICENCE,
        "attribution": ATTRIBUTION,
        "training_data": "60,000 MNIST training digits, moved at random",
        "intended_use": "Measuring the digits model only.",
        "metrics": json.dumps(
            {"test_accuracy": accuracy(classifier, *unseen), "epochs": settings.epochs}
        ),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in classifier.state_dict().items()}
    save_tensors(out_file, tensors, metadata)
    return metadata


def accuracy(classifier: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    """Share of pictures `(N, C, 28, 28)` uint8 that are read as their label."""
    with torch.no_grad():
        found = [classifier(part.float() / 255).argmax(1) for part in pictures.split(500)]
    return float((torch.cat(found) == labels).double().mean())

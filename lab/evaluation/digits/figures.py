"""How good the digits model is: reconstruction, labels, random digits, turned digits, damage.

Everything is measured on MNIST's test digits with the held-out judge. What is done with its label
basis is measured in `lsd`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....latent_ops import class_means, complete_basis, quasi_eigenvectors, rotate
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ...data.digits import read_mnist
from ..lsd.bench import Bench
from ..lsd.measures import ssim
from ..lsd.noise import NOISES
from .encoders import load_clean_digits
from .judge import load_digit_judge

CLASSES = 10
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DigitsEvaluation:
    """How many digits are measured."""

    limit: Annotated[int, "test digits to use"] = 10_000
    basis_codes: Annotated[int, "training digits that give the class means"] = 20_000
    seed: Annotated[int, "of random digits and noise"] = 0
    download: Annotated[bool, "fetch MNIST when it is missing"] = True


def evaluate_digits(
    data_dir: str | Path,
    settings: DigitsEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure the digits model.

    Args:
        data_dir: root of `torchvision.datasets.MNIST`.
        settings: see there.
        model: None takes the bundled model, and measures its clean encoder beside it.
        progress: called with (stage, done, total).

    Returns:
        Per encoder (`bundled`, `clean_encoder`) the figures of `measure`.
    """
    judge = load_digit_judge()
    models = {"bundled": model or load_face_model(bundled_digits_model_path())}
    if model is None:
        models["clean_encoder"] = load_clean_digits(models["bundled"])
    train = read_mnist(data_dir, train=True, download=settings.download)
    test = read_mnist(data_dir, train=False, download=settings.download)
    test = _part(*test, settings.limit)
    result: dict[str, object] = {"test_digits": len(test[1]), "seed": settings.seed}
    for number, (name, one) in enumerate(models.items()):
        progress("digits", number, len(models))
        result[name] = measure(
            Bench(one, judge), _part(*train, settings.basis_codes), test, settings.seed
        )
    return result


def measure(
    bench: Bench,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seed: int,
    drawn: int = 200,
) -> dict[str, object]:
    """Figures of one model.

    Args:
        bench: the model and the judge.
        train, test: pictures `(N, 1, 28, 28)` in [0, 1] and labels `(N,)`, all digits among them.
        seed: of random digits and noise.
        drawn: random digits of each label.
    """
    pictures, labels = test
    codes = bench.encode(pictures)
    decoded = bench.decode(codes)
    known = bench.encode(train[0])
    axes = quasi_eigenvectors(class_means(known, train[1], CLASSES))
    coefficients = codes @ complete_basis(axes, codes=known).T
    noisy = {
        f"{noise.kind} {noise.level}": _share(
            bench.labels(bench.decode(bench.encode(noise(pictures, seed)))), labels
        )
        for noise in NOISES
    }
    return {
        "reconstruction": {
            "psnr": float(psnr(decoded, pictures).mean()),
            "ssim": float(ssim(decoded, pictures).mean()),
            "accuracy": _share(bench.labels(decoded), labels),
        },
        "basis": {
            "signed_accuracy": _share(coefficients[:, :CLASSES].argmax(1), labels),
            "magnitude_accuracy": _share(coefficients.abs().argmax(1), labels),
            "in_label_slots": float((coefficients.abs().argmax(1) < CLASSES).float().mean()),
            "label_vectors_right": _share(
                bench.labels(bench.decode(axes * known.norm(dim=1).mean())), torch.arange(CLASSES)
            ),
        },
        "random_digits": _random_digits(bench, seed, drawn),
        "turned": turned(bench, codes, labels, axes),
        "decode_of_damaged_accuracy": noisy,
    }


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal to noise ratio of each pair in dB, `(N,)`, for values in [0, 1]."""
    return -10 * (a - b).square().mean((1, 2, 3)).clamp_min(1e-10).log10()


def turned(
    bench: Bench, codes: Tensor, labels: Tensor, axes: Tensor, each: int = 100
) -> dict[str, float]:
    """Success of turning digits of label i by 90 degrees into label j, over all pairs.

    Args:
        bench: decodes and reads.
        codes, labels: `(N, d)`, `(N,)`; the first `each` of every label are turned.
        axes: `(10, d)` label vectors.

    Returns:
        `mean` and `least` over the 90 pairs.
    """
    rates = []
    for source in range(CLASSES):
        own = codes[labels == source][:each]
        for target in range(CLASSES):
            if source != target and len(own):
                moved = bench.decode(rotate(own, axes[source], axes[target], math.pi / 2))
                rates.append(float((bench.labels(moved) == target).float().mean()))
    return {"mean": sum(rates) / len(rates), "least": min(rates)}


def _random_digits(bench: Bench, seed: int, each: int) -> dict[str, float]:
    """Share of random digits that the judge reads as the label that was drawn."""
    statistics = bench.model.statistics
    if statistics is None:
        return {}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(each)
    normal = torch.randn(len(labels), len(statistics.spread), generator=generator)
    style = normal @ statistics.spread
    return {
        f"accuracy_psi_{psi}": _share(
            bench.labels(bench.decode(statistics.centres[labels] + psi * style)), labels
        )
        for psi in (0.7, 1.0)
    }


def _share(found: Tensor, wanted: Tensor) -> float:
    return float((found == wanted).float().mean())


def _part(pictures: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return pictures[:count].float() / 255, labels[:count]

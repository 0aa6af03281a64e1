"""How good the digits model is: reconstruction, labels, random digits, turned digits, damage.

Everything is measured on MNIST's test digits with the held-out classifier. What is done with the
model's label basis is measured in `lsd`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....latent_ops import class_means, complete_basis, quasi_eigenvectors, rotate
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ...data.digits import read_mnist
from ..lsd.denoise import likeness
from ..lsd.model import Digits, MeasuredModel, Progress
from ..lsd.noise import NOISES
from .classifier import load_digit_classifier
from .encoders import load_clean_digits

CLASSES = 10


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
    classifier = load_digit_classifier()
    models = {"bundled": model or load_face_model(bundled_digits_model_path())}
    if model is None:
        models["clean_encoder"] = load_clean_digits(models["bundled"])
    train, test = (
        Digits(pictures[:count].float() / 255, labels[:count])
        for count, (pictures, labels) in (
            (settings.basis_codes, read_mnist(data_dir, train=True, download=settings.download)),
            (settings.limit, read_mnist(data_dir, train=False, download=settings.download)),
        )
    )
    result: dict[str, object] = {"test_digits": len(test), "seed": settings.seed}
    for number, (name, one) in enumerate(models.items()):
        progress("digits", number, len(models))
        result[name] = measure(MeasuredModel(one, classifier), train, test, settings.seed)
    return result


def measure(
    model: MeasuredModel, train: Digits, test: Digits, seed: int, each: int = 200
) -> dict[str, object]:
    """Figures of one model.

    Args:
        model: with the classifier.
        train, test: all labels among them.
        seed: of random digits and noise.
        each: random digits of each label.
    """
    codes, known = model.encode(test.pictures), model.encode(train.pictures)
    axes = quasi_eigenvectors(class_means(known, train.labels, CLASSES))
    coefficients = codes @ complete_basis(axes, codes=known).T
    largest = coefficients.abs().argmax(1)
    along = model.decode(axes * known.norm(dim=1).mean())
    return {
        "reconstruction": likeness(model, model.decode(codes), test),
        "basis": {
            "signed_accuracy": _share(coefficients[:, :CLASSES].argmax(1), test.labels),
            "magnitude_accuracy": _share(largest, test.labels),
            "in_label_slots": float((largest < CLASSES).float().mean()),
            "label_vectors_right": _share(model.labels(along), torch.arange(CLASSES)),
        },
        "random_digits": _random_digits(model, seed, each),
        "turned": turned(model, codes, test.labels, axes),
        "decode_of_damaged_accuracy": {
            f"{noise.kind} {noise.level}": _share(
                model.labels(model.decode(model.encode(noise(test.pictures, seed)))), test.labels
            )
            for noise in NOISES
        },
    }


def turned(
    model: MeasuredModel, codes: Tensor, labels: Tensor, axes: Tensor, each: int = 100
) -> dict[str, float]:
    """Success of turning digits of label i by 90 degrees into label j, over all pairs.

    Args:
        model: decodes and labels.
        codes, labels: `(N, d)`, `(N,)`; the first `each` of every label are turned.
        axes: `(10, d)` label vectors.

    Returns:
        `mean` and `least` over the 90 pairs.
    """
    rates = []
    for source in range(CLASSES):
        known = codes[labels == source][:each]
        for target in range(CLASSES):
            if source != target and len(known):
                moved = model.decode(rotate(known, axes[source], axes[target], math.pi / 2))
                rates.append(float((model.labels(moved) == target).float().mean()))
    return {"mean": sum(rates) / len(rates), "least": min(rates)}


def _random_digits(model: MeasuredModel, seed: int, each: int) -> dict[str, float]:
    """Share of random digits that the classifier reads as the label that was drawn."""
    statistics = model.model.capabilities.mixture
    if statistics is None:
        return {}
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(each)
    normal = torch.randn(len(labels), len(statistics.spread), generator=generator)
    style = normal @ statistics.spread
    return {
        f"accuracy_psi_{psi}": _share(
            model.labels(model.decode(statistics.centres[labels] + psi * style)), labels
        )
        for psi in (0.7, 1.0)
    }


def _share(found: Tensor, wanted: Tensor) -> float:
    return float((found == wanted).float().mean())

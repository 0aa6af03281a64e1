"""How good random digits are: read surely, of every class, of every writer, like real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from .classifier import DigitClassifier

NEIGHBOURS = 5  # as Naeem et al. have it; more make every generator look complete


def generator_quality(
    generated: Tensor, real: Tensor, reference: Tensor, classifier: DigitClassifier
) -> dict[str, object]:
    """Figures of generated digits, and the same of real ones, as a yardstick.

    Args:
        generated: `(N, 1, 28, 28)` in [0, 1].
        real: `(N, 1, 28, 28)`, digits that took no part in training.
        reference: `(N, 1, 28, 28)`, other real digits, measured as if they were generated.
        classifier: held out.

    Returns:
        For `generated` and `reference`, each: `confidence`, the mean probability of the likeliest
        class; `classes`, the share of each class; `coverage`, the share of real digits that have a
        generated one nearer than their fifth nearest real one (Naeem et al. 2020): what part of
        the writers' ways is met; `frechet`, the Fréchet distance of the features from those of
        `real`.
    """
    known = _features(classifier, real)
    radii = torch.cdist(known, known).kthvalue(NEIGHBOURS + 1, dim=1).values  # the first is itself
    result: dict[str, object] = {"digits": len(generated)}
    for name, pictures in (("generated", generated), ("reference", reference)):
        features = _features(classifier, pictures)
        with torch.no_grad():
            probabilities = classifier.head(features).softmax(1)
        classes = torch.bincount(probabilities.argmax(1), minlength=probabilities.shape[1])
        met = torch.cdist(known, features).min(1).values <= radii
        result[name] = {
            "confidence": round(float(probabilities.amax(1).mean()), 4),
            "classes": [round(share, 4) for share in (classes / len(features)).tolist()],
            "coverage": round(float(met.double().mean()), 4),
            "frechet": round(frechet_distance(features, known), 3),
        }
    return result


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of normal distributions fitted to features `(N, d)` and `(M, d)`."""
    a, b = a.double(), b.double()
    shift = (a.mean(0) - b.mean(0)).square().sum()
    first, second = torch.cov(a.T), torch.cov(b.T)
    values, axes = torch.linalg.eigh(first)
    root = (axes * values.clamp(min=0).sqrt()) @ axes.T
    # the trace of (first second)^(1/2), by a product that is symmetric
    both = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    return float(shift + first.trace() + second.trace() - 2 * both)


def _features(classifier: DigitClassifier, pictures: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([classifier.features(part) for part in pictures.split(500)])

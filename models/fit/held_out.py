"""Held-out figures of a fit: accuracy or correlation, its interval, and the learning curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import latent_ops
from ..errors import FaceLatentsError
from .intervals import balanced_count, correlation_interval, cross_validated_count, wilson_interval
from .plan import FitPlan, FitSettings

RISING = 0.02  # gain of accuracy from half of the photos to all of them
_CURVE = (5, 10, 20, 40, 80, 160, 320)  # photos per group


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What `FitReport` says of held-out photos, under the same names.

    `figure` is its accuracy, `scores` its held_out.
    """

    figure: float | None
    interval: tuple[float, float]
    folds: int
    scores: Tensor
    targets: Tensor
    curve: Mapping[int, float]
    rising: bool


def hold_out_groups(plan: FitPlan, labels: Tensor, settings: FitSettings) -> HeldOut:
    """Cross-validate a fit to two groups; the figure is their balanced accuracy.

    Args:
        plan: the fit and its rows.
        labels: `(N,)` bool.
        settings: folds and seed.
    """
    without, with_ = int((~labels).sum()), int(labels.sum())
    folds = min(settings.folds, without, with_)
    if folds < 2:
        return HeldOut(None, (0.0, 1.0), 0, torch.zeros(0), labels, {}, False)
    fold_of = latent_ops.stratified_folds(labels, folds, settings.seed)
    scores = latent_ops.held_out_scores(plan.rows, labels, plan.fit, fold_of)
    accuracy = balanced_accuracy(scores, labels)
    # every fold is fitted to at least this many photos of each group
    most = min(without, with_) - -(-min(without, with_) // folds)
    sizes = [size for size in _CURVE if size <= 0.75 * most]
    if most >= 2 * _CURVE[0] and most // 2 not in sizes:
        sizes = sorted({*sizes, most // 2})
    rows = latent_ops.learning_curve(plan.rows, labels, plan.fit, fold_of, sizes, settings.seed)
    curve = {n: balanced_accuracy(row, labels) for n, row in zip(sizes, rows, strict=True)}
    rising = False
    if most // 2 in sizes:
        rising = still_rising(rows[sizes.index(most // 2)], scores, labels)
    return HeldOut(
        accuracy,
        wilson_interval(accuracy, cross_validated_count(balanced_count(without, with_), folds)),
        folds,
        scores,
        labels,
        {**curve, most: accuracy},
        rising,
    )


def hold_out_scores(plan: FitPlan, scores: Tensor, settings: FitSettings) -> HeldOut:
    """Cross-validate a fit to scores; the figure is the correlation of predictions with them.

    Args:
        plan: the fit and its rows.
        scores: `(N,)` float64.
        settings: folds and seed.

    Raises:
        FaceLatentsError: scores that are all equal outside a fold.
    """
    folds = min(settings.folds, len(scores) // 2)
    if folds < 2:
        return HeldOut(None, (-1.0, 1.0), 0, torch.zeros(0), scores, {}, False)
    together = torch.zeros(len(scores), dtype=torch.int64)
    fold_of = latent_ops.stratified_folds(together, folds, settings.seed)
    try:
        predicted = latent_ops.held_out_predictions(plan.rows, scores, plan.fit, fold_of).double()
    except ValueError as error:
        raise FaceLatentsError(
            f"The scores vary too little to hold photos back: {error} Score more photos, or more "
            "differently."
        ) from error
    varies = float(predicted.std()) > 0
    figure = float(torch.corrcoef(torch.stack([predicted, scores]))[0, 1]) if varies else 0.0
    figure = min(1.0, max(-1.0, figure))
    interval = correlation_interval(figure, cross_validated_count(len(scores), folds))
    return HeldOut(figure, interval, folds, predicted, scores, {}, False)


def balanced_accuracy(scores: Tensor, labels: Tensor) -> float:
    """Mean of the shares of each group on its own side of 0; a score of 0 counts as wrong."""
    right = torch.where(labels, scores > 0, scores < 0).double()
    return float((right[labels].mean() + right[~labels].mean()) / 2)


def still_rising(half: Tensor, full: Tensor, labels: Tensor) -> bool:
    """True where fits to all photos beat fits to half of them by more than chance would.

    Args:
        half, full: `(N,)` held-out scores of the two.
        labels: `(N,)` bool.
    """
    before = torch.where(labels, half > 0, half < 0)
    after = torch.where(labels, full > 0, full < 0)
    count = len(labels)
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    gain = (won - lost) / count
    # of the difference of two shares of the same items (McNemar 1947)
    error = max(0.0, (won + lost) - (won - lost) ** 2 / count) ** 0.5 / count
    return gain >= RISING and gain > error

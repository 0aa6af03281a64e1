"""What a quasi-eigen basis is worth: conditioning, one-to-one map, the readings of "98%"."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ....latent_ops import classify, conditioning, label_rank, reconstruct, strongest_vector
from .bases import MeasuredBasis
from .model import MeasuredModel


def basis_facts(
    basis: MeasuredBasis, model: MeasuredModel, codes: Tensor, length: float
) -> dict[str, object]:
    """Figures of the basis itself.

    Args:
        basis: whose figures.
        model: decodes the label vectors and labels the pictures.
        codes: `(N, d)`, for the error of decompose and reconstruct.
        length: the label vectors are decoded at this length, on both sides of the mean.

    Returns:
        rank, condition (of the orthonormal vectors), raw_condition (before), the number of label
        vectors that decode to their own label and the labels of both signs, and the largest
        relative error of a reconstruction from all coefficients.
    """
    found, raw = conditioning(basis.vectors), conditioning(basis.raw)
    plus, minus = model.labels(model.decode(signed_codes(basis, length))).chunk(2)
    again = reconstruct(basis.coefficients(codes), basis.vectors, basis.mean)
    error = (again - codes).norm(dim=1) / codes.norm(dim=1).clamp(min=1e-12)
    labels = torch.arange(basis.labels)
    return {
        "rank": found.rank,
        "condition": found.condition,
        "orthogonality_error": found.orthogonality_error,
        "raw_condition": raw.condition,
        "labels_one_to_one": int((plus == labels).sum()),
        "minus_keeps_label": int((minus == labels).sum()),
        "plus_decodes_to": plus.tolist(),
        "minus_decodes_to": minus.tolist(),
        "reconstruction_error": float(error.max()),
    }


def signed_codes(basis: MeasuredBasis, length: float) -> Tensor:
    """`(2 K, d)`: plus every label vector at `length` from the mean, then minus every one."""
    along = basis.vectors[: basis.labels] * length
    codes = torch.cat([along, -along])
    return codes if basis.mean is None else codes + basis.mean


def readings(basis: MeasuredBasis, codes: Tensor, labels: Tensor) -> dict[str, object]:
    """Three readings of "98% of the data map to a sub-domain of K dimensions", and accuracy.

    They answer different questions and are never merged.

    Args:
        basis: k vectors, those of the K labels first.
        codes: `(N, d)`.
        labels: true labels `(N,)`.

    Returns:
        in_label_slots: share of digits whose largest `|c|` of all k lies among the first K
        (1 - the "gibberish" rate). rank_cumulative: for r = 1 .. k, the share of digits whose
        true label's `|c|` is among the r largest of all k. energy: mean share of the squared
        length in the first K coefficients. classifier_accuracy, by the basis's own rule, and
        accuracy_by_rule.
    """
    coefficients, count = basis.coefficients(codes), basis.labels
    rank = label_rank(coefficients, labels)  # 1: the largest
    curve = torch.bincount(rank - 1, minlength=coefficients.shape[1]).cumsum(0) / len(labels)
    strongest = strongest_vector(coefficients)
    squares = coefficients.double().square()
    energy = squares[:, :count].sum(1) / squares.sum(1).clamp(min=1e-30)
    rules = {
        "largest_magnitude_of_all": strongest,
        "largest_magnitude_of_labels": classify(coefficients, count, "magnitude"),
        "largest_signed_of_labels": classify(coefficients, count, "signed"),
    }
    accuracy = {name: _share(found == labels) for name, found in rules.items()}
    rule = "largest_signed_of_labels" if basis.signed else "largest_magnitude_of_all"
    return {
        "in_label_slots": _share(strongest < count),
        "rank_cumulative": [round(float(value), 4) for value in curve],
        "energy": round(float(energy.mean()), 4),
        "classifier_accuracy": accuracy[rule],
        "accuracy_by_rule": accuracy,
    }


def side_by_side(sides: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Figures by side, `{side: {key: value}}`, turned to `{key: {side: value}}`."""
    keys = next(iter(sides.values()))
    return {key: {side: figures[key] for side, figures in sides.items()} for key in keys}


def _share(found: Tensor) -> float:
    return round(float(found.double().mean()), 4)

"""What a quasi-eigen basis is worth: conditioning, one-to-one map, the readings of "98%"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....latent_ops import (
    classify,
    conditioning,
    decompose,
    label_rank,
    reconstruct,
    strongest_vector,
)
from .bench import Bench


@dataclass(frozen=True, eq=False)
class MeasuredBasis:
    """A basis under measurement.

    Attributes:
        vectors: orthonormal `(k, d)`, the first `labels` of them the label vectors.
        labels: K.
        mean: `(d,)`, the point about which codes are decomposed; None: the origin.
        raw: `(n, d)`, the vectors before they were made orthogonal.
        signed: its own rule as a classifier. True: the largest of the first K coefficients, sign
            kept. False (the paper's): the largest magnitude among all k.
    """

    vectors: Tensor
    labels: int
    mean: Tensor | None
    raw: Tensor
    signed: bool

    def coefficients(self, codes: Tensor) -> Tensor:
        """`(N, k)` of codes `(N, d)`."""
        return decompose(codes, self.vectors, self.mean)


def basis_facts(
    basis: MeasuredBasis, bench: Bench, codes: Tensor, length: float
) -> dict[str, object]:
    """Figures of the basis itself.

    Args:
        basis: whose figures.
        bench: decodes the label vectors and reads the pictures.
        codes: `(N, d)`, for the error of decompose and reconstruct.
        length: the label vectors are decoded at this length, on both sides of the mean.

    Returns:
        rank, condition (of the orthonormal vectors), raw_condition (before), the number of label
        vectors that decode to their own label and the labels of both signs, and the largest
        relative error of a reconstruction from all coefficients.
    """
    found, raw = conditioning(basis.vectors), conditioning(basis.raw)
    plus, minus = signed_map(basis, bench, length)
    again = reconstruct(basis.coefficients(codes), basis.vectors, basis.mean)
    error = (again - codes).norm(dim=1) / codes.norm(dim=1).clamp(min=1e-12)
    own = torch.arange(basis.labels)
    return {
        "rank": found.rank,
        "condition": found.condition,
        "orthogonality_error": found.orthogonality_error,
        "raw_condition": raw.condition,
        "labels_one_to_one": int((plus == own).sum()),
        "minus_keeps_label": int((minus == own).sum()),
        "plus_decodes_to": plus.tolist(),
        "minus_decodes_to": minus.tolist(),
        "reconstruction_error": float(error.max()),
    }


def signed_map(basis: MeasuredBasis, bench: Bench, length: float) -> tuple[Tensor, Tensor]:
    """The judge's labels `(K,)` of the decodes of plus and of minus each label vector."""
    pictures = bench.decode(signed_codes(basis, length))
    plus, minus = bench.labels(pictures).chunk(2)
    return plus, minus


def signed_codes(basis: MeasuredBasis, length: float) -> Tensor:
    """`(2 K, d)`: plus every label vector at `length` from the mean, then minus every one."""
    along = basis.vectors[: basis.labels] * length
    codes = torch.cat([along, -along])
    return codes if basis.mean is None else codes + basis.mean


def readings(coefficients: Tensor, labels: Tensor, count: int, signed: bool) -> dict[str, object]:
    """Three readings of "98% of the data map to a sub-domain of K dimensions", and accuracy.

    They answer different questions and are never merged.

    Args:
        coefficients: `(N, k)`.
        labels: true labels `(N,)`.
        count: K, the number of label slots at the front.
        signed: the basis's own rule as a classifier, see `MeasuredBasis`.

    Returns:
        in_label_slots: share of digits whose largest `|c|` of all k lies among the first K
        (1 - the "gibberish" rate). rank_cumulative: for r = 1 .. k, the share of digits whose
        true label's `|c|` is among the r largest of all k. energy: mean share of the squared
        length in the first K coefficients. classifier_accuracy, by the basis's own rule, and
        accuracy_by_rule.
    """
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
    rule = "largest_signed_of_labels" if signed else "largest_magnitude_of_all"
    return {
        "in_label_slots": _share(strongest < count),
        "rank_cumulative": [round(float(value), 4) for value in curve],
        "energy": round(float(energy.mean()), 4),
        "classifier_accuracy": accuracy[rule],
        "accuracy_by_rule": accuracy,
    }


def random_basis(like: MeasuredBasis, seed: int) -> MeasuredBasis:
    """A random orthonormal basis of the size of another one, about the same mean."""
    size = like.vectors.shape[1]
    draw = torch.randn((size, size), generator=torch.Generator().manual_seed(seed)).double()
    vectors = torch.linalg.qr(draw).Q.T.contiguous().float()
    return MeasuredBasis(vectors, like.labels, like.mean, vectors, like.signed)


def side_by_side(sides: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Figures by side, `{side: {key: value}}`, turned to `{key: {side: value}}`."""
    keys = next(iter(sides.values()))
    return {key: {side: figures[key] for side, figures in sides.items()} for key in keys}


def _share(found: Tensor) -> float:
    return round(float(found.double().mean()), 4)

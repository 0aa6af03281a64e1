"""The construction of Toledo-Marin & Glazier (PLOS ONE 18(6) e0287736), as their code has it.

Kept apart from our own basis so that both can be measured side by side. It differs from ours in
four ways: nothing is centred; Gram-Schmidt depends on the order of the labels; beyond the first
K vectors the directions are means of classes of random codes, which differ by sampling noise
only; and its "rotation" is an outer product.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....latent_ops import class_means
from ....models.errors import FaceLatentsError
from .bench import Bench


def paper_vectors(
    bench: Bench, codes: Tensor, decoded_labels: Tensor, count: int, *, draws: int, seed: int
) -> Tensor:
    """The eta of the paper, `(d, d)` float64: what Gram-Schmidt is given.

    Args:
        bench: decodes and labels random codes.
        codes: `(N, d)` of training pictures.
        decoded_labels: `(N,)`, the classifier's label of each code's decode: argmax C(G(E(x))).
        count: number of labels K; eta_1 .. eta_K are the mean codes of the labels.
        draws: random codes per repetition; the others are class means of `z ~ N(0, I)` labelled
            by C(G(z)), K at a time from fresh draws, until there are d vectors.
        seed: of the draws.

    Raises:
        FaceLatentsError: a label never occurs.
    """
    size = codes.shape[1]
    means = [_means(codes, decoded_labels, count, "training digits")]
    generator = torch.Generator().manual_seed(seed)
    while count * len(means) < size:
        z = torch.randn((draws, size), generator=generator)
        means.append(_means(z, bench.labels(bench.decode(z)), count, "random codes"))
    return torch.cat(means)[:size]


def _means(codes: Tensor, labels: Tensor, count: int, what: str) -> Tensor:
    empty = [i for i in range(count) if not bool((labels == i).any())]
    if empty:
        raise FaceLatentsError(
            f"The paper's basis needs {what} of every label; the classifier found none that "
            f"decode to {', '.join(map(str, empty))}. Use more digits, or a better model."
        )
    return class_means(codes.double(), labels, count)


def modified_gram_schmidt(vectors: Tensor) -> Tensor:
    """Orthonormal rows `(k, d)` of `(k, d)` float64, in the given order; not pivoted."""
    rows = vectors.double().clone()
    for i in range(len(rows)):
        rows[i] /= rows[i].norm()
        # each finished row is removed from all later ones at once: the modified form
        rows[i + 1 :] -= (rows[i + 1 :] @ rows[i])[:, None] * rows[i]
    return rows


def paper_basis(eta: Tensor) -> Tensor:
    """The xi of the paper, `(d, d)` float32: orthogonal, all of the common length sqrt(d)."""
    return (modified_gram_schmidt(eta) * math.sqrt(eta.shape[1])).float()


def paper_coefficients(codes: Tensor, xi: Tensor) -> Tensor:
    """`c_i = <xi_i, z>`, `(N, k)`; no mean is taken off."""
    return codes @ xi.T


def paper_reconstruct(coefficients: Tensor, xi: Tensor) -> Tensor:
    """`z = sum_i c_i xi_i / <xi_i, xi_i>`, `(N, d)`."""
    return (coefficients / xi.square().sum(1)) @ xi


def paper_top_k(coefficients: Tensor, k: int) -> Tensor:
    """All but the k largest `|c_i|` set to zero, as the paper denoises; no length is restored."""
    kept = coefficients.abs().topk(k, dim=1).indices
    return torch.zeros_like(coefficients).scatter(1, kept, coefficients.gather(1, kept))


def rank_one_operator(source: Tensor, target: Tensor) -> Tensor:
    """The paper's "rotation" from one vector to another: `r_t r_s^T` of unit vectors, `(d, d)`.

    It has rank 1: whatever goes in comes out parallel to the target, so nothing of the input but
    the size (and sign) of one coefficient survives.
    """
    source, target = source / source.norm(), target / target.norm()
    return torch.outer(target, source)

"""The bases that are compared: ours, the paper's, principal axes, random ones.

The paper is Toledo-Marin & Glazier, PLOS ONE 18(6) e0287736; its basis is built as their code has
it, which differs from ours in three ways: nothing is centred; Gram-Schmidt depends on the order of
the labels; beyond the first K vectors the directions are class means of random codes, which differ
by sampling noise only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....latent_ops import class_means, complete_basis, decompose
from ....models.errors import FaceLatentsError
from ....models.space import require_same_space
from ....models.spectral.basis import LatentBasis
from ....models.spectral.build import build_basis
from .model import Digits, MeasuredModel

OURS, PAPER, PCA, RANDOM = "ours", "paper", "pca", "random"
OURS_RANDOM = "ours_random"  # the label vectors of ours, completed at random
PAPER_SEED, RANDOM_SEED = 7, 8


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


@dataclass(frozen=True, eq=False)
class Setup:
    """A model ready to be measured.

    Attributes:
        model: with the classifier.
        bases: OURS, OURS_RANDOM, PAPER and PCA.
        means: `(K, d)` mean codes of training digits by their label.
        name: of our basis, and how it was made.
    """

    model: MeasuredModel
    bases: Mapping[str, MeasuredBasis]
    means: Tensor
    name: str = ""

    def with_random(self, seed: int) -> dict[str, MeasuredBasis]:
        """The bases, and RANDOM as one more."""
        return {**self.bases, RANDOM: random_basis(self.bases[OURS], seed)}


def prepare(model: MeasuredModel, train: Digits, basis: LatentBasis | None, draws: int) -> Setup:
    """Encode training digits and build what is compared.

    Args:
        model: encodes, decodes and labels.
        train: digits whose codes give the paper's basis, PCA and class means.
        basis: ours; None builds one from the codes.
        draws: random codes per repetition of the paper's construction.

    Raises:
        FaceLatentsError: a basis of another model, or too few digits.
    """
    codes = model.encode(train.pictures)
    ours, means, name = label_bases(model, Digits(codes, train.labels), basis)
    count = ours[OURS].labels
    mean = codes.mean(0)
    axes = principal_axes(codes, mean)
    decoded = decoded_labels(model, Digits(codes, train.labels))
    eta = paper_vectors(model, codes, decoded, count, draws=draws, seed=PAPER_SEED)
    bases = {
        **ours,
        PAPER: MeasuredBasis(modified_gram_schmidt(eta).float(), count, None, eta, signed=False),
        PCA: MeasuredBasis(axes, count, mean, axes, signed=True),
    }
    return Setup(model, bases, means, name)


def label_bases(
    model: MeasuredModel, known: Digits, basis: LatentBasis | None
) -> tuple[dict[str, MeasuredBasis], Tensor, str]:
    """OURS and OURS_RANDOM, the mean codes `(K, d)` by label, and what our basis is called.

    Args:
        model: whose codes they are.
        known: codes `(N, d)` in place of pictures, with the labels of their digits.
        basis: ours; None builds one from the codes.

    Raises:
        FaceLatentsError: a basis of another model.
    """
    space, codes = model.model.space, known.pictures
    if basis is None:
        names = [str(label) for label in range(int(known.labels.max()) + 1)]
        shaped = codes.unflatten(1, space.shape)
        basis = build_basis(shaped, known.labels, names, space, name="built for the evaluation")
    else:
        require_same_space(space, basis.space, "Evaluation: the model and the basis")
    count = len(basis.labels)
    means = class_means(codes, known.labels, count)
    vectors = basis.vectors.flatten(1)
    centre = None if basis.mean is None else basis.mean.flatten()
    randomly = complete_basis(vectors[:count], len(vectors), method="random", seed=RANDOM_SEED)
    ours = {
        OURS_RANDOM: MeasuredBasis(randomly, count, centre, means, signed=True),
        OURS: MeasuredBasis(vectors, count, centre, means, signed=True),
    }
    return ours, means, f"{basis.name}: {basis.method}"


def decoded_labels(model: MeasuredModel, known: Digits) -> Tensor:
    """The classifier's label `(N,)` of each code's decode, argmax C(G(E(x))).

    A label that no decode shows is given the codes of its own digits: the paper's classifier is the
    one that its encoder was trained with, which sees more in a decode than the held-out one does.

    Args:
        model: decodes and labels.
        known: codes in place of pictures, with the labels of their digits.
    """
    decoded = model.labels(model.decode(known.pictures))
    for label in known.labels.unique():
        if not bool((decoded == label).any()):
            decoded = torch.where(known.labels == label, label, decoded)
    return decoded


def principal_axes(codes: Tensor, mean: Tensor) -> Tensor:
    """All principal axes `(d, d)` of codes `(N, d)` about their mean, the widest first."""
    offset = codes.double() - mean.double()
    axes: Tensor = torch.linalg.eigh(offset.T @ offset).eigenvectors.T.flip(0)
    return axes.float().contiguous()


def random_basis(like: MeasuredBasis, seed: int) -> MeasuredBasis:
    """A random orthonormal basis of the size of another one, about the same mean."""
    size = like.vectors.shape[1]
    draw = torch.randn((size, size), generator=torch.Generator().manual_seed(seed)).double()
    vectors = torch.linalg.qr(draw).Q.T.contiguous().float()
    return MeasuredBasis(vectors, like.labels, like.mean, vectors, like.signed)


def paper_vectors(
    model: MeasuredModel, codes: Tensor, decoded: Tensor, count: int, *, draws: int, seed: int
) -> Tensor:
    """The eta of the paper, `(d, d)` float64: what Gram-Schmidt is given.

    Args:
        model: decodes and labels random codes.
        codes: `(N, d)` of training pictures.
        decoded: `(N,)`, the classifier's label of each code's decode: argmax C(G(E(x))).
        count: number of labels K; eta_1 .. eta_K are the mean codes of the labels.
        draws: random codes per repetition; the others are class means of `z ~ N(0, I)` labelled
            by C(G(z)), K at a time from fresh draws, until there are d vectors.
        seed: of the draws.

    Raises:
        FaceLatentsError: a label never occurs.
    """
    size = codes.shape[1]
    means = [_means(codes, decoded, count, "training digits")]
    generator = torch.Generator().manual_seed(seed)
    while count * len(means) < size:
        z = torch.randn((draws, size), generator=generator)
        means.append(_means(z, model.labels(model.decode(z)), count, "random codes"))
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

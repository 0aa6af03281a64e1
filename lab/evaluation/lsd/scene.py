"""What is set up once before measuring: how many digits, codes of training digits, the bases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ....latent_ops import class_means, complete_basis
from ....models.errors import FaceLatentsError
from ....models.space import require_same_space
from ....models.spectral.basis import LatentBasis
from ....models.spectral.build import build_basis
from .basis import MeasuredBasis
from .bench import Bench, Digits, Progress
from .denoise import Counts
from .paper import modified_gram_schmidt, paper_vectors
from .settings import OURS, OURS_RANDOM, PAPER, PCA

PAPER_SEED, RANDOM_SEED = 7, 8


@dataclass(frozen=True)
class Sizes:
    """How many digits each part uses; the whole takes some minutes on two cores.

    Attributes:
        codes: training digits whose codes give the paper's basis, PCA and class means.
        draws: random codes per repetition of the paper's construction.
        readings: test digits for the readings.
        denoise, clean: for denoising with the bundled and with the other encoder.
        per_label, per_path: test digits of each label that are rotated, and followed on the way.
    """

    codes: int = 10_000
    draws: int = 1000
    readings: int = 10_000
    denoise: Counts = field(default_factory=Counts)
    clean: Counts = field(default_factory=lambda: Counts(test=250, tune=120))
    per_label: int = 25
    per_path: int = 6

    def limited(self, limit: int | None) -> Sizes:
        """The same with no part above `limit` digits; at least two per label are rotated.

        Raises:
            FaceLatentsError: a limit below 1.
        """
        if limit is None:
            return self
        if limit < 1:
            raise FaceLatentsError(f"The limit must be 1 digit or more, got {limit}.")

        def cut(counts: Counts) -> Counts:
            return Counts(*(min(limit, value) for value in vars(counts).values()))

        return replace(
            self,
            readings=min(limit, self.readings),
            denoise=cut(self.denoise),
            clean=cut(self.clean),
            per_label=max(2, min(limit // 10, self.per_label)),
            per_path=max(1, min(limit // 40, self.per_path)),
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """A model ready to be measured.

    Attributes:
        bench: the model and the judge.
        bases: OURS, OURS_RANDOM, PAPER and PCA.
        means: `(K, d)` mean codes of training digits by their label.
        name: of our basis, and how it was made.
    """

    bench: Bench
    bases: Mapping[str, MeasuredBasis]
    means: Tensor
    name: str


def prepare(
    bench: Bench,
    train: Digits,
    basis: LatentBasis | None,
    sizes: Sizes,
    progress: Progress = lambda stage, done, total: None,
) -> Scene:
    """Encode training digits and build what is compared.

    Args:
        basis: ours; None builds one from the codes.

    Raises:
        FaceLatentsError: a basis of another model, or too few digits.
    """
    space = bench.model.space
    train = train[: sizes.codes]
    progress("codes of training digits", 0, 3)
    codes = bench.encode(train.pictures)
    if basis is None:
        names = [str(label) for label in range(int(train.labels.max()) + 1)]
        basis = build_basis(codes, train.labels, names, space, name="built for the evaluation")
    else:
        require_same_space(space, basis.space, "Evaluation: the model and the basis")
    count = len(basis.labels)
    means = class_means(codes, train.labels, count)
    mean = codes.mean(0)
    progress("codes of training digits", 1, 3)
    axes = principal_axes(codes, mean)
    progress("codes of training digits", 2, 3)
    decoded = bench.labels(bench.decode(codes))
    eta = paper_vectors(bench, codes, decoded, count, draws=sizes.draws, seed=PAPER_SEED)
    progress("codes of training digits", 3, 3)
    labels_alone = basis.vectors[:count]
    randomly = complete_basis(labels_alone, len(basis.vectors), method="random", seed=RANDOM_SEED)
    bases = {
        OURS_RANDOM: MeasuredBasis(randomly, count, basis.mean, means, signed=True),
        OURS: MeasuredBasis(basis.vectors, count, basis.mean, means, signed=True),
        PAPER: MeasuredBasis(modified_gram_schmidt(eta).float(), count, None, eta, signed=False),
        PCA: MeasuredBasis(axes, count, mean, axes, signed=True),
    }
    return Scene(bench, bases, means, f"{basis.name}: {basis.method}")


def principal_axes(codes: Tensor, mean: Tensor) -> Tensor:
    """All principal axes `(d, d)` of codes `(N, d)` about their mean, the widest first."""
    offset = codes.double() - mean.double()
    first: Tensor = torch.linalg.eigh(offset.T @ offset).eigenvectors.T.flip(0)
    return first.float().contiguous()

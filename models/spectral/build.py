"""Building quasi-eigen bases from labelled codes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import latent_ops
from ..errors import FaceLatentsError
from ..space import LatentSpace
from .basis import LatentBasis, check_labels

ORIGIN, GROUPS, MODEL = CENTRES = ("origin", "mean of the groups", "model mean")
MOST_BYTES = 256 * 2**20  # of the vectors of one basis
_FULL_UP_TO = 2048  # numbers in a code, up to which a basis is complete unless told otherwise


@dataclass(frozen=True)
class BasisOptions:
    """How a basis is built.

    Attributes:
        method: one of `latent_ops.BASIS_METHODS`.
        completion: one of `latent_ops.COMPLETIONS`.
        size: number of vectors; 0: as many as a code has numbers, so that nothing is lost, or, in
            a space of more than `_FULL_UP_TO`, as many as the codes determine.
        centre: one of `CENTRES`; the point about which codes are decomposed.
        seed: of what is drawn at random.
    """

    method: str = "symmetric"
    completion: str = "principal"
    size: int = 0
    centre: str = ORIGIN
    seed: int = 0


def build_basis(
    codes: Tensor,
    labels: Tensor,
    names: Sequence[str],
    space: LatentSpace,
    options: BasisOptions = BasisOptions(),
    *,
    name: str = "basis",
) -> LatentBasis:
    """A basis from labelled codes: the orthonormalised class means, completed.

    Args:
        codes: `(N, *space.shape)`.
        labels: `(N,)` int64, each below K.
        names: K names.
        space: of the codes.
        options: how it is built.
        name: what the basis is called.

    Raises:
        FaceLatentsError: no or doubled names, a label without codes, codes that are not finite or
            of another space, label means that are dependent, a size that does not fit.
    """
    means = label_means(codes, labels, names, space)
    point = centre_of(means, space, options.centre)
    return basis_from_means(means, names, space, codes, options, mean=point, name=name)


def label_means(codes: Tensor, labels: Tensor, names: Sequence[str], space: LatentSpace) -> Tensor:
    """Mean codes `(K, *space.shape)` per label, float32 on the CPU.

    Raises:
        FaceLatentsError: see `build_basis`.
    """
    check_labels(names, "The basis")
    if tuple(codes.shape[1:]) != space.shape:
        raise FaceLatentsError(
            f"The codes have shape {tuple(codes.shape)}; space {space.describe()} needs (number, "
            f"{', '.join(map(str, space.shape))})."
        )
    if not bool(torch.isfinite(codes).all()):
        raise FaceLatentsError(
            "The codes hold values that are not numbers (NaN or infinite). Encode the pictures "
            "again."
        )
    counts = torch.bincount(labels, minlength=len(names))
    if len(counts) > len(names):
        raise FaceLatentsError(f"The codes have {len(counts)} labels, but {len(names)} names.")
    empty = [label for label, count in zip(names, counts.tolist(), strict=True) if not count]
    if empty:
        raise FaceLatentsError(
            f"There are no codes of the label(s) {', '.join(map(repr, empty))}: {len(codes)} "
            f"code(s) for {len(names)} labels. Each label needs at least one, better twenty."
        )
    return latent_ops.class_means(codes.detach().cpu().float(), labels, len(names))


def basis_from_means(
    means: Tensor,
    names: Sequence[str],
    space: LatentSpace,
    codes: Tensor,
    options: BasisOptions = BasisOptions(),
    *,
    mean: Tensor | None = None,
    name: str = "basis",
) -> LatentBasis:
    """A basis whose label vectors are the orthonormalised `means`; see `build_basis`.

    Args:
        means: `(K, *space.shape)`, one per label.
        names: K names.
        space: of the means and codes.
        codes: `(N, *space.shape)` whose principal axes complete the basis.
        options: how it is built; `mean` takes the place of its `centre`.
        mean: the point about which codes are decomposed; None: the origin.
        name: what the basis is called.

    Raises:
        FaceLatentsError: see `build_basis`.
    """
    point = None if mean is None else mean.detach().to(means)
    rank, condition = _independence(means, point)
    try:
        vectors = latent_ops.quasi_eigenvectors(means, options.method, point)
    except ValueError as error:
        numbered = ", ".join(f"{number} = '{label}'" for number, label in enumerate(names))
        raise FaceLatentsError(f"{error} The labels: {numbered}.") from error
    wanted = _size(options.size, len(names), space, len(codes))
    if wanted > len(names):
        vectors = latent_ops.complete_basis(
            vectors, wanted, codes, method=options.completion, seed=options.seed, mean=point
        )
    return LatentBasis(
        vectors=vectors.float(),
        labels=tuple(label.strip() for label in names),
        space=space,
        mean=None if point is None else point.float(),
        name=name,
        method=f"{options.method} orthogonalisation of {len(names)} label means, "
        f"{options.completion} completion",
        rank=rank,
        condition=condition,
    )


def centre_of(means: Tensor, space: LatentSpace, centre: str) -> Tensor | None:
    """The point `(*space.shape)` about which codes are decomposed; None for the origin.

    Raises:
        FaceLatentsError: an unknown centre, or the space does not state its mean.
    """
    if centre == ORIGIN:
        return None
    if centre == GROUPS:
        return means.mean(0)
    if centre != MODEL:
        raise FaceLatentsError(f"The centre must be one of {', '.join(CENTRES)}; got {centre!r}.")
    if space.mean is None:
        raise FaceLatentsError(
            f"Space {space.describe()} does not state the mean of its codes. Choose the centre "
            f"'{GROUPS}' or '{ORIGIN}'."
        )
    return space.mean.to(means)


def _independence(means: Tensor, point: Tensor | None) -> tuple[int, float]:
    """Rank of label means about a point, and the condition number of what they span.

    About their own mean, K labels span K - 1 directions, which is no fault.
    """
    rows = (means if point is None else means - point).flatten(1)
    facts = latent_ops.conditioning(rows)
    own = point is not None and facts.rank == len(rows) - 1
    if not own:
        return facts.rank, facts.condition
    values = torch.linalg.svdvals(rows.double())
    return facts.rank, float(values[0] / values[-2]) if len(values) > 1 else 1.0


def _size(size: int, labels: int, space: LatentSpace, codes: int) -> int:
    """Number of vectors for the size asked for."""
    dimension = math.prod(space.shape)
    fitting = min(dimension, MOST_BYTES // (4 * dimension))
    if labels > fitting:
        raise FaceLatentsError(
            f"A basis of space {space.describe()} can have at most {fitting} labels; got {labels}."
        )
    if size == 0:
        return dimension if dimension <= _FULL_UP_TO else min(max(labels, codes), fitting)
    if not labels <= size <= dimension:
        raise FaceLatentsError(
            f"The size of the basis is {size}; it must be from {labels}, the number of labels, to "
            f"{dimension}, the numbers in a code. 0 chooses it for you."
        )
    if size > fitting:
        raise FaceLatentsError(
            f"A basis of {size} vectors of {dimension} numbers needs "
            f"{size * dimension * 4 / 2**20:.0f} MB; at most {MOST_BYTES >> 20} MB are allowed. "
            f"Choose a size of {fitting} or less."
        )
    return size

"""Quasi-eigen bases: orthonormal vectors of a latent space, the first of which stand for labels.

After Toledo-Marin & Glazier 2023 ("Using deep LSD to build operators in GANs latent space with
meaning in real space", PLOS ONE 18(6) e0287736), with the repairs that a stable basis needs:
symmetric orthogonalisation, and a completion that does not consist of sampling noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..space import LatentSpace

_TOLERANCE = 1e-3  # of |V V^T - I|, the largest entry
_NEARLY_DEPENDENT = 30.0  # condition number of label means, above which they are hardly apart


@dataclass(frozen=True, eq=False)
class LatentBasis:
    """An orthonormal basis of a latent space, or of a part of it.

    Attributes:
        vectors: `(k, *space.shape)` float32, orthonormal; the first K belong to the labels.
        labels: K different names, 1 <= K <= k.
        space: the space it belongs to.
        mean: `(*space.shape)`, the point about which codes are decomposed and rotated; None:
            the origin.
        name: what it is called.
        method: how it was made.
        exclusive: True where a code has exactly one label (digits); False where labels are
            attributes that may come together (glasses, smile).
        rank: of the label means before they were made orthonormal; K unless they are dependent.
        condition: of the label means; 1 is perpendicular, infinity dependent. NaN: not known.
        accuracy: share of held-out codes whose label the basis finds; None: not measured.
    """

    vectors: Tensor
    labels: tuple[str, ...]
    space: LatentSpace
    mean: Tensor | None = None
    name: str = "basis"
    method: str = ""
    exclusive: bool = True
    rank: int = 0
    condition: float = math.nan
    accuracy: float | None = None

    def __post_init__(self) -> None:
        what = f"The basis '{self.name}'"
        shape = tuple(self.vectors.shape)
        if shape[1:] != self.space.shape or not shape or shape[0] < 1:
            raise FaceLatentsError(
                f"{what} of space {self.space.describe()} needs vectors of shape (number, "
                f"{', '.join(map(str, self.space.shape))}); got {shape}."
            )
        if self.mean is not None and tuple(self.mean.shape) != self.space.shape:
            raise FaceLatentsError(
                f"{what} has a centre of shape {tuple(self.mean.shape)}; one code has shape "
                f"{self.space.shape}."
            )
        check_labels(self.labels, what)
        if len(self.labels) > shape[0]:
            raise FaceLatentsError(
                f"{what} has {len(self.labels)} labels but only {shape[0]} vectors; the first "
                "vectors are those of the labels, one each."
            )
        if not self.vectors.is_floating_point():
            raise FaceLatentsError(f"{what} holds {self.vectors.dtype}, not floating point.")
        for tensor in (self.vectors, self.mean):
            if tensor is not None and not bool(torch.isfinite(tensor).all()):
                raise FaceLatentsError(
                    f"{what} holds values that are not numbers (NaN or infinite). Build it again."
                )
        flat = self.vectors.detach().flatten(1).float()
        gram = flat @ flat.T
        gram.diagonal().sub_(1)
        error = float(gram.abs().max())
        if error > _TOLERANCE:
            raise FaceLatentsError(
                f"{what} is not orthonormal: its vectors are off by {error:.2g}, at most "
                f"{_TOLERANCE:g} is allowed. Build it again with Build Quasi-Eigen Basis."
            )

    def __len__(self) -> int:
        return self.vectors.shape[0]

    @property
    def complete(self) -> bool:
        """True when the vectors span the whole space, so that nothing is lost."""
        return len(self) == math.prod(self.space.shape)

    def vector_name(self, index: int) -> str:
        """The label of a vector, or `#37` for those that have none (labels may be numbers)."""
        return self.labels[index] if index < len(self.labels) else f"#{index + 1}"

    def label_index(self, name: str) -> int:
        """The number of a label, upper and lower case alike.

        Raises:
            FaceLatentsError: there is no such label; lists those there are.
        """
        wanted = name.strip()
        for plain in (str.__str__, str.casefold):
            for index, label in enumerate(self.labels):
                if plain(label) == plain(wanted):
                    return index
        raise FaceLatentsError(
            f"The basis '{self.name}' has no label '{wanted}'. Its labels: "
            f"{', '.join(self.labels)}."
        )

    def warnings(self) -> list[str]:
        """What speaks against relying on this basis; empty when nothing does."""
        found = []
        if self.condition > _NEARLY_DEPENDENT:
            found.append(
                f"the labels' mean codes are hardly independent (condition {self.condition:.3g}): "
                "use more, or more different, examples per label"
            )
        if self.accuracy is not None and self.exclusive:
            chance = 1 / len(self.labels)
            if self.accuracy < chance + 0.3 * (1 - chance):
                found.append(
                    f"the labels are hardly told apart ({self.accuracy:.0%} of held-out codes, "
                    f"{chance:.0%} is guessing): use more examples, or labels that look different"
                )
        return found


def check_labels(labels: Sequence[str], what: str) -> None:
    """Refuse labels that are missing, empty or twice there.

    Raises:
        FaceLatentsError: naming the label.
    """
    if not labels:
        raise FaceLatentsError(f"{what} has no labels; it needs one or more names.")
    seen = set()
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise FaceLatentsError(f"{what} has an empty label. Give each group a name.")
        if label.strip().casefold() in seen:
            raise FaceLatentsError(f"{what} has the label '{label}' twice. Use different names.")
        seen.add(label.strip().casefold())

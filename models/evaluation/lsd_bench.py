"""What the evaluation of latent spectral decomposition works with: digits, model, judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import FaceLatentsError
from ..face_model import FaceModel

Progress = Callable[[str, int, int], None]
BATCH = 500


@dataclass(frozen=True, eq=False)
class Digits:
    """Grey pictures `(N, 1, 28, 28)` float32 in [0, 1] and labels `(N,)` int64."""

    pictures: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, part: slice | Tensor) -> Digits:
        return Digits(self.pictures[part], self.labels[part])


@dataclass(frozen=True, eq=False)
class Bench:
    """A model and the held-out classifier, on stacks of grey pictures of any length.

    Attributes:
        model: its codes must be vectors; pictures are grey, repeated to three channels.
        judge: `(B, 1, S, S)` in [0, 1] to logits `(B, K)`; takes no part in editing.
    """

    model: FaceModel
    judge: nn.Module

    def __post_init__(self) -> None:
        if self.model.space.latent_dims != 1:
            raise FaceLatentsError(
                f"The evaluation needs a model whose codes are vectors; those of "
                f"'{self.model.name}' have shape {self.model.space.shape}."
            )

    def encode(self, pictures: Tensor) -> Tensor:
        """Codes `(N, d)` of grey pictures `(N, 1, S, S)`, float32 on the CPU."""
        parts = pictures.split(BATCH)
        return torch.cat([self.model.encode(p.expand(-1, 3, -1, -1)).float().cpu() for p in parts])

    def decode(self, codes: Tensor) -> Tensor:
        """Grey pictures `(N, 1, S, S)` of codes `(N, d)`, clipped to [0, 1], on the CPU."""
        parts = codes.split(BATCH)
        return torch.cat(
            [self.model.decode(p).float().mean(1, keepdim=True).clamp(0, 1).cpu() for p in parts]
        )

    def probabilities(self, pictures: Tensor) -> Tensor:
        """The judge's `(N, K)` for grey pictures `(N, 1, S, S)`."""
        return torch.cat([self.judge(p).softmax(1).float() for p in pictures.split(BATCH)])

    def labels(self, pictures: Tensor) -> Tensor:
        """The judge's label `(N,)` of grey pictures `(N, 1, S, S)`."""
        return self.probabilities(pictures).argmax(1)


def load_digits(data_dir: str | Path, train: bool) -> Digits:
    """The MNIST digits below a folder; nothing is downloaded.

    Args:
        data_dir: the folder that holds `MNIST/raw`, or whose sub-folder `mnist` does.
        train: the 60,000 training digits, or the 10,000 test digits.

    Raises:
        FaceLatentsError: they are not there.
    """
    from torchvision.datasets import MNIST

    for root in (Path(data_dir), Path(data_dir) / "mnist"):
        try:
            found = MNIST(str(root), train=train, download=False)
        except RuntimeError:
            continue
        return Digits(found.data[:, None].float() / 255, found.targets.long())
    raise FaceLatentsError(
        f"There are no MNIST digits in '{data_dir}' (expected: the folder that holds 'MNIST/raw', "
        "or one whose sub-folder 'mnist' does). 'face-latents train digits --data DIR' downloads "
        "them; so does torchvision.datasets.MNIST(DIR, download=True)."
    )


def balanced(labels: Tensor, per_label: int, count: int) -> Tensor:
    """Indices `(count * per_label,)` of the first items of every label, label by label.

    Raises:
        FaceLatentsError: a label has fewer items.
    """
    parts = []
    for label in range(count):
        found = torch.nonzero(labels == label).flatten()[:per_label]
        if len(found) < per_label:
            raise FaceLatentsError(
                f"Label {label} has {len(found)} digits, but {per_label} are needed."
            )
        parts.append(found)
    return torch.cat(parts)

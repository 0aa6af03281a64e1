"""What is measured on what: the model with its held-out classifier, and the digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel
from ....models.threads import one_thread
from ...data.digits import read_mnist

Progress = Callable[[str, int, int], None]
BATCH = 96
MOST_NUMBERS = 2048  # of a code: bases are complete, and such a one is built in a minute


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
class MeasuredModel:
    """A model and the held-out classifier, on stacks of grey pictures of any length.

    Attributes:
        model: with an encoder; its codes are taken as vectors of d numbers, whatever their shape.
        classifier: `(B, 1, S, S)` in [0, 1] to logits `(B, K)`; takes no part in editing.
        side: S of the pictures; None: that of the model, which else gets them resized.
    """

    model: FaceModel
    classifier: nn.Module
    side: int | None = None

    def __post_init__(self) -> None:
        numbers = math.prod(self.model.space.shape)
        if numbers > MOST_NUMBERS:
            raise FaceLatentsError(
                f"The evaluation needs a complete basis, so codes of at most {MOST_NUMBERS} "
                f"numbers; those of '{self.model.name}' have {numbers}."
            )

    def encode(self, pictures: Tensor) -> Tensor:
        """Codes `(N, d)` of grey pictures `(N, 1, S, S)`, float32 on the CPU."""
        size = self.model.template.size

        def encode(part: Tensor) -> Tensor:
            crops = _resized(part, size).expand(-1, 3, -1, -1)
            return self.model.encode(crops).float().cpu().flatten(1)

        return _in_parts(encode, pictures)

    def decode(self, codes: Tensor) -> Tensor:
        """Grey pictures `(N, 1, S, S)` of codes `(N, d)`, clipped to [0, 1], on the CPU."""
        side = self.side or self.model.template.size

        def decode(part: Tensor) -> Tensor:
            pictures = self.model.decode(part.unflatten(1, self.model.space.shape)).float()
            return _resized(pictures.mean(1, keepdim=True), side).clamp(0, 1).cpu()

        return _in_parts(decode, codes)

    def probabilities(self, pictures: Tensor) -> Tensor:
        """The classifier's `(N, K)` for grey pictures `(N, 1, S, S)`."""
        return _in_parts(lambda part: self.classifier(part).softmax(1).float(), pictures)

    def labels(self, pictures: Tensor) -> Tensor:
        """The classifier's label `(N,)` of grey pictures `(N, 1, S, S)`."""
        return self.probabilities(pictures).argmax(1)


def _resized(pictures: Tensor, side: int) -> Tensor:
    """Pictures `(N, 1, S, S)` at another size; those of that size as they are."""
    if pictures.shape[-1] == side:
        return pictures
    size = (side, side)
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)


def _in_parts(function: Callable[[Tensor], Tensor], items: Tensor) -> Tensor:
    """Apply a function to parts of a stack, as many at a time as torch has threads.

    The networks are small: several parts in one thread each are done sooner than one part in
    several threads, which would wait for each other at every layer.
    """

    def call(part: Tensor) -> Tensor:
        with torch.inference_mode():  # holds for the thread that enters it
            return function(part)

    workers = torch.get_num_threads()
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        return torch.cat(list(pool.map(call, items.split(BATCH))))


def load_digits(data_dir: str | Path, train: bool) -> Digits:
    """The MNIST digits below a folder; nothing is downloaded.

    Args:
        data_dir: the folder that holds `MNIST/raw`, or whose sub-folder `mnist` does.
        train: the 60,000 training digits, or the 10,000 test digits.

    Raises:
        FaceLatentsError: they are not there.
    """
    for root in (Path(data_dir), Path(data_dir) / "mnist"):
        if (root / "MNIST" / "raw").is_dir():
            pictures, labels = read_mnist(root, train=train, download=False)
            return Digits(pictures.float() / 255, labels)
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

"""MNIST for the digits model: pictures, class-balanced batches, damage."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError

ATTRIBUTION = (
    "MNIST database of handwritten digits: Yann LeCun, Corinna Cortes, Christopher J.C. Burges."
)
LICENCE = "MIT for the weights; MNIST is by its authors, see attribution"


def read_mnist(data_dir: str | Path, *, train: bool, download: bool) -> tuple[Tensor, Tensor]:
    """Pictures (N, 1, 28, 28) uint8 and labels (N,) int64 of MNIST.

    Args:
        data_dir: the root that `torchvision.datasets.MNIST` takes (it holds `MNIST/raw`).
        train: the 60,000 training digits, else the 10,000 test digits.
        download: fetch the files when they are missing.

    Raises:
        FaceLatentsError: the files are missing and may not, or could not, be downloaded; or
            torchvision, which reads them, is not installed.
    """
    try:
        from torchvision.datasets import MNIST
    except ImportError as error:
        raise FaceLatentsError(
            "Reading MNIST needs torchvision. Install it with: pip install -e .[train]"
        ) from error
    try:
        data = MNIST(str(data_dir), train=train, download=download)
    except (RuntimeError, OSError) as error:
        raise FaceLatentsError(
            f"MNIST was not found in {data_dir} ({error}). The folder must hold MNIST/raw with the "
            "four idx files; torchvision downloads them when the machine is online."
        ) from error
    return data.data.unsqueeze(1), data.targets.long()


class Balanced:
    """Batches of as many pictures of every class; the same step draws the same batch."""

    def __init__(self, pictures: Tensor, labels: Tensor, per_class: int, seed: int) -> None:
        self.pictures, self.per_class, self.seed = pictures, per_class, seed
        self.members = [(labels == k).nonzero().squeeze(1) for k in range(10)]
        if min(len(m) for m in self.members) < 1:
            raise FaceLatentsError("Training needs pictures of every digit from 0 to 9.")

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """(10 * per_class, 1, 28, 28) float in [0, 1], sorted by class, and labels."""
        chosen = []
        for k, member in enumerate(self.members):
            first = step * self.per_class
            places = torch.arange(first, first + self.per_class)
            # every epoch walks through the class in another order
            for epoch in (places // len(member)).unique().tolist():
                shuffle = torch.Generator().manual_seed((self.seed * 1009 + epoch) * 11 + k)
                order = torch.randperm(len(member), generator=shuffle)
                chosen.append(member[order[places[places // len(member) == epoch] % len(member)]])
        labels = torch.arange(10).repeat_interleave(self.per_class)
        return self.pictures[torch.cat(chosen)].float() / 255, labels


def damage_pictures(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (N, 1, 28, 28) with one kind of damage each; half are clamped to [0, 1].

    15% stay clean, 50% get Gaussian noise of sigma up to 1.1, 20% salt and pepper on up to 55% of
    the pixels, 15% a square of 4 to 14 px near the middle, black in two of three cases, else
    white; a third of the last also noise.
    """
    count = len(pictures)

    def uniform(high: float = 1.0) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * high

    kind = uniform(1.0)
    gauss = ((kind > 0.15) & (kind < 0.65)) | (kind > 0.95)
    noise = torch.randn(pictures.shape, generator=generator)
    result = pictures + noise * uniform(1.1) * gauss
    salted = ((kind >= 0.65) & (kind < 0.85)).float()
    where = torch.rand(pictures.shape, generator=generator)
    hit = where < uniform(0.55) * salted
    grain = (torch.rand(pictures.shape, generator=generator) < 0.5).float()
    result = torch.where(hit, grain, result)
    square = _squares(count, generator) & (kind >= 0.85)
    result = torch.where(square, (uniform() < 1 / 3).float(), result)
    return torch.where(uniform() < 0.5, result.clamp(0, 1), result)


def _squares(count: int, generator: torch.Generator) -> Tensor:
    """(count, 1, 28, 28) bool, one square each."""
    side = torch.randint(4, 15, (count, 1), generator=generator)
    centre = 14 + (torch.rand(count, 2, generator=generator) - 0.5) * 20
    at = (centre - side / 2).clamp_min(0).minimum(28 - side).floor()
    place = torch.arange(28).expand(count, 28)
    rows = (place >= at[:, :1]) & (place < at[:, :1] + side)
    columns = (place >= at[:, 1:]) & (place < at[:, 1:] + side)
    return (rows[:, :, None] & columns[:, None, :]).unsqueeze(1)

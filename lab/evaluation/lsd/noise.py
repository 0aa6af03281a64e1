"""Damage done to digits before they are denoised. All of it works on pixels in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Damage = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Noise:
    """One kind of damage at one level.

    Attributes:
        kind, level: keys of the figures.
        damage: `(N, 1, H, W)` in [0, 1] and a CPU generator to damaged pictures, not clipped.
    """

    kind: str
    level: str
    damage: Damage

    def __call__(self, pictures: Tensor, seed: int, *, clipped: bool = True) -> Tensor:
        """Damaged copies `(N, 1, H, W)`, clipped to [0, 1] as the pixels of a picture file are."""
        damaged = self.damage(pictures, torch.Generator().manual_seed(seed))
        return damaged.clamp(0, 1) if clipped else damaged


def gaussian(sigma: float) -> Damage:
    """Independent normal noise of standard deviation `sigma` on every pixel."""

    def damage(pictures: Tensor, generator: torch.Generator) -> Tensor:
        return pictures + sigma * torch.randn(pictures.shape, generator=generator)

    return damage


def salt_and_pepper(share: float) -> Damage:
    """A share of the pixels becomes white or black, half each, independently."""

    def damage(pictures: Tensor, generator: torch.Generator) -> Tensor:
        draw = torch.rand(pictures.shape, generator=generator)
        damaged = torch.where(draw < share / 2, torch.zeros_like(pictures), pictures)
        return torch.where(draw > 1 - share / 2, torch.ones_like(pictures), damaged)

    return damage


def occlusion(side: int) -> Damage:
    """A black square of `side` pixels hides what is under it; its centre falls on ink.

    A square on the empty border would damage nothing, so its centre is drawn from the pixels with
    the ink as probability; it is then moved inwards where it would stick out of the picture.
    """

    def damage(pictures: Tensor, generator: torch.Generator) -> Tensor:
        height, width = pictures.shape[-2:]
        chance = pictures.flatten(1).clamp(min=0) + 1e-6
        centre = torch.multinomial(chance, 1, generator=generator)[:, 0]
        top = (centre // width - side // 2).clamp(0, height - side)[:, None]
        left = (centre % width - side // 2).clamp(0, width - side)[:, None]
        y, x = torch.arange(height), torch.arange(width)
        rows = (y >= top) & (y < top + side)
        columns = (x >= left) & (x < left + side)
        hidden = rows[:, :, None] & columns[:, None, :]
        return pictures.masked_fill(hidden[:, None], 0.0)

    return damage


NOISES: tuple[Noise, ...] = (
    *(Noise("gaussian", f"{sigma}", gaussian(sigma)) for sigma in (0.1, 0.3, 0.5, 0.8, 1.0)),
    *(Noise("salt_and_pepper", f"{p}%", salt_and_pepper(p / 100)) for p in (10, 30, 50)),
    *(Noise("occlusion", f"{side}px", occlusion(side)) for side in (8, 12)),
)

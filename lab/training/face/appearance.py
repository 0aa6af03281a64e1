"""Eigenfaces of canonical faces whose mouths are all open."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...data.canonical import CanonicalFaces
from .linear import fit_linear

CHUNK = 512
CELL = 14  # pixels of the coarse colours that tell the inside of a mouth
RIDGE = 300.0  # on standardised colours


def halved(faces: CanonicalFaces) -> Tensor:
    """Pictures of half the size, `(N, 3, S / 2, S / 2)` uint8."""
    side = faces.pictures.shape[-1] // 2
    return torch.cat(
        [
            F.interpolate(part.float(), size=(side, side), mode="area").round().to(torch.uint8)
            for part in faces.pictures.split(CHUNK)
        ]
    )


def fill_mouths(pictures: Tensor, shown: Tensor, mouth: Tensor) -> Tensor:
    """Pictures with the inside of closed mouths as the rest of the face makes it likely.

    A ridge regression of the inside of open mouths on coarse colours of the rest.

    Args:
        pictures: `(N, 3, S, S)` uint8.
        shown: `(N,)`, of `shape.parted`.
        mouth: `(S, S)`, 1 inside of the canonical lips.
    """
    where, opened = mouth > 0, shown > 0.99
    around = torch.cat(
        [
            F.avg_pool2d(part.float() / 255 * (1 - mouth), CELL).flatten(1)
            for part in pictures.split(CHUNK)
        ]
    )
    centre, scale = around[opened].mean(0), around[opened].std(0) + 1e-3
    design = F.pad((around - centre) / scale, (0, 1), value=1.0)
    known = design[opened].double()
    inside = pictures[:, :, where].float() / 255
    moments = known.T @ inside[opened].flatten(1).double()
    gram = known.T @ known + RIDGE * torch.eye(known.shape[1], dtype=torch.float64)
    likely = (design @ torch.linalg.solve(gram, moments).float()).clamp(0, 1)
    hidden = (1 - shown)[:, None, None] * mouth[where]
    inside = inside + hidden * (likely.view_as(inside) - inside)
    filled = pictures.clone()
    filled[:, :, where] = (inside * 255).round().to(torch.uint8)
    return filled


def fit_appearance(
    faces: CanonicalFaces, shown: Tensor, mouth: Tensor, count: int, seed: int
) -> dict[str, Tensor]:
    """Tensors of the appearance's eigenfaces.

    Args:
        faces: training faces.
        shown: `(N,)`, of `shape.parted`.
        mouth: `(S / 2, S / 2)`, 1 inside of the canonical lips.
        count: of components.
        seed: of what is random.
    """
    tensors = fit_linear(fill_mouths(halved(faces), shown, mouth), count, seed=seed)
    return {f"appearance.{name.removeprefix('linear.')}": t for name, t in tensors.items()}

"""What decoded pictures say about a direction: edges, shading and colour, carried over to codes.

Pixels, and so the codes of a linear model, are a poor place to tell a smile from a frown: the same
mouth is another code in other light. Histograms of gradients see through that, and a boundary in
them is found with far fewer photos. It is no direction of codes yet. The code that comes nearest is
its linear approximation: the slopes by which the features follow the codes of random faces, times
the normal of the boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..face_model import FaceModel
from ..imaging.features import features
from ..threads import check_interrupt

SAMPLES = 3000  # random faces; 1500 cost half a percent of accuracy
SMALLEST_PICTURE = 64  # pixels; smaller ones have no room for the cells of the histograms
MOST_COMPONENTS = 1024  # of a code; more would need more random faces
_BATCH = 128


@dataclass(frozen=True, eq=False)
class PictureFeatures:
    """Features of decoded pictures, and how they follow the code.

    Attributes:
        decode: codes `(B, *shape)` to pictures `(B, 3, S, S)`.
        centre: mean of the features over random faces, `(F,)` float64.
        scale: their standard deviation.
        slopes: change of the (standardised) features with each number of a code, `(d, F)`.
    """

    decode: Callable[[Tensor], Tensor]
    centre: Tensor
    scale: Tensor
    slopes: Tensor

    def of(self, codes: Tensor) -> Tensor:
        """Standardised features `(N, F)` float64 of codes `(N, *shape)`."""
        return (_seen(self.decode, codes.float()) - self.centre) / self.scale


def picture_features(
    model: FaceModel, decode: Callable[[Tensor], Tensor], count: int = SAMPLES
) -> PictureFeatures | None:
    """Learn from random faces of a model how picture features follow its codes.

    Args:
        model: draws the random faces, always the same ones.
        decode: codes `(B, *shape)` to pictures `(B, 3, S, S)`, on any device; a model that has
            a `quick_decode` uses that instead.
        count: of random faces.

    Returns:
        None for models with small pictures or large codes, see the constants above.
    """
    quick = model.capabilities.quick_decode
    if quick is not None:  # thousands of pictures, whose finer detail tells nothing more

        def decode(codes: Tensor) -> Tensor:
            return quick(codes.to(model.device))

    size = math.prod(model.space.shape)
    if model.template.size < SMALLEST_PICTURE or size > MOST_COMPONENTS:
        return None
    codes = model.sample(max(count, 3 * size), seed=0)
    seen = _seen(decode, codes)
    centre, scale = seen.mean(0), seen.std(0) + 1e-3
    rows = codes.flatten(1).double()
    rows = rows - rows.mean(0)
    gram = rows.T @ rows
    check_interrupt()
    gram.diagonal().add_(1e-9 * gram.diagonal().mean())
    slopes = torch.linalg.solve(gram, rows.T @ ((seen - centre) / scale))
    return PictureFeatures(decode, centre, scale, slopes)


def _seen(decode: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    parts = []
    with torch.no_grad():
        for part in codes.split(_BATCH):
            pictures = decode(part).cpu()
            check_interrupt()
            parts.append(features(pictures).double())
            check_interrupt()
    return torch.cat(parts)

"""What is better left out of what edits draw, or drawn clearer.

Spots are what is darker or lighter than faces are at that place, within a few pixels. New glasses
are rims that are too pale and lenses that are milky: networks are content with less contrast than
eyes are, if there is some everywhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.planes import blur
from ....models.imaging.light import luminance, with_brightness
from ...data.faces import FaceSet

_RARE = 0.02  # share of faces that are darker, or lighter, than the usual
# Where all faces frown: middle and half axes of an ellipse, in pixels of 128.
_FROWN, _AXES = (63.5, 22.0), (13.0, 10.0)
_LIGHTENED, _LINES = 0.5, 1.5  # shares of what new glasses lighten, and of their dark lines


def band(pictures: Tensor) -> Tensor:
    """What of pictures `(B, C, S, S)` is finer than some ten pixels, and coarser than three."""
    return blur(blur(pictures)) - coarse(pictures)


def coarse(pictures: Tensor) -> Tensor:
    """What of pictures `(B, C, S, S)` is not finer than some ten pixels."""
    for _ in range(3):
        pictures = F.avg_pool2d(F.pad(pictures, (4, 4, 4, 4), mode="replicate"), 9, 1)
    return pictures


def usual_bands(faces: FaceSet, batch: int = 500) -> Tensor:
    """The `band` of brightness that all but few of the faces stay above and below at each place,
    `(2, 1, S, S)`."""
    parts = torch.arange(len(faces), device=faces.crops.device).split(batch)
    bands = torch.cat(
        [F.avg_pool2d(band(luminance(faces.floats(part))), 2)[:, 0].half() for part in parts]
    )
    shares = torch.tensor([_RARE, 1 - _RARE], device=bands.device)
    rows = [bands[:, row].float().quantile(shares, 0) for row in range(bands.shape[1])]
    return F.interpolate(torch.stack(rows, 1)[:, None], scale_factor=2, mode="bilinear")


def remove_spots(
    pictures: Tensor, change: Tensor, usual: Tensor, frown: Tensor
) -> tuple[Tensor, Tensor]:
    """Changes without their fine part where that leaves what is usual.

    Args:
        pictures: `(B, 3, S, S)` in the frame; what they show themselves is usual.
        change: `(B, 3, S, S)` of them.
        usual: `(2, 1, S, S)`, see `usual_bands`.
        frown: `(B,)`, how much is taken out where faces frown, 0 to 1.

    Returns:
        `(B, 3, S, S)`, and the share that was taken out, `(B, 1, S, S)`.
    """
    own, more = band(luminance(pictures)), band(luminance(change))
    least, most = torch.minimum(usual[0], own), torch.maximum(usual[1], own)
    beyond = own + more - (own + more).clamp(least, most)
    share = (beyond / torch.where(more.abs() < 1e-4, 1e-4, more)).clamp(0, 1)
    share = blur(blur(F.max_pool2d(share, 5, 1, 2)))
    share = torch.maximum(share, frown[:, None, None, None] * _frowning(pictures))
    return change - share * (change - coarse(change)), share


def clear_glasses(pictures: Tensor, change: Tensor) -> Tensor:
    """Changes that put glasses on pictures, `(B, 3, S, S)`, with clear lenses and dark rims."""
    brightness, worn = luminance(change), pictures + change
    more = (_LIGHTENED - 1) * brightness.clamp(min=0)
    more = more + (_LINES - 1) * band(brightness).clamp(max=0)
    return with_brightness(worn, luminance(worn) + more) - pictures


def _frowning(like: Tensor) -> Tensor:
    """1 where faces frown, 0 away from it, `(S, S)`."""
    places = torch.arange(like.shape[-1], device=like.device) * (128 / like.shape[-1])
    across, down = ((places - m) / a for m, a in zip(_FROWN, _AXES, strict=True))
    return (1.5 - (across.square() + down[:, None].square()).sqrt()).clamp(0, 1)

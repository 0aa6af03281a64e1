"""Colours that an edit may bring to a photo.

Brightness is where networks are good; the colours they draw are those of other photos in other
light. So what becomes darker or lighter keeps its own hue, in proportion: a dark frame of glasses,
put on skin by subtracting, would have the skin's red left over. What other colour comes with it is
softened, and stays within those that faces have beside their own skin: lips, brows, teeth and
frames are more or less red than it, hardly ever violet or green, and in a grey photo they are grey.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.light import luminance, with_brightness
from .planes import blur, opponent_matrix

_CHEEKS = ((64.0, 79.0), (28.0, 46.0))  # rows, and columns from either side, of 128
# Bounds of colour at the skin's brightness, where the skin's own is (1, 0): along it, and across,
# towards green. Of lips, eyes, brows and teeth of the validation faces most lie within.
_LEAST, _MOST = (0.7, -0.2), (1.6, 0.1)
_GREY = 1e-5  # a skin's distance from grey up to which it is grey, but for rounding


def cheek_colour(pictures: Tensor) -> Tensor:
    """Mean colour of both cheeks of aligned faces `(B, 3, S, S)`, `(B, 3, 1, 1)`."""
    share = pictures.shape[-1] / 128
    (top, bottom), (left, right) = (tuple(round(n * share) for n in ends) for ends in _CHEEKS)
    cheek = pictures[:, :, top : max(bottom, top + 1)]
    cheeks = torch.cat([cheek[..., left:right], cheek.flip(-1)[..., left:right]], -1)
    return cheeks.mean((2, 3), keepdim=True)


def keep_hue(photos: Tensor, change: Tensor) -> Tensor:
    """Bring changes of photos `(B, 3, S, S)` to the photos' own hues and near their skin's colour.

    Brightness stays the same at every pixel. Colour has no fine detail: it would be specks.
    """
    wanted = photos + change
    shaded = with_brightness(photos, luminance(wanted))
    colour = blur(blur(wanted - shaded))
    made = keep_near_skin(shaded + colour, shaded, photos)
    return made + luminance(wanted - made) - photos


def keep_near_skin(pictures: Tensor, shaded: Tensor, photos: Tensor) -> Tensor:
    """Bring the colours of pictures to those that faces have, or no further from them than now.

    Args:
        pictures: `(B, 3, S, S)`.
        shaded: the photos in their own hues at the brightness of the pictures.
        photos: aligned faces; the colour of their cheeks is that of skin.

    Returns:
        `(B, 3, S, S)` of the pictures' mean of channels.
    """
    matrix = opponent_matrix(pictures.device)
    made, kept, beside = (
        torch.einsum("kc,bchw->bkhw", matrix, x) for x in (pictures, shaded, cheek_colour(photos))
    )
    skin = beside[:, 1:, 0, 0]
    away = skin.norm(dim=1, keepdim=True)
    some = skin.new_tensor([1.0, 0.0])  # beside grey any direction will do
    along, across = F.normalize(torch.where(away < _GREY, some, skin)).unbind(1)
    turn = torch.stack([torch.stack([along, across], 1), torch.stack([-across, along], 1)], 1)
    scale = away[:, :, None, None] * made[:, :1] / beside[:, :1].clamp(min=0.05)
    colour, colour_kept = (torch.einsum("bkc,bchw->bkhw", turn, x[:, 1:]) for x in (made, kept))
    least, most = (scale * scale.new_tensor(c)[:, None, None] for c in (_LEAST, _MOST))
    # teeth, drawn where lips were, are white
    least = least * (luminance(photos) / luminance(shaded).clamp(min=0.05)).clamp(0, 1).square()
    bound = torch.maximum(colour, torch.minimum(least, colour_kept))
    bound = torch.minimum(bound, torch.maximum(most, colour_kept))
    # added, not set: what is not changed is not rounded either
    return pictures + torch.einsum("kc,blk,blhw->bchw", matrix[1:], turn, bound - colour)

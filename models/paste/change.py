"""The colour change an edit makes, in a form that can be put on another, sharper picture.

The change is carried as a shift of the log-odds of each value (`light.py`), which sends the decoded
face before the edit to the decoded face after it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.light import log_odds_change, luminance
from ..imaging.maps import gaussian_blur

_TINT_LIMIT = 0.35  # largest shift of one channel's log-odds against the brightness
_AGREEING = (0.2, 0.8)  # quantiles of a face's pixels: light changes what lies between one way
LEAST_LIGHT = 0.1  # shift of log-odds up to which a lighter face may be one of lighter skin
_TINT_BLUR = 0.012  # of the crop's side: the eye sees colour coarsely, decoders draw it noisily


def face_change(before: Tensor, after: Tensor) -> Tensor:
    """Change of a decoded face ``(3, N, N)``: one shift for brightness, a softer one for tint.

    The shift of a channel near 0 or 1 is large for a small change of colour, and would stain a
    photo whose skin is not just as the decoder drew it. So brightness shifts all channels alike,
    and what each channel needs beyond that is smoothed and bounded.
    """
    brightness = log_odds_change(luminance(before), luminance(after))
    tint = log_odds_change(before, after) - brightness
    tint = gaussian_blur(tint, _TINT_BLUR * before.shape[-1])
    return brightness + _TINT_LIMIT * torch.tanh(tint / _TINT_LIMIT)


def light_of(change: Tensor, mask: Tensor, least: float = LEAST_LIGHT) -> float:
    """How much a face becomes lighter (or darker: negative) all over, in the unit of `change`.

    That is what all but the outer fifths of its pixels agree on. A smile, glasses or another age
    lighten some places and darken others, which makes 0.

    Args:
        change: ``(N, N)`` of the brightness.
        mask: ``(N, N)`` of the face.
        least: left out of it.
    """
    inside = change[mask > 0.5]
    if not len(inside):
        return 0.0
    low, high = map(float, inside.quantile(torch.tensor(_AGREEING).to(inside)))
    return max(low - least, 0.0) + min(high + least, 0.0)

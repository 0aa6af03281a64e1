"""The colour change an edit makes, in a form that can be put on another, sharper picture.

The change is carried as a shift of the log-odds of each value, log(v / (1 - v)). It sends the
decoded face before the edit to the decoded face after it, yet keeps 0 at 0 and 1 at 1: nostrils,
lashes and pupils stay dark instead of turning to fog, highlights do not clip, and texture keeps
its contrast relative to the skin around it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .paste_maps import gaussian_blur

_FLOOR = 0.05  # decoded values are kept this far from 0 and 1, which bounds the gain
_LUMA = (0.299, 0.587, 0.114)
_TINT_LIMIT = 0.35  # largest shift of one channel's log-odds against the brightness
_AGREEING = (0.2, 0.8)  # quantiles of a face's pixels: light changes what lies between one way
LEAST_LIGHT = 0.1  # shift of log-odds up to which a lighter face may be one of lighter skin
_TINT_BLUR = 0.012  # of the crop's side: the eye sees colour coarsely, decoders draw it noisily


def log_odds_change(before: Tensor, after: Tensor) -> Tensor:
    """Shift of log-odds that sends `before` to `after`; exactly 0 where they are equal.

    Args:
        before, after: decoded faces, any equal shape, nominally in [0, 1].
    """
    before_odds = torch.logit(before, eps=_FLOOR)
    return torch.logit(after, eps=_FLOOR) - before_odds


def face_change(before: Tensor, after: Tensor) -> Tensor:
    """Change of a decoded face ``(3, N, N)``: one shift for brightness, a softer one for tint.

    The shift of a channel near 0 or 1 is large for a small change of colour, and would stain a
    photo whose skin is not just as the decoder drew it. So brightness shifts all channels alike,
    and what each channel needs beyond that is smoothed and bounded.
    """
    weights = before.new_tensor(_LUMA).view(3, 1, 1)
    luma = [(item * weights).sum(0, keepdim=True) for item in (before, after)]
    brightness = log_odds_change(luma[0], luma[1])
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
    low, high = inside.quantile(torch.tensor(_AGREEING).to(inside)).tolist()
    return max(low - least, 0.0) + min(high + least, 0.0)


def apply_log_odds(values: Tensor, change: Tensor) -> Tensor:
    """Shift `values` by `change` in log-odds: ``g v / (1 + (g - 1) v)`` with g = exp(change).

    Values outside [0, 1] keep their distance to the range, so that nothing out of range is lost
    and nothing is sent out of range.
    """
    inside = values.clamp(0, 1)
    gain = torch.exp(change)
    moved = gain * inside / (1 + (gain - 1) * inside)
    return moved + (values - inside)

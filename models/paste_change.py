"""The colour change an edit makes, in a form that can be put on another, sharper picture.

The change is carried as a shift of the log-odds of each value, log(v / (1 - v)). It sends the
decoded face before the edit to the decoded face after it, yet keeps 0 at 0 and 1 at 1: nostrils,
lashes and pupils stay dark instead of turning to fog, highlights do not clip, and texture keeps
its contrast relative to the skin around it.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FLOOR = 0.03  # decoded values are kept this far from 0 and 1, which bounds the gain by about 32


def log_odds_change(before: Tensor, after: Tensor) -> Tensor:
    """Shift of log-odds that sends `before` to `after`; exactly 0 where they are equal.

    Args:
        before, after: decoded faces, any equal shape, nominally in [0, 1].
    """
    before_odds = torch.logit(before, eps=_FLOOR)
    return torch.logit(after, eps=_FLOOR) - before_odds


def apply_log_odds(values: Tensor, change: Tensor) -> Tensor:
    """Shift `values` by `change` in log-odds: ``g v / (1 + (g - 1) v)`` with g = exp(change).

    Values outside [0, 1] keep their distance to the range, so that nothing out of range is lost
    and nothing is sent out of range.
    """
    inside = values.clamp(0, 1)
    gain = torch.exp(change)
    moved = gain * inside / (1 + (gain - 1) * inside)
    return moved + (values - inside)

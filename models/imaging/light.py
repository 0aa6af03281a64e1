"""Brightness of pictures, and light as a shift of log-odds.

A change of light is carried as a shift of log(v / (1 - v)) of each value. It keeps 0 at 0 and 1 at
1: nostrils, lashes and pupils stay dark instead of turning to fog, highlights do not clip, texture
keeps its contrast relative to the skin around it, and one shift of all channels keeps colours.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FLOOR = 0.05  # values are kept this far from 0 and 1, which bounds the gain
LEAST_LIGHT = 0.1  # shift of log-odds up to which a lighter face may be one of lighter skin
_AGREEING = (0.2, 0.8)  # quantiles of a face: light changes what lies between one way
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luminance(pictures: Tensor) -> Tensor:
    """`(..., 3, H, W)` to `(..., 1, H, W)`, Rec. 601 weights."""
    red, green, blue = pictures.split(1, -3)
    luma: Tensor = (red * _LUMA[0]).add(green, alpha=_LUMA[1]).add(blue, alpha=_LUMA[2])
    return luma


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean `(B,)` of `(B, H, W)`, places counting by `weight` `(H, W)`."""
    return (values * weight).sum((1, 2)) / weight.sum()


def weighted_deviation(values: Tensor, weight: Tensor) -> Tensor:
    """Standard deviation `(B,)` of `(B, H, W)`, places counting by `weight` `(H, W)`."""
    away = values - weighted_mean(values, weight)[:, None, None]
    return weighted_mean(away.square(), weight).sqrt()


def log_odds_change(before: Tensor, after: Tensor) -> Tensor:
    """Shift of log-odds that sends `before` to `after`; exactly 0 where they are equal.

    Args:
        before, after: any equal shape, nominally in [0, 1].
    """
    return torch.logit(after, eps=_FLOOR) - torch.logit(before, eps=_FLOOR)


def apply_log_odds(values: Tensor, change: Tensor) -> Tensor:
    """Shift `values` by `change` in log-odds: `g v / (1 + (g - 1) v)` with g = exp(change).

    Values outside [0, 1] keep their distance to the range, so that nothing out of range is lost
    and nothing is sent out of range.
    """
    inside = values.clamp(0, 1)
    lost = (change.exp() - 1) * inside  # (g - 1) v; trainings follow its gradient
    return (1 - inside) * lost / (lost + 1) + values


def light_of(change: Tensor, mask: Tensor, least: float = LEAST_LIGHT) -> Tensor:
    """How much faces become lighter (or darker: negative) all over, `(*)`, in `change`'s unit.

    That is what all but the outer fifths of the places agree on. A smile, glasses or another age
    lighten some places and darken others, which makes 0.

    Args:
        change: `(*, N, N)` of the brightness.
        mask: `(N, N)` of the face.
        least: left out of it.
    """
    inside = change[..., mask > 0.5]
    if not inside.shape[-1]:
        return change.new_zeros(change.shape[:-2])
    low, high = inside.quantile(torch.tensor(_AGREEING).to(inside), dim=-1).unbind()
    return (low - least).clamp(min=0) + (high + least).clamp(max=0)

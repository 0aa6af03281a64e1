"""How much of the photo's own fine detail stays where an edit replaces what it belonged to.

A change that is known at the resolution of the crop cannot take away what only the photo resolves:
a mouth that closes would keep the outlines of its teeth. How much detail is to stay is seen in the
crop itself: whether its own fine detail is still there after the edit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.light import luminance
from ..imaging.maps import gaussian_blur

SOFT = 0.7  # crop pixels: standard deviation of the blur that tells detail from what is changed
_FINE = 1.5  # the same for the crop's own detail, which stands for the photo's
_WINDOW = 2.5  # over which it is compared
_TEXTURE = 4e-4  # (0.02)^2: energy below which it is grain, and stays
_ALL, _NONE = 0.6, 0.2  # shares of the crop's detail found again: all stays, or nothing
_LEAST = 0.01  # share that is no loss yet, but rounding


def lost_detail(before: Tensor, after: Tensor) -> Tensor:
    """Share of the photo's detail that goes, `(1, N, N)` in [0, 1], exactly 0 where it stays.

    Args:
        before, after: `(3, N, N)`, the photo's own face, moved, and what the edit makes of it.
    """
    old, new = (luminance(face) for face in (before, after))
    old, new = (face - gaussian_blur(face, _FINE) for face in (old, new))
    cross, energy = gaussian_blur(torch.cat([old * new, old.square()]), _WINDOW)
    found = (cross + _TEXTURE) / (energy + _TEXTURE)
    lost = ((_ALL - found) / (_ALL - _NONE)).clamp(0, 1)
    lost = gaussian_blur((lost * lost * (3 - 2 * lost))[None], 1.0)
    return ((lost - _LEAST) / (1 - _LEAST)).clamp(0, 1)


def fade_detail(picture: Tensor, lost: Tensor, sigma: float) -> Tensor:
    """`(3, H, W)` without a share `lost` `(1, H, W)` of the detail finer than `sigma` pixels."""
    if sigma < 0.5 or not bool((lost > 0).any()):
        return picture
    return picture - lost * (picture - gaussian_blur(picture, sigma))


def reach_of(sigma: float) -> int:
    """Pixels around one that count for its detail."""
    return int(3 * sigma) + 1 if sigma >= 0.5 else 0

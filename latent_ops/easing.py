"""Speed curves between two keyframes."""

from __future__ import annotations

import torch
from torch import Tensor

from ._validation import compute_dtype, require_choice

EASINGS = ("linear", "ease_in", "ease_out", "ease_in_out", "hold")


def ease(share: Tensor, easing: str = "linear") -> Tensor:
    """Turn shares of the time between two keyframes into shares of the way.

    Args:
        share: t, any shape, floating point in [0, 1].
        easing: `linear`: t, constant speed. `ease_in`: t^2, starts slowly. `ease_out`:
            1 - (1 - t)^2, ends slowly. `ease_in_out`: t^2 (3 - 2t), both. `hold`: 0 until t is
            1, a jump.

    Returns:
        A new tensor of the shape and dtype of `share`, within [0, 1], exactly 0 at 0 and 1 at 1
        and never falling.

    Raises:
        TypeError: if `share` is not a floating-point tensor.
        ValueError: if a share is outside [0, 1] or not a number, or the easing is unknown.

    Example:
        >>> ease(torch.tensor([0.0, 0.5, 1.0]), "ease_in")
        tensor([0.0000, 0.2500, 1.0000])
    """
    require_choice("easing", easing, EASINGS)
    if not isinstance(share, Tensor) or not share.is_floating_point():
        raise TypeError("share must be a floating-point tensor.")
    if not bool(((share >= 0) & (share <= 1)).all()):
        raise ValueError("share must be within 0 and 1.")
    t = share.to(compute_dtype(share))
    if easing == "linear":
        return share.clone()
    if easing == "ease_in":
        eased = t.square()
    elif easing == "ease_out":
        eased = 1 - (1 - t).square()
    elif easing == "ease_in_out":
        # Each half from its own end: exact there, and 1 is never passed by a rounding.
        eased = torch.where(t < 0.5, t.square() * (3 - 2 * t), 1 - (1 - t).square() * (1 + 2 * t))
    else:
        eased = (t == 1).to(t.dtype)
    return eased.to(share.dtype)

"""How far a direction can be followed before decoded pictures leave the range of a picture."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

STRENGTH_LIMIT = 4.0  # largest end of a safe range
SPILL_LIMIT = 0.12  # share of pixels that an edit may push out of [0, 1] within the safe range
_VISIBLE = 0.03  # how far out of [0, 1] a pixel has to lie to count


def safe_range(
    decode: Callable[[Tensor], Tensor],
    codes: Tensor,
    vector: Tensor,
    step: float = 0.5,
    limit: float = STRENGTH_LIMIT,
) -> tuple[float, float]:
    """Strengths (low, high) up to which decoded pictures stay within the range of a picture.

    An end is the largest strength at which, on average over the codes, at most `SPILL_LIMIT` more
    pixels lie visibly out of [0, 1] than without the edit; at least `step`, at most `limit`.

    Args:
        decode: codes `(B, *shape)` to pictures `(B, 3, S, S)`, not clamped.
        codes: `(B, *shape)`, the faces to try it on.
        vector: `(*shape)`, the direction; adding it once is strength 1.
        step: the ends are multiples of this.
        limit: largest end, such as the strength up to which a model was trained.
    """

    def spill(strength: float) -> float:
        pictures = decode(codes + strength * vector)
        return float(((pictures < -_VISIBLE) | (pictures > 1 + _VISIBLE)).float().mean())

    with torch.no_grad():
        base = spill(0.0)
        ends = []
        for sign in (-1, 1):
            end = step
            while end + step <= limit and spill(sign * (end + step)) - base <= SPILL_LIMIT:
                end += step
            ends.append(sign * end)
    return ends[0], ends[1]

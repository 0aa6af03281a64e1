"""Light that controls of a code throw on a face, exactly as strong as they say.

The light is that of the mean face: what the control's direction does to the brightness of each of
its pixels, as a shift of log-odds, is done to every face (after the quotient image, Shashua &
Riklin-Raviv 2001). No network draws it, so it has no stains and no colour of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...imaging.light import (
    apply_log_odds,
    log_odds_change,
    luminance,
    weighted_deviation,
    weighted_mean,
)

# Exponent of the ratio of contrasts that is taken back. Whoever takes the photo exposes it for the
# lit face: contrast does not grow as much as the light alone would make it.
_EXPOSED = 0.5
_FACE = 0.9  # radius, in halves of the side, within which contrast is measured
_LEAST = 0.05  # added to contrasts: what has none may gain some


def shade_of(mean: Tensor, maps: Tensor, strengths: Tensor) -> Tensor:
    """Brightness `(B, S, S)` of the mean face `(S, S)` under lights.

    Args:
        mean: `(S, S)` of the mean face.
        maps: `(C, S, S)`, what each light adds to it per unit of strength.
        strengths: `(B, C)`.
    """
    return mean + torch.einsum("bc,cxy->bxy", strengths, maps)


def relight(pictures: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Pictures `(B, 3, S, S)` under another light, not clamped.

    Args:
        pictures: nominally in [0, 1].
        before, after: `(B, S, S)`, brightness of the mean face under the former light and the new.
    """
    lit = apply_log_odds(pictures, log_odds_change(before, after)[:, None])
    old, new = luminance(pictures), luminance(lit)
    middle = _middle(pictures)
    former, contrast = (weighted_deviation(shade[:, 0], middle) for shade in (old, new))
    kept = ((former + _LEAST) / (contrast + _LEAST)) ** _EXPOSED
    centre, kept = (x[:, None, None, None] for x in (weighted_mean(new[:, 0], middle), kept))
    return apply_log_odds(lit, log_odds_change(new, centre + kept * (new - centre)))


def _middle(pictures: Tensor) -> Tensor:
    """`(S, S)`, 1 in the disc within a crop that is mostly face, else 0."""
    axis = torch.linspace(-1, 1, pictures.shape[-1], device=pictures.device)
    return (axis.square() + axis.square()[:, None] < _FACE**2).to(pictures)

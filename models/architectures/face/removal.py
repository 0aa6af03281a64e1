"""What edits take away: glasses and beards are found in the photo, and what they hide is drawn.

A drawing of the code without glasses is not enough: rims of a photo are never quite those of its
code, and traces of them would stay. So what covers the face is found by what the photo has and the
drawing without has not; the appearance is fitted again to the rest of the face, and drawn there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.light import log_odds_change, luminance
from ...imaging.maps import gaussian_blur
from ...values import Direction
from ..capabilities import Removal
from .mesh import polygon_mask
from .points import OUTER_LIPS

if TYPE_CHECKING:
    from .net import FaceShapeAppearanceNet

ROUNDS, FITS = 3, 4  # how often covers are looked for, and the rest is fitted each time
TOUCHED = 0.25  # of an attribute's largest change of a picture, from which a place is its own
WIDER = 0.018  # sides by which that is widened
COVERED = (0.25, 0.65)  # log-odds of brightness by which a place differs: uncovered, covered
LEVEL = 0.055  # sides over which both pictures are brought to the same level
FAINT = 250  # the component whose variance is taken for that of noise
SPREAD, SOFT = 0.0134, 0.007  # sides by which covers are widened, and blurred


def remove(
    net: FaceShapeAppearanceNet,
    own: Tensor,
    codes: Tensor,
    removals: Sequence[Removal],
    found: dict[Direction, tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    """What to lay over faces so that attributes are gone.

    Args:
        net: the model.
        own: photos on the canonical face `(B, 3, S, S)`, or half as large: drawn soft.
        codes: `(B, K)` of them.
        removals: what is taken away.
        found: by attribute, drawings of these faces without it and where it covers them; what is
            missing is added.

    Returns:
        Pictures `(B, 3, S, S)`, and how much they cover `(B, 1, S, S)` in [0, 1].
    """
    pictures, cover = own, torch.zeros_like(own[:, :1])
    for removal in removals:
        if not bool(removal.share.any()):
            continue
        if removal.direction not in found:
            found[removal.direction] = _uncover(net, own, codes, removal.direction)
        drawn, hidden = found[removal.direction]
        hidden = hidden * removal.share[:, None, None, None]
        pictures = pictures + hidden * (drawn - pictures)
        cover = cover + hidden * (1 - cover)
    return pictures, cover


def _uncover(
    net: FaceShapeAppearanceNet, own: Tensor, codes: Tensor, direction: Direction
) -> tuple[Tensor, Tensor]:
    """Drawings of faces without an attribute, and where it covers them, `(B, 1, S, S)`."""
    draft = own.shape[-1] < net.size
    region = _region(net, direction, own.shape[-1])
    small = F.interpolate(own, size=(net.appearance.size,) * 2, mode="area")
    codes = _without(codes, direction)
    hidden = torch.zeros_like(own[:, :1])
    for _ in range(ROUNDS):
        drawn = net.draw(net.split(codes)[2], draft=draft)
        hidden = torch.maximum(hidden, _covers(own, drawn, region))
        codes = _fit_rest(net, small, hidden, codes, direction)
    return net.draw(net.split(codes)[2], draft=draft), hidden


def _region(net: FaceShapeAppearanceNet, direction: Direction, side: int) -> Tensor:
    """Where an attribute may be, `(side, side)` in [0, 1]: without the lips."""
    look = net.split(direction.vector[None].to(net.canon))[2]
    pictures = net.appearance.linear_sum(torch.cat([look, torch.zeros_like(look)]))
    change = (pictures[0] - pictures[1]).abs().mean(0, keepdim=True)
    change = gaussian_blur(change, WIDER * net.appearance.size)
    change = (change / (TOUCHED * change.max())).clamp(0, 1)
    region = F.interpolate(change[None], size=(side, side), mode="bilinear")[0, 0]
    lips = gaussian_blur(polygon_mask(net.canon, OUTER_LIPS, side, 1.0)[None], SOFT * side)[0]
    face = F.adaptive_avg_pool2d(net.face_mask[None], side)[0]
    return region * (1 - lips) * (2 * face).clamp(max=1)


def _covers(own: Tensor, drawn: Tensor, region: Tensor) -> Tensor:
    """Where photos differ from drawings, `(B, 1, S, S)` in [0, 1]."""
    side = own.shape[-1]
    change = log_odds_change(luminance(own), luminance(drawn))
    rest = (1 - region)[None, None] + 1e-3
    blur = LEVEL * side
    level = gaussian_blur((change * rest)[:, 0], blur) / gaussian_blur(rest[:, 0], blur)
    low, high = COVERED
    covered = (((change - level[:, None]).abs() - low) / (high - low)).clamp(0, 1) * region
    spread = round(SPREAD * side)
    wide = F.max_pool2d(covered, 2 * spread + 1, 1, spread)
    return gaussian_blur(wide[:, 0], SOFT * side)[:, None]


def _fit_rest(
    net: FaceShapeAppearanceNet, small: Tensor, hidden: Tensor, codes: Tensor, direction: Direction
) -> Tensor:
    """Codes whose appearance is that of faces `(B, 3, S / 2, S / 2)` where they are not hidden.

    Probabilistic principal components of incomplete data (Tipping & Bishop 1999): what is hidden is
    drawn and all is fitted, in turn.
    """
    hidden = F.interpolate(hidden, size=small.shape[-2:], mode="area")
    variance = net.appearance.std.square()
    sure = variance / (variance + variance[min(FAINT, len(variance) - 1)])
    part = net.parts["appearance"]
    for _ in range(FITS):
        drawn = net.appearance.linear_sum(codes[:, part])
        codes = codes.clone()
        codes[:, part] = sure * net.appearance.fit(small + hidden * (drawn - small))
        codes = _without(codes, direction)
    return codes


def _without(codes: Tensor, direction: Direction) -> Tensor:
    """Codes `(B, K)` that read as not having an attribute."""
    reading = direction.reading
    assert reading is not None
    assert reading.least is not None
    return direction.move(codes, (reading.least - reading.of(codes)).clamp(max=0))

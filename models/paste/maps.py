"""What an edit does to a face, as small maps over the square of its aligned crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.flow import estimate_motion, warp
from ..imaging.light import log_odds_change, luminance
from ..imaging.maps import gaussian_blur, resize
from .detail import lost_detail
from .edit import BLEND, WARP, FaceEdit, Source
from .mask import follow_edges, frame_mask, motion_mask, smootherstep

LEAST_LIGHT = 0.1  # shift of log-odds up to which a lighter face may be one of lighter skin
_TINT_LIMIT = 0.35  # largest shift of one channel's log-odds against the brightness
_TINT_BLUR = 0.012  # of the crop's side: the eye sees colour coarsely, decoders draw it noisily
_AGREEING = (0.2, 0.8)  # quantiles of a face's pixels: light changes what lies between one way
_LIT = 0.4  # distance from the centre up to which light is whole, as a share of where it ends


@dataclass(frozen=True, eq=False)
class EditMaps:
    """Maps over the crop's square, each `(C, N, N)` float32, all zero where nothing happens.

    Attributes:
        motion: (dx, dy) in shares of the crop's side: the edited face at x shows the photo's
            pixel at x + motion.
        change: shift of the log-odds of each channel.
        weight: share of the edited face itself that is laid over the photo.
        face: the edited face to lay over.
        lost: share of the photo's finest detail that goes, with what it belonged to.
        light: shift of the log-odds all over the face, and of what surrounds it, to be added to
            `change`.
    """

    motion: Tensor
    change: Tensor
    weight: Tensor
    face: Tensor
    lost: Tensor
    light: float = 0.0

    def stacked(self) -> Tensor:
        """All maps but `light` in one `(10, N, N)` tensor."""
        return torch.cat([self.motion, self.change, self.weight, self.face, self.lost])

    @classmethod
    def unstacked(cls, maps: Tensor) -> EditMaps:
        """The inverse of `stacked`, at any resolution."""
        return cls(*maps.split([2, 3, 1, 3, 1]))

    def goes_beyond(self) -> bool:
        """True where light falls on what surrounds the face, or the square's frame moves."""
        motion = self.motion
        frame = torch.cat([motion[:, 0], motion[:, -1], motion[..., 0], motion[..., -1]], 1)
        return self.light != 0 or bool((frame != 0).any())

    def extended(self) -> tuple[EditMaps, int]:
        """The maps of a larger square, `light` included.

        Light that falls on all of a face and the head that turns with it do not end with the face.
        Confined to it, the one leaves a patch with a border, the other folds hair at the frame. So
        both go on into the photo around the square, and fade over half a square.

        Returns:
            Maps of `N + 2 P`, and P, by which they reach further on each side.
        """
        side = self.motion.shape[-1]
        reach = side // 2
        wide = side + 2 * reach
        around = (reach,) * 4
        motion = F.pad(self.motion[None], around, mode="replicate")[0]
        motion = motion * frame_mask(wide, reach / wide).to(motion)
        axis = (torch.arange(wide, dtype=torch.float64) + 0.5) / wide * 2 - 1
        radius = (axis.square() + axis[:, None].square()).sqrt()
        lit = smootherstep((1 - radius) / (1 - _LIT)).to(motion)
        change = F.pad(self.change, around) + self.light * lit
        weight, face, lost = (F.pad(item, around) for item in (self.weight, self.face, self.lost))
        return EditMaps(motion, change, weight, face, lost), reach


def edit_maps(crop: Tensor, edit: FaceEdit, mask: Tensor) -> EditMaps:
    """Split an edit into motion, change of colour and lost detail.

    Args:
        crop: `(3, N, N)` float32, the photo's own face, aligned, as large as the edit's pictures.
        edit: of the same face.
        mask: `(N, N)` in [0, 1] where the edit may act.
    """
    before, after = edit.before.to(crop), edit.after.to(crop)
    motion, change = torch.zeros_like(before[:2]), torch.zeros_like(before)
    weight, lost = torch.zeros_like(before[:1]), torch.zeros_like(before[:1])
    face, light = after.clamp(0, 1), 0.0
    if edit.method == BLEND:
        return EditMaps(motion, change, mask[None], face, lost)
    if edit.method == WARP:
        motion = _motion(before, after, edit, mask)
    # The photo's edges move along with its pixels.
    edges = follow_edges(mask, warp(crop, motion))
    moved = warp(before, motion)
    if edit.source is Source.PHOTO:  # in its own colours already
        change = log_odds_change(moved, after)
        lost = lost_detail(moved, after) * edges
    else:
        change = colour_change(moved, after)
    light = light_of(change.mean(0), mask)
    return EditMaps(motion / before.shape[-1], (change - light) * edges, weight, face, lost, light)


def _motion(before: Tensor, after: Tensor, edit: FaceEdit, mask: Tensor) -> Tensor:
    """`(2, N, N)` in pixels: what the model says it moved, and what else has."""
    side, known = before.shape[-1], edit.motion
    if known is not None:
        known = resize(known.to(before), side)
    if edit.source is Source.PHOTO:
        return torch.zeros_like(before[:2]) if known is None else known * side
    free = motion_mask(mask)
    if known is None or not bool((known != 0).any()):
        return estimate_motion(before, after, free)
    # What a model moves may be more than the face: a head that turns takes its outline along.
    known = known * side
    rest = estimate_motion(warp(before, known), after, free)
    return rest + warp(known, rest, "bilinear")  # one after the other: neither folds


def colour_change(before: Tensor, after: Tensor) -> Tensor:
    """Change of a decoded face `(3, N, N)`: one shift for brightness, a softer one for tint.

    The change is a shift of the log-odds of each value (`imaging.light`), which can be put on
    another, sharper picture. The shift of a channel near 0 or 1 is large for a small change of
    colour, and would stain a photo whose skin is not just as the decoder drew it. So brightness
    shifts all channels alike, and what each channel needs beyond that is smoothed and bounded.
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
        change: `(N, N)` of the brightness.
        mask: `(N, N)` of the face.
        least: left out of it.
    """
    inside = change[mask > 0.5]
    if not len(inside):
        return 0.0
    low, high = map(float, inside.quantile(torch.tensor(_AGREEING).to(inside)))
    return max(low - least, 0.0) + min(high + least, 0.0)

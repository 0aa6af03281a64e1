"""What an edit does to a face, as small maps over the square of its aligned crop."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..imaging.edit_maps import EditMaps
from ..imaging.flow import estimate_motion, warp
from ..imaging.light import light_of, log_odds_change, luminance
from ..imaging.maps import gaussian_blur
from .edit import BLEND, WARP, PictureEdit
from .mask import follow_edges, motion_mask, smootherstep

_TINT_LIMIT = 0.35  # largest shift of one channel's log-odds against the brightness
_TINT_BLUR = 0.012  # of the crop's side: the eye sees colour coarsely, decoders draw it noisily
_LIT = 0.4  # distance from the centre up to which light is whole, as a share of where it ends


def edit_maps(crop: Tensor, edit: PictureEdit, mask: Tensor) -> EditMaps:
    """Split an edit into motion and change of colour.

    Light that falls on all of the face goes on beyond it, and fades over half a crop: confined to
    the face it would leave a patch with a border.

    Args:
        crop: `(3, N, N)` float32, the photo's own face, aligned, as large as the edit's pictures.
        edit: of the same face.
        mask: `(N, N)` in [0, 1] where the edit may act.
    """
    before, after = edit.before.to(crop), edit.after.to(crop)
    motion, change = torch.zeros_like(before[:2]), torch.zeros_like(before)
    weight, face = torch.zeros_like(before[:1]), after.clamp(0, 1)
    if edit.method == BLEND:
        return EditMaps(motion, change, mask[None], face)
    if edit.method == WARP:
        motion = estimate_motion(before, after, motion_mask(mask))
    # The photo's edges move along with its pixels.
    edges = follow_edges(mask, warp(crop, motion))
    change = colour_change(warp(before, motion), after)
    light = float(light_of(change.mean(0), mask))
    maps = EditMaps(motion / before.shape[-1], (change - light) * edges, weight, face)
    return maps if light == 0 else _lit(maps, light)


def _lit(maps: EditMaps, light: float) -> EditMaps:
    """Maps of two sides of the crop, with light on the face and on what surrounds it."""
    side = maps.motion.shape[-1]
    around = (side // 2,) * 4
    axis = (torch.arange(2 * (side // 2) + side, dtype=torch.float64) + 0.5) / side - 1
    radius = (axis.square() + axis[:, None].square()).sqrt()
    lit = smootherstep((1 - radius) / (1 - _LIT)).to(maps.motion)
    padded = (F.pad(m, around) for m in (maps.motion, maps.change, maps.weight, maps.face))
    motion, change, weight, face = padded
    return EditMaps(motion, change + light * lit, weight, face, len(axis) / side)


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

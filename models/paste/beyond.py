"""What an edit changes beyond the square around a face.

Two things do not end with a face: light that falls on all of it, and the head that turns with it.
Confined to the face, the one leaves a patch with a border, the other folds hair at the frame. So
both go on into the photo around the square, and fade over half a square.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .mask import frame_mask, smootherstep
from .plan import EditMaps

_LIT = 0.4  # distance from the centre up to which light is whole, as a share of where it ends


def goes_beyond(maps: EditMaps) -> bool:
    """True when there is light for what surrounds the face, or motion at the square's frame."""
    motion = maps.motion
    frame = torch.cat([motion[:, 0], motion[:, -1], motion[..., 0], motion[..., -1]], 1)
    return maps.light != 0 or bool((frame != 0).any())


def extended(maps: EditMaps) -> tuple[EditMaps, int]:
    """Maps ``(., N, N)`` of a square, and their light, as maps of a larger square.

    Returns:
        Maps of ``N + 2 P`` and P, by which they reach further on each side.
    """
    side = maps.motion.shape[-1]
    reach = side // 2
    wide = side + 2 * reach
    around = (reach,) * 4
    motion = F.pad(maps.motion[None], around, mode="replicate")[0]
    motion = motion * frame_mask(wide, reach / wide).to(motion)
    axis = (torch.arange(wide, dtype=torch.float64) + 0.5) / wide * 2 - 1
    radius = (axis.square() + axis[:, None].square()).sqrt()
    lit = smootherstep((1 - radius) / (1 - _LIT)).to(motion)
    change, weight, decoded, lost = (
        F.pad(item, around) for item in (maps.change, maps.weight, maps.decoded, maps.lost)
    )
    return EditMaps(motion, change + maps.light * lit, weight, decoded, lost), reach

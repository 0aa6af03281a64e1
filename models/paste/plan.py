"""What an edit does to a face, as small maps over its aligned crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..imaging.flow import estimate_motion
from ..imaging.flow import warp as move
from ..imaging.light import log_odds_change
from .change import face_change, light_of
from .detail import lost_detail
from .mask import follow_edges, motion_mask


@dataclass(frozen=True, eq=False)
class EditMaps:
    """Maps over the crop's square, each ``(C, N, N)`` float32, all zero where nothing happens.

    Attributes:
        motion: (dx, dy) in shares of the crop's side: the edited face at x shows the photo's
            pixel at x + motion.
        change: shift of the log-odds of each channel.
        weight: share of the decoded face itself that is laid over the photo.
        decoded: the decoded face to lay over.
        lost: share of the photo's finest detail that goes, with what it belonged to.
        light: shift of the log-odds all over the face, and of what surrounds it, to be added to
            `change`.
    """

    motion: Tensor
    change: Tensor
    weight: Tensor
    decoded: Tensor
    lost: Tensor
    light: float = 0.0

    def stacked(self) -> Tensor:
        """All maps but `light` in one ``(10, N, N)`` tensor."""
        return torch.cat([self.motion, self.change, self.weight, self.decoded, self.lost])

    @classmethod
    def unstacked(cls, maps: Tensor) -> EditMaps:
        """The inverse of :meth:`stacked`, at any resolution."""
        return cls(*maps.split([2, 3, 1, 3, 1]))


def plan_edit(
    crop: Tensor,
    before: Tensor,
    after: Tensor,
    mask: Tensor,
    method: str,
    known: Tensor | None = None,
    own: bool = False,
) -> EditMaps:
    """Split the step from `before` to `after` into motion and colour change.

    Args:
        crop: ``(3, N, N)`` the photo's own face, aligned.
        before, after: ``(3, N, N)`` decoded faces.
        mask: ``(N, N)`` where the edit may act.
        method: one of :data:`~.paste.METHODS`.
        known: ``(2, N, N)``, what the model says it moved, in shares of the side; what else has
            moved is estimated. None estimates all of it.
        own: `before` and `after` are the photo's own face, and nothing else has moved.
    """
    motion = torch.zeros_like(before[:2])
    change = torch.zeros_like(before)
    weight, lost = torch.zeros_like(before[:1]), torch.zeros_like(before[:1])
    light = 0.0
    if method == "blend":
        weight = mask[None]
    else:
        if method == "warp":
            motion = _motion(before, after, motion_mask(mask), known, own)
        # The photo's edges move along with its pixels.
        edges = follow_edges(mask, move(crop, motion))
        moved = move(before, motion)
        # the photo's own face is in its own colours already
        whole = log_odds_change(moved, after) if own else face_change(moved, after)
        light = light_of(whole.mean(0), mask)
        change = (whole - light) * edges
        if own:
            lost = lost_detail(moved, after) * edges
    return EditMaps(motion / before.shape[-1], change, weight, after.clamp(0, 1), lost, light)


def _motion(before: Tensor, after: Tensor, mask: Tensor, known: Tensor | None, own: bool) -> Tensor:
    if own:
        return torch.zeros_like(before[:2]) if known is None else known * before.shape[-1]
    if known is None or not bool((known != 0).any()):
        return estimate_motion(before, after, mask)
    # What a model moves may be more than the face: a head that turns takes its outline along.
    known = known * before.shape[-1]
    rest = estimate_motion(move(before, known), after, mask)
    return rest + move(known, rest, "bilinear")  # one after the other: neither folds

"""Non-maximum suppression: of boxes that overlap, only the best-scored one stays."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def suppress_overlaps(
    boxes: Tensor,
    scores: Tensor,
    overlap: float,
    *,
    within: float = math.inf,
    most: int | None = None,
) -> Tensor:
    """Which boxes to keep, best score first; of equal scores, the earlier box.

    Args:
        boxes: `(N, 4)`, left, top, right, bottom.
        scores: `(N,)`.
        overlap: a box whose intersection with a better one is a larger share than this of their
            union (IoU) goes.
        within: the same, as a share of the smaller of both boxes: a mouth inside a face. None
            goes for that unless it is given.
        most: stop when this many are kept.

    Returns:
        Indices `(K,)`, int64.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order]
    rest = torch.arange(len(boxes))
    kept: list[Tensor] = []
    while len(rest) and (most is None or len(kept) < most):
        best, rest = rest[0], rest[1:]
        kept.append(best)
        of_union, of_smaller = overlap_shares(boxes[best], boxes[rest])
        rest = rest[~((of_union > overlap) | (of_smaller > within))]
    return order[torch.stack(kept)] if kept else order


def overlap_shares(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """What boxes `(*, 4)` have in common with others, `(*, 4)`; batches broadcast.

    Returns:
        The intersection as a share of their union (IoU) and of the smaller one, `(*)` float64; NaN
        where that is empty.
    """
    corner = torch.maximum(boxes[..., :2], others[..., :2])
    opposite = torch.minimum(boxes[..., 2:], others[..., 2:])
    shared = (opposite - corner).clamp_min(0).prod(-1)
    area, other = ((b[..., 2:] - b[..., :2]).prod(-1) for b in (boxes, others))
    # float64 only now: the limits that shares are compared with are not rounded to float32
    return (shared / (area + other - shared)).double(), (shared / area.minimum(other)).double()

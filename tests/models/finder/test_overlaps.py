"""Non-maximum suppression of face boxes."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.finder.overlaps import overlap_shares, suppress_overlaps


def random_boxes(count: int, seed: int) -> torch.Tensor:
    """Boxes `(count, 4)` that overlap a lot; some are empty."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 100
    size = (torch.rand(count, 2, generator=generator) * 60 - 5).clamp_min(0)
    return torch.cat([corner, corner + size], 1)


def test_a_mouth_within_a_face_and_the_face_found_again_go() -> None:
    boxes = torch.tensor(
        [
            [0.0, 0.0, 100.0, 100.0],
            [5.0, 5.0, 105.0, 105.0],  # the same face again
            [30.0, 60.0, 60.0, 90.0],  # its mouth
            [95.0, 95.0, 195.0, 195.0],  # a neighbour
        ]
    )
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    assert suppress_overlaps(boxes, scores, 0.35, within=0.6).tolist() == [0, 3]
    assert suppress_overlaps(boxes, scores, 0.35).tolist() == [0, 2, 3]
    assert suppress_overlaps(boxes, scores.flip(0), 0.35).tolist() == [3, 2, 1]
    assert suppress_overlaps(boxes, scores, 0.35, most=1).tolist() == [0]
    assert suppress_overlaps(boxes[:0], scores[:0], 0.35).tolist() == []


def test_the_earlier_of_equally_good_boxes_stays() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).expand(3, 4)
    assert suppress_overlaps(boxes, torch.tensor([0.5, 0.7, 0.7]), 0.5).tolist() == [1]


def test_a_share_of_exactly_the_limit_stays() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 1.0]])
    scores = torch.tensor([0.9, 0.8])
    assert overlap_shares(boxes[0], boxes[1])[0] == 0.5
    assert suppress_overlaps(boxes, scores, 0.5).tolist() == [0, 1]
    assert suppress_overlaps(boxes, scores, 0.49).tolist() == [0]


def test_as_torchvision() -> None:
    ops = pytest.importorskip("torchvision.ops")
    for seed in range(20):
        boxes = random_boxes(40 * seed + 1, seed)
        scores = torch.rand(len(boxes), generator=torch.Generator().manual_seed(seed))
        if seed % 2:
            scores = (scores * 8).round() / 8  # many are equal
        for limit in (0.35, 0.4, 0.6, 0.9):
            kept = suppress_overlaps(boxes, scores, limit)
            assert torch.equal(kept, ops.nms(boxes, scores, limit))
            assert torch.equal(suppress_overlaps(boxes, scores, limit, most=7), kept[:7])
        shares, _ = overlap_shares(boxes[:, None], boxes)
        assert torch.equal(shares.float().nan_to_num(-1), ops.box_iou(boxes, boxes).nan_to_num(-1))

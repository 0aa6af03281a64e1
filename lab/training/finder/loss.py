"""Targets and losses of the finder's two networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.finder.landmarks import REFINER_TEMPLATE, usable_landmarks
from ....models.finder.net import DETECTOR_STRIDE, DETECTOR_UNIT, REFINER_SIZE
from ....models.geometry.similarity import similarity_transform, transform_points
from ....models.imaging.align import warp_affine

SMALLEST, LARGEST = 11.0, 60.0  # side of the tight crop the detector is responsible for, px
CLOSE_UP = 95.0  # from here on the detector has to see parts, not a face
REFINER_EYE_DISTANCE = 19.2  # pixels between the eyes in a refiner crop
CLOSE_EYE_DISTANCE = 32.6  # and in a polisher crop


@dataclass(frozen=True, eq=False)
class CellTargets:
    """Per cell of the detector's output: positive and weight (B, h, w) bool, and for positives
    the landmarks (B, h, w, 5, 2) and size (B, h, w) of their face."""

    positive: Tensor
    counted: Tensor
    landmarks: Tensor
    size: Tensor


def cell_targets(
    landmarks: Tensor, size: Tensor, present: Tensor, outside: Tensor, scene: int
) -> CellTargets:
    """Assign faces to cells: those near the face's centre are positive, a ring is left out.

    Faces a little out of the detector's range of sizes, or cut by the frame, are left out
    altogether; close-ups are background.
    """
    cells = cell_centres(scene // DETECTOR_STRIDE, landmarks.device)
    centre = landmarks.mean(2)
    gap = (cells[None, None] - centre[:, :, None, None]).abs().amax(-1)  # (B, K, h, w)
    inside = ((landmarks >= 0) & (landmarks <= scene - 1)).all(-1).sum(-1) >= 4
    in_range = (size >= SMALLEST) & (size <= LARGEST)
    known = present & in_range & inside
    reach = size[:, :, None, None]
    positive = (gap < (0.16 * reach).clamp_min(4.01)) & known[:, :, None, None]
    near = torch.where(
        known[:, :, None, None], gap < (0.35 * reach).clamp_min(8.0), gap < 0.45 * reach + 2
    )
    near &= (present & (size <= CLOSE_UP))[:, :, None, None]
    nearest = torch.where(positive, gap, torch.inf).argmin(1)  # (B, h, w)
    batch = torch.arange(len(size), device=size.device).reshape(-1, 1, 1)
    is_positive = positive.any(1) & ~outside
    counted = (is_positive | ~near.any(1)) & ~outside
    return CellTargets(is_positive, counted, landmarks[batch, nearest], size[batch, nearest])


def cell_centres(cells: int, device: torch.device) -> Tensor:
    """(cells, cells, 2) pixel coordinates (x, y) of the cells' centres."""
    axis = torch.arange(cells, device=device) * float(DETECTOR_STRIDE) + (DETECTOR_STRIDE - 1) / 2
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([xs, ys], -1)


def detector_loss(output: Tensor, targets: CellTargets) -> tuple[Tensor, Tensor]:
    """Focal loss of the score (Lin et al. 2017, per positive cell) and Huber loss of the
    landmarks in face sizes."""
    logits = output[:, 0].float()
    positive = targets.positive
    probability = logits.sigmoid().detach()
    miss = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
    focus = torch.where(positive, 1 - probability, probability).square()
    count = positive.sum().clamp_min(1)
    score_loss = (miss * focus * targets.counted).sum() / count
    if not bool(positive.any()):
        return score_loss, output.sum() * 0.0
    offsets = output[:, 1:].float().permute(0, 2, 3, 1)[positive].reshape(-1, 5, 2)
    cells = cell_centres(output.shape[-1], output.device).expand(len(output), -1, -1, 2)[positive]
    predicted = offsets * DETECTOR_UNIT + cells.unsqueeze(1)
    error = (predicted - targets.landmarks[positive]) / targets.size[positive].reshape(-1, 1, 1)
    return score_loss, F.huber_loss(error, torch.zeros_like(error), delta=0.05) * 200


def refiner_loss(
    points: Tensor, logits: Tensor, target: Tensor, is_face: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Score loss, landmark loss, and the plain mean error in eye distances for the log."""
    score_loss = F.binary_cross_entropy_with_logits(logits.float(), is_face.float())
    if not bool(is_face.any()):
        return score_loss, points.sum() * 0.0, points.new_zeros(())
    return score_loss, *landmark_loss(points[is_face], target[is_face], REFINER_EYE_DISTANCE)


def landmark_loss(points: Tensor, target: Tensor, eye_distance: float) -> tuple[Tensor, Tensor]:
    """Huber loss in eye distances, linear from 3% on (the labels are a teacher's, with outliers),
    and the plain mean error for the log."""
    error = (points - target) / eye_distance
    loss = F.huber_loss(error, torch.zeros_like(error), delta=0.03) * 300
    return loss, error.detach().norm(dim=-1).mean()


def mined_crops(
    images: Tensor,
    output: Tensor,
    targets: CellTargets,
    faces: tuple[Tensor, Tensor, Tensor],
    count: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the detector itself would hand to the refiner: its best finds on faces, and its worst
    mistakes, up to `count` of each, aligned by the landmarks it gave.

    Whether a find is a face is decided by its landmarks: within a fifth of the face's size of the
    true ones it is, beyond 0.45 of any face it is not, and what lies between is left out.

    Args:
        images: (B, 3, H, W).
        output: of the detector.
        targets: for the same scenes.
        faces: landmarks (B, K, 5, 2), size (B, K) and present (B, K) of the scenes.
        count: of each kind.

    Returns:
        Crops (N, 3, 64, 64), landmarks (N, 5, 2) in crop pixels and is_face (N,), without gradient.
    """
    score = output[:, 0].detach().float().sigmoid()
    cells = cell_centres(output.shape[-1], output.device).expand(len(output), -1, -1, 2)
    rows = []
    for wanted in (targets.positive, targets.counted & ~targets.positive):
        # A random factor, so that it is not always the same few.
        rank = torch.where(wanted, score * (0.5 + torch.rand_like(score)), -1.0).flatten()
        best = rank.topk(count).indices
        rows.append(best[rank[best] > 0.02])
    chosen = torch.cat(rows)
    batch = chosen // score[0].numel()
    offsets = output[:, 1:].detach().float().permute(0, 2, 3, 1).reshape(-1, 5, 2)[chosen]
    found = offsets * DETECTOR_UNIT + cells.reshape(-1, 1, 2)[chosen]

    landmarks, size, present = (value[batch] for value in faces)
    found_size = (found[:, 0] - found[:, 1]).norm(dim=-1, keepdim=True) / 0.38
    distance = (found.unsqueeze(1) - landmarks).norm(dim=-1).mean(-1)
    distance = distance / torch.minimum(size, found_size).clamp_min(1.0)
    distance = torch.where(present, distance, torch.inf)
    nearest, which = distance.min(1)
    is_face = nearest < 0.2
    good = (is_face | (nearest > 0.45)) & usable_landmarks(found)
    found, is_face, batch, which = found[good].double(), is_face[good], batch[good], which[good]
    truth = landmarks[good][torch.arange(len(which), device=which.device), which]

    place = REFINER_TEMPLATE.pixels().to(found.device)
    transform = similarity_transform(found, place.expand_as(found))
    crops = warp_affine(images[batch], transform, (REFINER_SIZE, REFINER_SIZE))
    return crops, transform_points(transform, truth).float(), is_face

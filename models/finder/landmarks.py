"""Five landmarks of a face: the crops they place, and the box that belongs to them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry.similarity import similarity_transform, transform_points
from ..geometry.templates import TIGHT, WIDE, AlignmentTemplate
from .net import POLISHER_SIZE, REFINER_SIZE

# The crop the refiner sees: the face with some surroundings, eyes 0.30 of the side apart.
REFINER_TEMPLATE = AlignmentTemplate(
    "finder",
    0.5 + (WIDE.points - torch.tensor([0.5, 0.51], dtype=torch.float64)) * (0.30 / 0.32),
    REFINER_SIZE,
)
# The crop the polisher sees: closer, eyes 0.34 apart.
POLISHER_TEMPLATE = AlignmentTemplate(
    "finder_close",
    0.5 + (WIDE.points - torch.tensor([0.5, 0.51], dtype=torch.float64)) * (0.34 / 0.32),
    POLISHER_SIZE,
)
# A face's box in the tight crop: centre and size as fractions of the crop's side (medians over
# the boxes of the training portraits).
BOX_CENTRE = (0.4956, 0.4345)
BOX_SIZE = (0.7835, 1.0945)

MIRRORED = [1, 0, 2, 4, 3]  # order of the landmarks in a mirrored picture


def usable_landmarks(landmarks: Tensor) -> Tensor:
    """(N,) bool: finite, and spread out enough to give a transform."""
    finite = torch.isfinite(landmarks).flatten(1).all(1)
    points = torch.nan_to_num(landmarks)
    spread = (points.amax(1) - points.amin(1)).sum(1)
    return finite & (spread > 1.0)


def landmark_boxes(landmarks: Tensor) -> Tensor:
    """Upright face boxes (N, 4) float32 of landmarks (N, 5, 2)."""
    unit = TIGHT.points.expand_as(landmarks)
    transform = similarity_transform(unit, landmarks) if len(landmarks) else torch.zeros(0, 2, 3)
    centre = transform_points(transform, torch.tensor([BOX_CENTRE]))[:, 0]
    side = transform[:, :, 0].norm(dim=-1, keepdim=True).double()
    half = side * torch.tensor(BOX_SIZE, dtype=torch.float64) / 2
    return torch.cat([centre - half, centre + half], 1).float()

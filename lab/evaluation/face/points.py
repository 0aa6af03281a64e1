"""Dense landmarks of crops, and what they say of a mouth."""

from __future__ import annotations

import torch
from torch import Tensor

from ....models.architectures.face.points import LIPS
from ....models.finder.dense_landmarks import load_dense_landmarks
from ....models.geometry.similarity import similarity_transform, transform_points
from ....models.geometry.templates import WIDE, AlignmentTemplate
from ....models.imaging.align import reframe
from .outside import Measure

SIDE = 224  # pixels of the crops that are looked at
BATCH = 50
EYES = (33, 133, 362, 263)  # corners, which stay when a mouth moves or a gaze turns
_AWAY = ((-0.68, 0.0), (-0.32, 0.0), (0.32, 0.0), (0.68, 0.0))  # where they usually are


def find_points(crops: Tensor, template: AlignmentTemplate, find: Measure | None = None) -> Tensor:
    """Dense landmarks of crops that a template frames.

    Args:
        crops: `(B, 3, S, S)` in [0, 1].
        template: frames them.
        find: another judge than the bundled network: a function from crops of template "wide", 224
            px, to what this one returns.

    Returns:
        `(B, 478, 3)` as `DenseLandmarks.find` gives them, in shares of the side of template "wide".
    """
    find, wide = find or bundled_points, WIDE.resized(SIDE)
    return torch.cat([find(reframe(part, template, wide)) for part in crops.split(BATCH)])


def bundled_points(crops: Tensor) -> Tensor:
    """What the bundled network finds in crops `(B, 3, 224, 224)`."""
    return load_dense_landmarks().find(crops)[0]


def in_eye_distances(points: Tensor) -> Tensor:
    """Points `(B, 478, 2)` float32 about the middle of the eyes, the eye line level, the centres of
    the eyes 1 apart.

    Args:
        points: `(B, 478, 2 or more)`.
    """
    corners = points[:, EYES, :2]
    target = torch.tensor(_AWAY).expand_as(corners)
    return transform_points(similarity_transform(corners, target), points[..., :2]).float()


def mouth_shape(placed: Tensor) -> Tensor:
    """Width of mouths, height of their corners above the eye line (negative), and how far lips are
    apart, `(B, 3)` in eye distances.

    Args:
        placed: of `in_eye_distances`.
    """
    corners = placed[:, (61, 291)]
    width = (corners[:, 1] - corners[:, 0]).norm(dim=1)
    gap = placed[:, 14, 1] - placed[:, 13, 1]
    return torch.stack([width, -corners[..., 1].mean(1), gap], 1)


def lips(placed: Tensor) -> Tensor:
    """The points of lips, `(B, L, 2)`."""
    return placed[:, list(LIPS)]

"""Where the points of a face are: pose and a linear basis of frontal shapes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...finder.landmarks_net import POINTS
from ...values import Reading
from .points import OPENINGS
from .pose import ANGLES, POSE_NAMES, measure_pose, place

_UPPER, _LOWER = (
    torch.tensor(points)
    for points in zip(*(pair for pairs in OPENINGS for pair in pairs), strict=True)
)
# How far from upper to lower they meet: lips halfway, lids at the lower one, which hardly moves.
_MEET = torch.cat([torch.full((len(OPENINGS[0]), 1), 0.5), torch.ones(len(OPENINGS[1]) * 2, 1)])
PARTED = (0.019, 0.035)  # sides: gaps of lips up to which all of the inside is hidden, and none
POSE_PARITY = (-1, 1, -1, -1, 1, 1)  # of yaw, pitch, roll, x, y, size in a mirrored picture


class FaceShape(nn.Module):
    """White numbers of pose and shape, and the dense landmarks that they stand for.

    Points are `(B, 478, 3)` in shares of the crop's side from its middle.
    """

    mean: Tensor
    basis: Tensor
    std: Tensor
    parity: Tensor
    pose_mean: Tensor
    pose_std: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(POINTS, 3))  # frontal, about the head's centre
        self.register_buffer("basis", torch.zeros(count, POINTS, 3))  # orthonormal
        self.register_buffer("std", torch.ones(count))  # along it, of training faces
        self.register_buffer("parity", torch.ones(count, dtype=torch.int8))
        self.register_buffer("pose_mean", torch.zeros(len(POSE_NAMES)))
        self.register_buffer("pose_std", torch.ones(len(POSE_NAMES)))

    def pose(self, codes: Tensor) -> Tensor:
        """Poses `(B, 6)` (see `pose.place`) of white ones `(B, 6)`."""
        return codes * self.pose_std + self.pose_mean

    def frontal(self, codes: Tensor) -> Tensor:
        """Frontal shapes `(B, 478, 3)` of white ones `(B, K)`."""
        moved = ((codes * self.std) @ self.basis.flatten(1)).unflatten(1, (POINTS, 3))
        return keep_apart(self.mean + moved)

    def points(self, pose: Tensor, shape: Tensor) -> Tensor:
        """Dense landmarks of white poses `(B, 6)` and shapes `(B, K)`."""
        return place(self.frontal(shape), self.pose(pose))

    def measure(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """White pose and shape of dense landmarks, the inverse of `points` but for the shape's
        part beyond the basis."""
        return self.whiten(*measure_pose(points, self.mean))

    def whiten(self, pose: Tensor, frontal: Tensor) -> tuple[Tensor, Tensor]:
        """White pose and shape of poses `(B, 6)` and frontal shapes, see `pose.measure_pose`."""
        shape = (frontal - self.mean).flatten(1) @ self.basis.flatten(1).T / self.std
        return (pose - self.pose_mean) / self.pose_std, shape


def angle_readings(shape: FaceShape, numbers: int) -> tuple[Reading, ...]:
    """Yaw, pitch and roll in degrees, as read off codes of so many numbers."""
    rows = torch.eye(ANGLES, numbers) * shape.pose_std[:ANGLES, None].cpu()
    zeros = shape.pose_mean[:ANGLES].tolist()
    return tuple(Reading(row, zero, "degrees") for row, zero in zip(rows, zeros, strict=True))


def lip_gap(frontal: Tensor) -> Tensor:
    """How far the lips of frontal shapes `(B, 478, 3)` are apart, `(B,)` in sides of the crop."""
    gap: Tensor = (frontal[:, 14] - frontal[:, 13]).norm(dim=1)
    return gap


def parted(frontal: Tensor) -> Tensor:
    """How much of the mouth's inside frontal shapes `(B, 478, 3)` show, `(B,)` in [0, 1]."""
    low, high = PARTED
    return ((lip_gap(frontal) - low) / (high - low)).clamp(0, 1)


def keep_apart(shapes: Tensor) -> Tensor:
    """Frontal shapes `(B, 478, 3)` whose lips and lids do not cross: they meet."""
    upper, lower = shapes[:, _UPPER], shapes[:, _LOWER]
    crossed = (upper[..., 1:2] > lower[..., 1:2]) & torch.tensor(
        [False, True, False], device=shapes.device
    )
    if not bool(crossed.any()):
        return shapes
    met = upper + _MEET.to(shapes) * (lower - upper)
    shapes = shapes.index_copy(1, _UPPER.to(shapes.device), torch.where(crossed, met, upper))
    return shapes.index_copy(1, _LOWER.to(shapes.device), torch.where(crossed, met, lower))

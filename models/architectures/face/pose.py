"""Where a head is and how it is turned: a similarity in space, seen without perspective.

Points are in shares of the crop's side from its middle: x to the viewer's right, y down, z away
from the viewer. Angles are in degrees. Positive yaw turns the nose to the viewer's right, positive
pitch turns it down, positive roll lowers the side at the viewer's right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .points import RIGID

POSE_NAMES = ("yaw", "pitch", "roll", "x", "y", "size")
ANGLES = 3  # of these come first


def rotation_matrices(angles: Tensor) -> Tensor:
    """Angles `(B, 3)` (yaw, pitch, roll) in degrees to rotations `(B, 3, 3)`, points being rows.

    `points @ R` turns the head about y first, then about x, then in the picture.
    """
    sin, cos = torch.deg2rad(angles).sin(), torch.deg2rad(angles).cos()
    zero, one = torch.zeros_like(sin[:, 0]), torch.ones_like(sin[:, 0])

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values, 1).view(-1, 3, 3)

    (sy, sx, sz), (cy, cx, cz) = sin.unbind(1), cos.unbind(1)
    yaw = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    pitch = matrix(one, zero, zero, zero, cx, sx, zero, -sx, cx)
    roll = matrix(cz, sz, zero, -sz, cz, zero, zero, zero, one)
    return yaw @ pitch @ roll


def angles_of(rotations: Tensor) -> Tensor:
    """The inverse of `rotation_matrices`; pitch in +-90 degrees."""
    yaw = torch.atan2(rotations[:, 0, 2], rotations[:, 2, 2])
    pitch = torch.asin(rotations[:, 1, 2].clamp(-1, 1))
    roll = torch.atan2(-rotations[:, 1, 0], rotations[:, 1, 1])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))


def place(shapes: Tensor, pose: Tensor) -> Tensor:
    """Frontal shapes `(B, N, 3)` as a pose `(B, 6)` shows them.

    Args:
        shapes: about the head's centre.
        pose: yaw, pitch, roll in degrees, x and y of the head's centre in shares of the side from
            the crop's middle, and the logarithm of the size.
    """
    turned = shapes @ rotation_matrices(pose[:, :3])
    placed = turned * pose[:, 5].exp()[:, None, None]
    return torch.cat([placed[..., :2] + pose[:, None, 3:5], placed[..., 2:]], -1)


def measure_pose(points: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Pose and frontal shape of dense landmarks (Kabsch 1976, Umeyama 1991).

    The rotation and size are those that lay the rigid points of `mean` best onto the face's.

    Args:
        points: `(B, N, 3)`.
        mean: `(N, 3)`, a frontal shape about the head's centre.

    Returns:
        Poses `(B, 6)` and shapes `(B, N, 3)`; `place` gives the points back, up to their depth's
        zero.
    """
    rigid = list(RIGID)
    source = mean[rigid] - mean[rigid].mean(0)
    middle = points[:, rigid].mean(1)
    target = points[:, rigid] - middle[:, None]
    u, s, vt = torch.linalg.svd(source.T @ target)
    flip = torch.ones_like(s)
    flip[:, 2] = torch.sign(torch.linalg.det(u @ vt))
    rotation = (u * flip[:, None]) @ vt
    size = (s * flip).sum(1) / source.square().sum()
    shapes = (points - middle[:, None]) @ rotation.mT / size[:, None, None] + mean[rigid].mean(0)
    shift = middle - size[:, None] * (mean[rigid].mean(0) @ rotation)
    pose = torch.cat([angles_of(rotation), shift[:, :2], size.log()[:, None]], 1)
    return pose, shapes

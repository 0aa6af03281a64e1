"""Poses: angles, their signs, and measuring what was placed."""

from __future__ import annotations

import math

import torch
from face_latents.models.architectures.face.points import RIGID
from face_latents.models.architectures.face.pose import (
    POSE_NAMES,
    angles_of,
    measure_pose,
    place,
    rotation_matrices,
)
from face_support import geometry, smooth_fields

NOSE, CHIN, FOREHEAD = 1, 152, 10
LEFT, RIGHT = 234, 454


def turned(**pose: float) -> torch.Tensor:
    """The mean face in a pose, `(478, 3)`."""
    numbers = torch.tensor([[pose.get(name, 0.0) for name in POSE_NAMES]])
    return place(geometry()["shape.mean"][None], numbers)[0]


def test_angles_come_back_from_their_rotation() -> None:
    generator = torch.Generator().manual_seed(0)
    angles = (torch.rand(64, 3, generator=generator) * 2 - 1) * torch.tensor([80.0, 80.0, 170.0])
    rotations = rotation_matrices(angles)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(64, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(64))
    torch.testing.assert_close(angles_of(rotations), angles, atol=0.02, rtol=0)
    assert torch.equal(rotation_matrices(torch.zeros(1, 3))[0], torch.eye(3))


def test_signs_are_those_of_the_picture() -> None:
    rest = turned()
    assert (turned(yaw=10.0) - rest)[NOSE, 0] > 0.01  # to the right
    assert (turned(pitch=10.0) - rest)[NOSE, 1] > 0.01  # down
    rolled = turned(roll=10.0) - rest
    assert rolled[RIGHT, 1] > 0.01  # the side at the picture's right goes down
    assert rolled[LEFT, 1] < -0.01
    assert rolled[CHIN, 0] < 0 < rolled[FOREHEAD, 0]  # clockwise
    moved = turned(x=0.1, y=-0.2) - rest
    torch.testing.assert_close(moved, torch.tensor([0.1, -0.2, 0.0]).expand_as(rest))
    torch.testing.assert_close(turned(size=math.log(2.0)), 2 * rest)


def test_a_placed_shape_is_measured_exactly() -> None:
    """Shapes whose rigid points are those of the mean: nothing else tells a pose."""
    generator = torch.Generator().manual_seed(0)
    mean = geometry()["shape.mean"]
    shapes = mean + 0.02 * smooth_fields(16, 0)
    spread = torch.tensor([30.0, 20.0, 40.0, 0.1, 0.1, 0.3])
    poses = (torch.rand(16, 6, generator=generator) * 2 - 1) * spread
    found, frontal = measure_pose(place(shapes, poses), mean)
    torch.testing.assert_close(found, poses, atol=2e-3, rtol=0)
    torch.testing.assert_close(frontal, shapes, atol=1e-5, rtol=0)


def test_points_come_back_whatever_the_shape() -> None:
    generator = torch.Generator().manual_seed(1)
    mean = geometry()["shape.mean"]
    shapes = mean + 0.01 * torch.randn(8, *mean.shape, generator=generator)
    poses = torch.randn(8, 6, generator=generator) * torch.tensor([9.0, 9.0, 9.0, 0.1, 0.1, 0.1])
    points = place(shapes, poses)
    again = place(*reversed(measure_pose(points, mean)))
    torch.testing.assert_close(again[..., :2], points[..., :2], atol=1e-5, rtol=0)
    depth = again[..., 2] - points[..., 2]
    torch.testing.assert_close(depth, depth[:, :1].expand_as(depth), atol=1e-5, rtol=0)


def test_what_expressions_move_does_not_turn_the_head() -> None:
    mean = geometry()["shape.mean"]
    loose = torch.tensor([n for n in range(len(mean)) if n not in RIGID])
    changed = mean.clone()
    changed[loose] += 0.05
    poses, _ = measure_pose(torch.stack([mean, changed]), mean)
    torch.testing.assert_close(poses[1], poses[0], atol=1e-3, rtol=0)


def test_poses_are_differentiable() -> None:
    points = turned(yaw=5.0)[None].requires_grad_()
    poses, shapes = measure_pose(points, geometry()["shape.mean"])
    (poses.square().sum() + shapes.square().sum()).backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()
    assert points.grad.abs().max() > 0

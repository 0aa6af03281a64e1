"""Shape and pose as white numbers."""

from __future__ import annotations

import torch
from face_latents.models.architectures.face.shape import FaceShape, keep_apart
from face_support import MIRROR, SHAPES, geometry, shape_tensors


def shape(seed: int = 0) -> FaceShape:
    made = FaceShape(SHAPES)
    made.load_state_dict({n.removeprefix("shape."): t for n, t in shape_tensors(seed).items()})
    return made


def white(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 6, generator=generator), torch.randn(
        count, SHAPES, generator=generator
    )


def test_points_are_measured_as_the_numbers_that_made_them() -> None:
    pose, form = white(12)
    found = shape().measure(shape().points(pose, form))
    torch.testing.assert_close(found[0], pose, atol=5e-3, rtol=0)
    torch.testing.assert_close(found[1], form, atol=5e-3, rtol=0)


def test_numbers_of_zero_are_the_mean_pose_and_face() -> None:
    made = shape()
    torch.testing.assert_close(made.frontal(torch.zeros(1, SHAPES))[0], made.mean)
    pose, form = made.measure(made.points(torch.zeros(1, 6), torch.zeros(1, SHAPES)))
    assert pose.abs().max() < 5e-3
    assert form.abs().max() < 5e-3
    assert float(made.pose(torch.zeros(1, 6))[0, 1]) == float(made.pose_mean[1]) != 0


def test_what_the_basis_cannot_say_is_left_out() -> None:
    made = shape()
    points = made.points(*white(4))
    aside = torch.randn(points.shape, generator=torch.Generator().manual_seed(5)) * 1e-2
    rigid = made.basis.abs().sum((0, 2)) < 1e-6  # these tell the pose
    aside[:, rigid] = 0
    within = (aside.flatten(1) @ made.basis.flatten(1).T) @ made.basis.flatten(1)
    aside = aside - within.view_as(aside)
    frontal = made.frontal(white(4)[1])
    still = torch.zeros(4, 6) - made.pose_mean / made.pose_std
    plain = made.measure(frontal)
    found = made.measure(frontal + aside)
    torch.testing.assert_close(found[1], plain[1], atol=5e-3, rtol=0)
    torch.testing.assert_close(found[0], still, atol=5e-3, rtol=0)


def test_signs_of_the_parity_mirror_a_face() -> None:
    made = shape()
    pose, form = white(5)
    signs = torch.tensor([-1.0, 1.0, -1.0, -1.0, 1.0, 1.0])
    points = made.points(pose, form)
    mirrored = made.points(pose * signs, form * made.parity)
    torch.testing.assert_close(mirrored, points[:, geometry()["order"]] * MIRROR, atol=1e-4, rtol=0)


def test_lips_meet_halfway_and_lids_at_the_lower_one() -> None:
    face = shape().mean[None].clone()
    lower_lip, lower_lid = float(face[0, 14, 1]), float(face[0, 145, 1])
    face[0, 13, 1], face[0, 159, 1] = lower_lip + 0.02, lower_lid + 0.02
    met = keep_apart(face)[0]
    torch.testing.assert_close(met[[13, 14], 1], torch.full((2,), lower_lip + 0.01))
    torch.testing.assert_close(met[[159, 145], 1], torch.full((2,), lower_lid))
    others = [point for point in range(len(met)) if point not in (13, 14, 159, 145)]
    assert torch.equal(met[others], face[0, others])
    assert torch.equal(keep_apart(shape().mean[None]), shape().mean[None])

"""Mean face, mesh, basis of shapes, and mouths that are filled, from made-up faces."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.training.face import appearance
from face_latents.lab.training.face.appearance import fill_mouths
from face_latents.lab.training.face.geometry import (
    add_one_sided,
    canonical_face,
    fit_shapes,
    mean_face,
    one_sided,
    triangulate,
    within_hollows,
)
from face_latents.models.architectures.face.points import (
    COVERED,
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    OVAL,
    RIGHT_IRIS,
)
from face_latents.models.architectures.face.pose import measure_pose
from face_latents.models.architectures.face.shape import FaceShape, parted
from face_latents.models.geometry.templates import WIDE
from face_support import MIRROR, five_of, geometry, random_faces, smooth_fields

ORDER = geometry()["order"]


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return random_faces(60, seed=3)


@pytest.fixture(scope="module")
def mean(faces: torch.Tensor) -> torch.Tensor:
    return mean_face(faces, ORDER)


def symmetric(face: torch.Tensor) -> torch.Tensor:
    return face[ORDER] * MIRROR


def test_the_mean_face_is_symmetric_frontal_and_in_the_template(
    faces: torch.Tensor, mean: torch.Tensor
) -> None:
    torch.testing.assert_close(symmetric(mean), mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean[[234, 454], 1:].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    eyes = mean[[468, 473], 0].diff()
    assert eyes == pytest.approx(0.32, abs=0.02)
    assert torch.equal(mean, mean_face(faces, ORDER))
    canon = canonical_face(measure_pose(faces, mean)[1], ORDER)
    torch.testing.assert_close(symmetric(canon), canon, atol=1e-5, rtol=0)
    assert (five_of(canon) - (WIDE.points - 0.5)).abs().max() < 0.05


def test_the_mesh_covers_the_face_once_and_its_hollows_come_first() -> None:
    canon = geometry()["canon"]
    triangles = triangulate(canon)
    assert triangles.dtype == torch.int64
    assert len({tuple(sorted(each)) for each in triangles.tolist()}) == len(triangles)
    assert set(triangles.flatten().tolist()) == set(range(len(canon))) - set(COVERED)
    u, v = (canon[triangles[:, i], :2] - canon[triangles[:, 0], :2] for i in (1, 2))
    area = (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]).abs().sum() / 2
    outline = canon[list(OVAL), :2]
    following = outline.roll(-1, 0)
    polygon = (outline[:, 0] * following[:, 1] - outline[:, 1] * following[:, 0]).sum().abs() / 2
    assert float(area / polygon) == pytest.approx(1, abs=0.03)
    for hollow in (INNER_LIPS, LEFT_EYE):
        within = torch.isin(triangles, torch.tensor(hollow)).all(1).nonzero().flatten()
        assert len(within) > 5
        assert within.max() < 120 < len(triangles)


def test_the_basis_is_orthonormal_white_and_knows_its_mirror(
    faces: torch.Tensor, mean: torch.Tensor
) -> None:
    tensors = fit_shapes(faces, mean, ORDER, 10)
    basis = tensors["shape.basis"].flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(10), atol=1e-4, rtol=0)
    shape = FaceShape(10)
    shape.load_state_dict({n.removeprefix("shape."): t for n, t in tensors.items()})
    signs = shape.parity.float()[:, None, None]
    torch.testing.assert_close(
        shape.basis[:, ORDER] * MIRROR, signs * shape.basis, atol=1e-4, rtol=0
    )
    pose, codes = shape.measure(faces)
    both = torch.cat([codes, codes * shape.parity])
    covariance = both.T @ both / len(both)
    torch.testing.assert_close(covariance, torch.eye(10), atol=0.02, rtol=0)
    torch.testing.assert_close(pose.std(0), torch.ones(6), atol=1e-3, rtol=0)
    assert (shape.std.diff() <= 0).all()
    assert (tensors["shape.pose_mean"][[0, 2, 3]] == 0).all()  # of faces and their mirror images


def test_one_side_of_a_field_is_one_side(mean: torch.Tensor) -> None:
    field = torch.ones_like(mean)
    left, right = one_sided(field, mean, -1), one_sided(field, mean, 1)
    torch.testing.assert_close(left + right, field)
    assert left[234].min() > 0.99
    assert left[454].max() < 0.01
    torch.testing.assert_close(symmetric(left) * MIRROR, right, atol=1e-4, rtol=0)


def test_what_tells_one_side_is_added_to_the_basis(faces: torch.Tensor, mean: torch.Tensor) -> None:
    tensors = fit_shapes(faces, mean, ORDER, 6)
    field = smooth_fields(1, 9)[0]
    field = (field + symmetric(field)) / 2
    added = add_one_sided(tensors, [field], faces)
    basis = added["shape.basis"].flatten(1)
    torch.testing.assert_close(basis @ basis.T, torch.eye(7), atol=1e-4, rtol=0)
    assert added["shape.parity"][-1] == -1
    assert added["shape.std"][-1] > 0
    one = one_sided(field, mean, 1) - one_sided(field, mean, -1)
    kept = (one.flatten() @ basis.T) @ basis
    torch.testing.assert_close(kept, one.flatten(), atol=1e-4, rtol=0)


def test_lips_that_are_apart_show_the_inside() -> None:
    shapes = geometry()["shape.mean"].repeat(3, 1, 1)
    shapes[:, 14] = shapes[:, 13] + torch.tensor([[0.0], [0.027], [0.1]]) * torch.tensor(
        [0, 1.0, 0]
    )
    closed, between, opened = parted(shapes).tolist()
    assert closed == 0
    assert 0.2 < between < 0.8
    assert opened == 1


def test_closed_mouths_are_filled_by_what_the_face_makes_likely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dark faces have dark insides here, bright faces bright ones."""
    monkeypatch.setattr(appearance, "RIDGE", 0.1)  # made for thousands of faces
    generator = torch.Generator().manual_seed(0)
    tone = torch.rand(40, 1, 1, 1, generator=generator) * 120 + 60
    pictures = (tone.expand(40, 3, 28, 28) + torch.rand(40, 3, 28, 28, generator=generator)).clone()
    mouth = torch.zeros(28, 28)
    mouth[16:20, 10:18] = 1
    pictures[:, :, 16:20, 10:18] = tone / 2
    shown = (torch.arange(40) % 2).float()
    pictures[::2, :, 16:20, 10:18] = 255  # closed: whatever lies there is not the inside
    pictures = pictures.to(torch.uint8)
    filled = fill_mouths(pictures, shown, mouth)
    assert torch.equal(filled[1::2], pictures[1::2])
    assert torch.equal(filled[..., mouth == 0], pictures[..., mouth == 0])
    inside, likely = filled[::2, 0, 17, 13].float(), tone[::2, 0, 0, 0] / 2
    assert torch.corrcoef(torch.stack([inside, likely]))[0, 1] > 0.9
    assert (inside - likely).abs().max() < 40


def test_no_triangle_ties_an_iris_to_the_skin() -> None:
    """Irises whose tops lids cover would hold lids up that close."""
    canon = geometry()["canon"].clone()
    canon[[470, 475], 1] -= 0.03  # above the upper lids
    triangles = triangulate(canon)
    irises = torch.isin(triangles, torch.tensor(LEFT_IRIS + RIGHT_IRIS)).any(1)
    assert irises.any()
    assert within_hollows(triangles)[irises].all()

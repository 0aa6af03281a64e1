"""The face model's network: codes of pictures, pictures of codes, mirrors, random faces."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from face_latents.models.architectures.face.net import FITTING, POSES, FaceShapeAppearanceNet
from face_latents.models.face_model import FaceModel
from face_support import COUNT, LOOKS, SHAPES, SIZE, random_codes, small_net
from live_support import LiveBytes


@pytest.fixture(scope="module")
def net() -> FaceShapeAppearanceNet:
    """Its renderer adds nothing."""
    return small_net()


def test_a_code_is_pose_shape_and_appearance(net: FaceShapeAppearanceNet) -> None:
    assert net.code_shape == (COUNT,)
    codes = random_codes(2)
    parts = net.split(codes.double())
    assert [part.shape[1] for part in parts] == [POSES, SHAPES, LOOKS]
    assert torch.equal(torch.cat(parts, 1), codes)
    for part, numbers in zip(parts, net.capabilities().parts.values(), strict=True):
        assert torch.equal(part, codes[:, numbers])
    assert net.parity.shape == (COUNT,)
    assert net.parity.abs().min() == 1


def test_a_drawn_face_is_read_as_its_code(net: FaceShapeAppearanceNet) -> None:
    codes = random_codes(4, scale=0.7)
    found = net.encode_points(net.decode(codes), net.points(codes))
    skip = POSES + SHAPES
    torch.testing.assert_close(found[:, :skip], codes[:, :skip], atol=5e-3, rtol=0)
    looks = F.cosine_similarity(found[:, skip:], codes[:, skip:])
    assert looks.min() > 0.9


def test_the_appearance_is_read_off_the_canonical_face(net: FaceShapeAppearanceNet) -> None:
    looks = random_codes(3)[:, -LOOKS:]
    small = net.appearance.linear_sum(looks)
    torch.testing.assert_close(net.fit_canonical(small, torch.ones(3)), looks, atol=1e-3, rtol=0)


def test_the_hidden_inside_of_a_mouth_does_not_count(net: FaceShapeAppearanceNet) -> None:
    looks = random_codes(3)[:, -LOOKS:]
    small = net.appearance.linear_sum(looks)
    assert net.mouth_mask.sum() > 1
    stained = small + 0.5 * net.mouth_mask
    seen, hidden = (net.fit_canonical(stained, torch.full((3,), p)) for p in (1.0, 0.0))
    assert (hidden - looks).norm() < 0.5 * (seen - looks).norm()
    clean = net.fit_canonical(small, torch.zeros(3))
    assert (clean - looks).norm() < 0.5 * looks.norm()


def test_a_mirrored_code_is_the_mirrored_picture(net: FaceShapeAppearanceNet) -> None:
    codes = random_codes(3, scale=0.7)
    pictures, turned = net.decode(codes), net.decode(net.mirror(codes))
    difference = (turned - pictures.flip(-1)).abs()
    assert difference.mean() < 0.004  # triangles are filled by whole pixels
    assert (turned - pictures).abs().mean() > 10 * difference.mean()
    assert torch.equal(net.mirror(net.mirror(codes)), codes)


def test_faces_of_a_batch_do_not_touch_each_other(net: FaceShapeAppearanceNet) -> None:
    drawn = small_net(drawn=0.2)
    codes = random_codes(3)
    whole = drawn.decode(codes)
    for i in range(3):
        torch.testing.assert_close(drawn.decode(codes[i : i + 1])[0], whole[i], atol=1e-5, rtol=0)
    points = net.points(codes)
    together = net.encode_points(whole, points)
    apart = [net.encode_points(whole[i : i + 1], points[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-3, rtol=0)


def test_every_part_of_a_code_changes_the_picture_and_gradients_tell_how() -> None:
    net = small_net(drawn=0.1)
    codes = random_codes(2).requires_grad_()
    weights = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    (net.decode(codes) * weights).sum().backward()
    assert codes.grad is not None
    assert codes.grad.isfinite().all()
    assert (codes.grad.abs().amax(0) > 1e-4).all()


def test_the_renderer_draws_what_the_quick_picture_lacks() -> None:
    plain, drawn, codes = small_net(), small_net(drawn=0.2), random_codes(2)
    quick = plain.quick_decode(codes)
    assert quick.shape == (2, 3, SIZE, SIZE)
    assert (plain.decode(codes) - quick).abs().mean() < 0.05
    assert torch.equal(drawn.quick_decode(codes), quick)
    assert (drawn.decode(codes) - plain.decode(codes)).abs().mean() > 0.01


def test_the_style_weight_is_what_codes_add_to_the_soft_picture(
    net: FaceShapeAppearanceNet,
) -> None:
    weight = net.style_weight()
    assert weight.shape == (3 * (SIZE // 2) ** 2, COUNT)
    looks = torch.cat([torch.zeros(1, POSES + SHAPES), random_codes(1)[:, -LOOKS:]], 1)
    small = F.avg_pool2d(net.quick_decode(looks) - net.quick_decode(looks * 0), 2)
    torch.testing.assert_close((weight @ looks[0]).view_as(small), small, atol=1e-4, rtol=0)


def test_the_style_weight_of_the_bundled_model_is_held_once(face_model: FaceModel) -> None:
    with torch.inference_mode(), LiveBytes() as live:
        weight = face_model.module.style_weight()
    assert live.most < 1.5 * weight.numel() * weight.element_size()


def test_random_faces_are_upright_and_plain(net: FaceShapeAppearanceNet) -> None:
    std = net.sample_std
    assert std.shape == (COUNT,)
    assert (std[3:POSES] == 0).all()  # in the middle of the crop, at its size
    assert (std[POSES : POSES + SHAPES] == 1).all()
    assert (std.diff()[POSES + SHAPES :] <= 0).all()
    assert FITTING > 0


def test_the_bundled_model_reads_its_own_faces(face_model: FaceModel) -> None:
    net = face_model.module
    codes = face_model.sample(2, seed=3, truncation_psi=0.5)
    skip = POSES + len(net.shape.std)
    found = net.encode_points(face_model.decode(codes), net.points(codes))
    # lips that would cross are kept apart, which no code says
    assert (found - codes)[:, :skip].abs().mean() < 0.1
    assert F.cosine_similarity(found[:, skip:], codes[:, skip:]).min() > 0.7


def test_a_canonical_face_whose_mouth_is_not_seen_is_fitted() -> None:
    net = small_net()
    net.canon = net.canon + 3
    net.prepare()
    assert not net.mouth_mask.any()
    small = torch.rand(1, 3, SIZE // 2, SIZE // 2)
    hidden, seen = (net.fit_canonical(small, torch.full((1,), p)) for p in (0.0, 1.0))
    torch.testing.assert_close(hidden, seen, atol=1e-3, rtol=1e-3)

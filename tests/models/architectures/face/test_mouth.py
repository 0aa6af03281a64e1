"""The mouth painter: what it changes, and what it goes by."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.face.editor import edit_maps
from face_latents.models.architectures.face.mouth import (
    GAP,
    MouthPainter,
    mouth_shapes,
    painter_of,
)
from face_latents.models.architectures.face.net import FaceShapeAppearanceNet
from face_latents.models.imaging.edit_maps import EditMaps
from face_support import COUNT, SIZE, geometry, random_codes, small_net


@pytest.fixture(scope="module")
def net() -> FaceShapeAppearanceNet:
    return small_net(drawn=0.5)


def faces(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_only_the_inside_is_painted(net: FaceShapeAppearanceNet) -> None:
    before = faces()
    kept = before.clone()
    painted = net.painter.paint(before, torch.zeros(2, 3))
    assert torch.equal(before, kept)
    inside = torch.zeros(SIZE, SIZE)
    inside[net.painter.box] = net.painter.mask[0]
    outside = (inside == 0).expand_as(before)
    assert torch.equal(painted[outside], before[outside])
    assert (painted - before)[(inside > 0.9).expand_as(before)].abs().mean() > 0.02
    assert painted.min() >= 0
    assert painted.max() <= 1


def test_what_the_lips_hide_does_not_matter(net: FaceShapeAppearanceNet) -> None:
    seen, other = faces(), faces()
    box = other[net.painter.box]
    other[net.painter.box] = torch.where(net.painter.mask == 1, 1 - box, box)
    shapes = torch.zeros(2, 3)
    inside = net.painter.mask == 1
    first, second = (net.painter.paint(each, shapes)[net.painter.box] for each in (seen, other))
    assert inside.any()
    where = inside.expand_as(first)
    torch.testing.assert_close(first[where], second[where], atol=1e-5, rtol=0)


def test_colours_around_the_mouth_go_by_what_is_seen(net: FaceShapeAppearanceNet) -> None:
    red = torch.tensor([0.8, 0.3, 0.2])[None, :, None, None].expand(1, 3, SIZE, SIZE).clone()
    red[net.painter.box] = torch.where(net.painter.mask > 0.99, 0.0, red[net.painter.box])
    around = net.painter.around(red[net.painter.box])
    assert (around[:, 0] > 2 * around[:, 1]).all()


def test_parting_matters(net: FaceShapeAppearanceNet) -> None:
    narrow, wide = (
        net.painter.paint(faces(), torch.full((2, 3), v))[net.painter.box] for v in (-1.0, 1.0)
    )
    assert (narrow - wide).abs().max() > 1e-3


def test_shapes_are_those_of_parted_lips() -> None:
    frontal = geometry()["shape.mean"][None].repeat(3, 1, 1)
    middle = (frontal[0, 13, 1] + frontal[0, 14, 1]) / 2
    frontal[:, 13, 1], frontal[:, 14, 1] = middle - 0.03, middle + 0.03
    frontal[1, 14, 1] += 0.03
    frontal[2, [61, 291], 1] -= 0.02
    shapes = mouth_shapes(frontal)
    assert shapes[1, 0] > shapes[0, 0] + 0.5
    assert shapes[2, 2] > shapes[0, 2] + 0.5
    assert shapes.abs().max() <= 3
    closed = frontal[:1].clone()
    closed[:, 13] = closed[:, 14]
    almost = frontal[:1].clone()
    almost[:, 13, 1], almost[:, 14, 1] = middle, middle + GAP[0] / 2
    torch.testing.assert_close(mouth_shapes(closed)[:, 0], mouth_shapes(almost)[:, 0])


@pytest.mark.parametrize("draft", [False, True])
def test_a_grey_photo_gets_grey_teeth(draft: bool) -> None:
    net = small_net(drawn=0.5)
    grey = faces().mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    codes = random_codes(2, scale=0.2)
    closed = net.points(codes)
    closed[:, (14, 87, 317, 178, 402)] = closed[:, (13, 82, 312, 81, 311)]
    opened = closed.clone()
    opened[:, (14, 87, 317, 178, 402), 1] += 0.08
    points = iter((closed, opened))
    net.points = lambda codes: next(points)  # type: ignore[method-assign,assignment]
    maps = [EditMaps.unstacked(each) for each in edit_maps(net, grey, codes, codes, draft=draft)]
    for each in maps:
        assert each.weight.max() > 0.9
        shown = each.face[:, each.weight[0] > 0.5]
        assert shown.std() > 0.01
        torch.testing.assert_close(shown, shown[:1].expand_as(shown), atol=1e-3, rtol=0)


def test_the_width_is_told_by_the_tensors() -> None:
    painter = MouthPainter(SIZE, 8)
    shapes = {name: tuple(tensor.shape) for name, tensor in painter.state_dict().items()}
    assert painter_of(shapes, SIZE).enter.weight.shape == painter.enter.weight.shape
    del shapes["enter.weight"]
    with pytest.raises(KeyError):
        painter_of(shapes, SIZE)


def test_codes_have_shapes(net: FaceShapeAppearanceNet) -> None:
    canonical = faces()
    painted = net.paint_mouth(canonical, torch.zeros(2, COUNT))
    assert painted.shape == canonical.shape

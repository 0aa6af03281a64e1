"""The networks of the dense landmarks, with random weights."""

from __future__ import annotations

import torch
from face_latents.models.finder.landmarks_net import (
    CORRECTIONS,
    CROP_SIZE,
    POINTS,
    LandmarkNet,
    RefiningNet,
)


def spread_net() -> RefiningNet:
    """Looks at points on a circle, which it corrects each for itself."""
    torch.manual_seed(0)
    net = RefiningNet().eval().requires_grad_(False)
    angle = torch.linspace(0, 2 * torch.pi, POINTS + 1)[:-1]
    places = 0.35 * torch.stack([angle.cos(), angle.sin(), 0 * angle], 1)
    net.whole.points.weight.zero_()
    net.whole.points.bias.copy_(places.flatten())
    net.points.weight.zero_()
    net.own_shift.normal_(std=0.01)
    return net


def test_corrections_begin_as_none() -> None:
    torch.manual_seed(0)
    net = RefiningNet().eval().requires_grad_(False)
    crops = torch.rand(2, 3, CROP_SIZE, CROP_SIZE)
    looks, face = net.looks(crops)
    whole, sure = net.whole(crops)
    assert len(looks) == 1 + CORRECTIONS
    assert torch.equal(looks[0], whole)
    torch.testing.assert_close(looks[-1], whole, atol=1e-2, rtol=0)
    assert torch.equal(face, sure)
    assert torch.equal(net(crops)[0], looks[-1])
    assert isinstance(net.whole, LandmarkNet)


def test_each_point_is_corrected_by_what_is_around_it() -> None:
    net, crops = spread_net(), torch.full((1, 3, CROP_SIZE, CROP_SIZE), 0.5)
    marked = crops.clone()
    marked[:, :, 60:68, 106:114] = 1.0  # at the right end of the circle
    (plain, *_), _ = net.looks(crops)
    moved = (net(marked)[0] - net(crops)[0]).norm(dim=-1)[0]
    mark = torch.tensor([(110 / CROP_SIZE) - 0.5, 0.0])
    far = (plain[0, :, :2] - mark).norm(dim=-1)
    assert moved[far < 0.03].min() > 1e-5
    assert moved[far > 0.6].max() < moved[far < 0.03].min() / 10

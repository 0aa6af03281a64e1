"""The mesh: which triangle covers a place, and what lies beyond the face."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.face.mesh import (
    barycentric,
    grid_places,
    map_mesh,
    polygon_mask,
    rasterise,
)
from face_latents.models.architectures.face.points import INNER_LIPS, OVAL
from face_latents.models.finder.landmarks_net import POINTS
from face_support import geometry

SQUARE = torch.tensor([[-0.25, -0.25], [0.25, -0.25], [0.25, 0.25], [-0.25, 0.25]])
HALVES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def test_barycentric_weights_make_the_place() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(200, 3, 2, generator=generator)
    weights = torch.rand(200, 3, generator=generator) + 0.05
    weights = weights / weights.sum(1, keepdim=True)
    places = (weights[..., None] * corners).sum(1)
    found = barycentric(places, corners)
    torch.testing.assert_close(found.sum(1), torch.ones(200))
    again = (found[..., None] * corners).sum(1)
    torch.testing.assert_close(again, places, atol=1e-5, rtol=0)
    at_corners = barycentric(corners[:1].transpose(0, 1)[:, 0], corners[:1].expand(3, -1, -1))
    torch.testing.assert_close(at_corners, torch.eye(3), atol=1e-5, rtol=0)


def test_triangles_without_area_weigh_their_corners_alike() -> None:
    line = torch.tensor([[[0.0, 0.0], [0.1, 0.1], [0.2, 0.2]]])
    weights = barycentric(torch.tensor([[0.3, -5.0]]), line)
    torch.testing.assert_close(weights, torch.full((1, 3), 1 / 3))


def test_places_beyond_a_triangle_count_as_on_its_edge() -> None:
    thin = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.5, 0.01]]])
    for place in ([0.5, 0.5], [0.5, 0.012], [-3.0, 0.0], [0.4, -0.2]):
        weights = barycentric(torch.tensor([place]), thin)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(1), torch.ones(1))
    top = barycentric(torch.tensor([[0.5, 0.5]]), thin)
    torch.testing.assert_close(top, torch.tensor([[0.0, 0.0, 1.0]]))


def test_a_grid_is_centred_on_the_crop() -> None:
    places = grid_places(4, 2.0)
    assert places.shape == (4, 4, 2)
    torch.testing.assert_close(places[0, 0], torch.tensor([-0.75, -0.75]))
    torch.testing.assert_close(places[0, 3], torch.tensor([0.75, -0.75]))  # x first
    torch.testing.assert_close(places.sum((0, 1)), torch.zeros(2))


@pytest.mark.parametrize("extent", [1.0, 2.0])
def test_a_square_of_two_triangles_is_covered_and_nothing_else(extent: float) -> None:
    side = 64
    numbers = rasterise(SQUARE, HALVES, side, extent)
    places = grid_places(side, extent).abs().amax(-1)
    slack = extent / side
    assert (numbers[places < 0.25 - slack] >= 0).all()
    assert (numbers[places > 0.25 + slack] == -1).all()
    assert set(numbers.unique().tolist()) == {-1, 0, 1}
    assert numbers[side // 2 - 4, side // 2 + 4] == 0  # upper right
    assert numbers[side // 2 + 4, side // 2 - 4] == 1


def test_the_face_has_no_holes() -> None:
    side, canon = 96, geometry()["canon"]
    numbers = rasterise(canon, geometry()["triangles"].long(), side, 1.0)
    inside = polygon_mask(canon, OVAL, side, 1.0)
    assert (numbers[inside > 0.99] >= 0).all()


def test_later_triangles_lie_over_earlier_ones() -> None:
    middle = rasterise(SQUARE, torch.tensor([[0, 1, 2], [0, 1, 2]]), 32, 1.0)[10, 20]
    assert middle == 1
    both = torch.tensor([[0, 1, 2], [1, 2, 3]])
    over = (rasterise(SQUARE, both, 64, 1.0) == 1).sum()
    under = (rasterise(SQUARE, both.flip(0), 64, 1.0) == 0).sum()
    assert over > 1.8 * under > 0  # the half that they share goes to the later one


def test_triangles_that_are_seen_from_behind_do_not_count() -> None:
    assert (rasterise(SQUARE, HALVES.flip(1), 32, 1.0) == -1).all()
    mirrored = SQUARE * torch.tensor([-1.0, 1.0])
    assert (rasterise(mirrored, HALVES, 32, 1.0) == -1).all()
    triangles = geometry()["triangles"].long()
    corners = geometry()["canon"][triangles][..., :2]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0).all()


def test_linear_functions_are_spread_exactly_within_the_face() -> None:
    canon, side = geometry()["canon"], 160
    mesh = map_mesh(canon, geometry()["triangles"].long(), side, 1.0, 0.3)
    spread = mesh.spread(torch.stack([canon[:, :2], -3 * canon[:, :2]]))
    assert spread.shape == (2, 2, side, side)
    assert len(mesh.inside) > 0.15 * side**2
    found, places = spread[0].flatten(1).T, grid_places(side, 1.0).flatten(0, 1)
    error = (found - places)[mesh.inside].norm(dim=1) * side
    assert error.median() < 1e-3
    assert error.quantile(0.95) < 1  # pixels: triangles are drawn wider than they are
    assert error.max() < 8  # along slivers
    torch.testing.assert_close(spread[1], -3 * spread[0])


def test_what_is_spread_fades_to_nothing() -> None:
    canon, side, extent, reach = geometry()["canon"], 120, 3.0, 0.25
    mesh = map_mesh(canon, geometry()["triangles"].long(), side, extent, reach)
    spread = mesh.spread(torch.ones(1, POINTS, 1))[0, 0]
    places = grid_places(side, extent).flatten(0, 1)
    far = torch.cdist(places, canon[list(OVAL), :2]).amin(1)
    far[mesh.inside] = 0
    value = spread.flatten()
    assert (value[far == 0] > 1 - 1e-5).all()
    assert (value[(far > 0) & (far < 0.05)] > 0.9).all()
    assert (value[far > 0.7] == 0).all()
    assert ((value >= 0) & (value <= 1 + 1e-5)).all()
    near, mid = value[(far > 0.1) & (far < 0.12)], value[(far > 0.3) & (far < 0.32)]
    assert near.min() > mid.max() > 0


def test_a_polygon_is_filled_by_its_area() -> None:
    mask = polygon_mask(SQUARE, (0, 1, 2, 3), 50, 1.0)
    assert mask.mean() == pytest.approx(0.25, abs=0.015)
    assert mask[25, 25] == 1
    assert mask[2, 2] == 0
    lips = polygon_mask(geometry()["canon"], INNER_LIPS, 112, 1.0)
    assert lips.mean() > 0.003  # the canonical mouth is open


def test_fields_are_smoothed_less_where_lips_and_lids_meet() -> None:
    canon, side = geometry()["canon"], 96
    mesh = map_mesh(canon, geometry()["triangles"].long(), side, 1.0, 0.2)
    noise = torch.randn(1, side, side, generator=torch.Generator().manual_seed(0))
    smooth = mesh.smooth(noise, 1.5)[0]

    def near(point: int) -> torch.Tensor:
        x, y = ((canon[point, :2] + 0.5) * side).long().tolist()
        return smooth[y - 2 : y + 3, x - 2 : x + 3].std()

    cheek = near(50)
    assert cheek < 0.4
    for seam in (159, 386, 13):
        assert near(seam) > 1.4 * cheek

"""The face as a mesh of triangles: which one covers a place of a picture, and what lies beyond.

Places are in shares of the crop's side from its middle. A grid covers a square of `extent` sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ...finder.landmarks_net import POINTS
from ...imaging.maps import gaussian_blur
from .points import OPENINGS, OVAL

LEAST_FADE = 0.003  # below which nothing follows any more
SEAMS = tuple({point for pairs in OPENINGS for pair in pairs for point in pair})
AT_SEAMS = 0.6  # share of the blur there
SHARPEST = 2e-4  # squared distance at which the nearest point of the outline does not yet rule


def grid_places(side: int, extent: float, device: torch.device | None = None) -> Tensor:
    """The places `(side, side, 2)` of a grid over a square of `extent` sides."""
    axis = ((torch.arange(side, device=device) + 0.5) / side - 0.5) * extent
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


def rasterise(points: Tensor, triangles: Tensor, side: int, extent: float) -> Tensor:
    """The triangle at each place of a grid, `(side, side)` int64; -1: none.

    Args:
        points: `(N, 2 or more)`.
        triangles: `(T, 3)`, corners clockwise as seen; later ones lie over earlier ones, and those
            that are seen from behind (the far side of a turned head) do not count.
    """
    corners = (points[:, :2].detach().cpu().double() / extent + 0.5) * side - 0.5
    faces = corners[triangles.cpu()]
    u, v = faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0]
    front = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] > 0
    flat = faces.round(decimals=3).flatten(1).tolist()
    picture = Image.new("I", (side, side), -1)
    draw = ImageDraw.Draw(picture)
    for number in front.nonzero().flatten().tolist():
        draw.polygon(flat[number], fill=number)
    return torch.from_numpy(np.array(picture)).to(points.device, torch.int64)


def barycentric(places: Tensor, corners: Tensor) -> Tensor:
    """Weights `(M, 3)` in [0, 1] of the corners `(M, 3, 2)` that make places `(M, 2)`.

    A place just outside of its triangle counts as one on its edge: slivers would carry values far
    away. Triangles without area weigh their corners alike.
    """
    a, b, c = corners.unbind(1)
    u, v, w = b - a, c - a, places - a
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    flat = area.abs() < 1e-9
    area = torch.where(flat, torch.ones_like(area), area)
    second = (w[:, 0] * v[:, 1] - w[:, 1] * v[:, 0]) / area
    third = (u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]) / area
    weights = torch.stack([1 - second - third, second, third], 1).clamp(0, 1)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.where(flat[:, None], torch.full_like(weights, 1 / 3), weights)


def outline_weights(places: Tensor, points: Tensor, reach: float) -> Tensor:
    """How much places `(M, 2)` beyond the face follow each point of its outline, `(36, M)`.

    Inverse distances (Shepard 1968), times exp(-(distance / reach)^2): hair and ears come along,
    and what is farther stays.
    """
    x, y = (places.mT[axis] - points[list(OVAL), axis, None] for axis in (0, 1))
    far = x.square() + y.square()
    fade = (-far.amin(0) / reach**2).exp()
    fade = ((fade - LEAST_FADE) / (1 - LEAST_FADE)).clamp(min=0)
    near = (far + SHARPEST).rsqrt()
    weights = near * near * near
    return weights * (fade / weights.sum(0))


@dataclass(frozen=True, eq=False)
class MeshMap:
    """How each place of a grid follows the points of a face, see `map_mesh`.

    Attributes:
        side: of the grid.
        inside: `(I,)`, places within the face.
        outside: `(O,)`, places beyond it and along its outline, of a grid half as fine.
        corners: `(I, 3)`, points of the triangle there.
        weights: `(I, 3)` of these.
        outline: `(36, O)`, weights of the outline's points.
    """

    side: int
    inside: Tensor
    outside: Tensor
    corners: Tensor
    weights: Tensor
    outline: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """Values of points `(B, N, C)` at every place, `(B, C, side, side)`."""
        values = values.mT
        coarse = values.new_zeros(*values.shape[:2], (self.side // 2) ** 2)
        coarse = coarse.index_copy(2, self.outside, values[:, :, list(OVAL)] @ self.outline)
        coarse = coarse.unflatten(2, (self.side // 2, self.side // 2))
        beyond = F.interpolate(coarse, (self.side,) * 2, mode="bilinear", align_corners=False)
        a, b, c = (values[:, :, self.corners[:, n]] * self.weights[:, n] for n in range(3))
        return beyond.flatten(2).index_copy(2, self.inside, a + b + c).view_as(beyond)

    def smooth(self, fields: Tensor, sigma: float) -> Tensor:
        """Fields `(C, side, side)` without the facets of the triangles.

        Less blurred along lips and lids: what lies between them would be dragged out where they
        meet.

        Args:
            fields: made by `spread`.
            sigma: places.
        """
        seams = fields.new_zeros(1, POINTS, 1)
        seams[:, list(SEAMS)] = 1
        sharp = (2 * self.spread(seams)[0]).clamp(max=1)
        blurred, less = gaussian_blur(fields, sigma), gaussian_blur(fields, sigma * AT_SEAMS)
        return blurred + sharp * (less - blurred)


def map_mesh(points: Tensor, triangles: Tensor, side: int, extent: float, reach: float) -> MeshMap:
    """How a grid follows a face: linear in each triangle, fading out beyond the outline.

    Args:
        points: `(N, 2 or more)`, where they are in the grid's picture.
        triangles: `(T, 3)`; later ones lie over earlier ones.
        side: of the grid, even.
        extent: sides of the crop that it covers.
        reach: sides of the crop over which values fade beyond the outline.
    """
    numbers = rasterise(points, triangles, side, extent)
    inside = (numbers >= 0).flatten().nonzero().flatten()
    # What lies beyond the face is smooth; it goes on under the outline, where it is read between.
    beyond = F.max_pool2d((numbers < 0).to(points)[None], 4, 2, 1)
    outside = beyond.flatten().nonzero().flatten()
    places = grid_places(side, extent, points.device).flatten(0, 1).to(points)
    coarse = grid_places(side // 2, extent, points.device).flatten(0, 1).to(points)
    corners = triangles[numbers.flatten()[inside]]
    weights = barycentric(places[inside], points[corners][..., :2])
    around = outline_weights(coarse[outside], points, reach)
    return MeshMap(side, inside, outside, corners, weights, around)


def polygon_mask(points: Tensor, contour: Sequence[int], side: int, extent: float) -> Tensor:
    """1 within a closed contour of points, smooth over a place of the grid: `(side, side)`."""
    corners = ((points[list(contour), :2].detach().cpu().double() / extent + 0.5) * side).numpy()
    # only the places about the contour are drawn, four times as fine
    left, top = np.clip(corners.min(0).astype(int) - 1, 0, side - 1).tolist()
    right, bottom = np.clip(corners.max(0).astype(int) + 2, (left + 1, top + 1), side).tolist()
    picture = Image.new("L", (4 * (right - left), 4 * (bottom - top)))
    corners = (corners - [left, top]) * 4 - 0.5
    ImageDraw.Draw(picture).polygon(corners.flatten().tolist(), fill=255)
    drawn = torch.from_numpy(np.array(picture)).to(points.device).float()[None] / 255
    around = (left, side - right, top, side - bottom)
    return F.pad(F.avg_pool2d(drawn, 4), around)[0]

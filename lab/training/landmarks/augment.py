"""What happens to a face before the landmark network sees it: placing, light, noise, occluders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.finder.landmarks_net import CROP_SIZE
from ...data.landmarks import ROOM, LandmarkSet

Draw = Callable[..., Tensor]  # random numbers of a shape, for each face
NEGATIVES = 0.06  # share of crops that show no face, or only a corner of one
OCCLUDED = 0.2  # share of faces with a patch of another picture on it


@dataclass(frozen=True)
class Placing:
    """How far from the middle of the crop faces are placed.

    Attributes:
        roll: standard deviation in degrees.
        large_rolls: share of faces whose roll is uniform in +-40 degrees.
        scale: standard deviation of the logarithm of the side.
        shift: standard deviation in sides.
    """

    roll: float
    large_rolls: float
    scale: float
    shift: float


AS_FOUND = Placing(7.0, 0.15, 0.10, 0.045)  # by the finder's five landmarks, and worse
ALIGNED = Placing(2.5, 0.0, 0.03, 0.015)  # by the points of a first look


@dataclass(frozen=True, eq=False)
class LandmarkBatch:
    """Crops `(B, 3, 128, 128)` in [0, 1], points `(B, 478, 3)`, and whether each shows a face."""

    crops: Tensor
    points: Tensor
    is_face: Tensor


def draw_batch(
    faces: LandmarkSet,
    rows: Tensor,
    order: Tensor,
    generator: torch.Generator,
    placing: Placing = AS_FOUND,
) -> LandmarkBatch:
    """Faces placed at random in the network's crop, half of them mirrored.

    Args:
        faces: training faces.
        rows: `(B,)` which of them.
        order: `(478,)` of the points in a mirrored picture.
        generator: of all that is random.
        placing: how far from the middle.
    """
    count = len(rows)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, *shape, generator=generator)

    pictures = faces.crops[rows].float().div_(255)
    points = faces.points[rows].clone()
    mirrored = uniform() < 0.5
    pictures[mirrored] = pictures[mirrored].flip(-1)
    turned = points[mirrored][:, order]
    points[mirrored] = turned * torch.tensor([-1.0, 1.0, 1.0])
    roll = normal() * math.radians(placing.roll)
    large = uniform() < placing.large_rolls
    roll = torch.where(large, (uniform() * 2 - 1) * math.radians(40), roll)
    scale = (normal().clamp(-2.5, 2.5) * placing.scale).exp()
    shift = normal(2).clamp(-2.5, 2.5) * placing.shift
    is_face = uniform() >= NEGATIVES
    away = math.pi * 2 * uniform()  # of crops beside the face
    beside = torch.stack([away.cos(), away.sin()], 1) * (0.5 + 0.3 * uniform())[:, None]
    shift = torch.where(is_face[:, None], shift, beside)
    scale = torch.where(is_face, scale, scale * (0.35 + 0.65 * uniform()))
    cos, sin = roll.cos() * scale, roll.sin() * scale
    # crop -> stored picture, both in shares of the crop's side from the middle
    matrix = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    theta = torch.cat([matrix, shift[:, :, None]], 2)
    theta = theta * torch.tensor([1 / ROOM, 1 / ROOM, 2 / ROOM])
    grid = F.affine_grid(theta, [count, 3, CROP_SIZE, CROP_SIZE], align_corners=False)
    crops = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    flat = torch.linalg.solve(matrix, (points[:, :, :2] - shift[:, None]).mT).mT
    placed = torch.cat([flat, points[:, :, 2:] / scale[:, None, None]], 2)
    return LandmarkBatch(_spoil(crops, uniform, normal, generator), placed, is_face)


def _spoil(crops: Tensor, uniform: Draw, normal: Draw, generator: torch.Generator) -> Tensor:
    """Occluders, blur, light, colour and noise."""
    crops = _occlude(crops, uniform)
    crops = _lose_detail(crops, generator)
    gain = (normal(1, 1, 1) * 0.25).exp() * (normal(3, 1, 1) * 0.06).exp()
    crops = crops * gain + normal(1, 1, 1) * 0.06
    across = torch.linspace(-1, 1, CROP_SIZE)
    tilt = normal(2, 1, 1, 1) * 0.12 * (uniform(1, 1, 1, 1) < 0.5)
    crops = crops * (1 + tilt[:, 0] * across + tilt[:, 1] * across[:, None])
    grey = (uniform(1, 1, 1) < 0.12).float()
    crops = crops + grey * (crops.mean(1, keepdim=True) - crops)
    strength = 0.04 * uniform(1, 1, 1).square()
    noisy: Tensor = crops + strength * torch.randn(crops.shape, generator=generator)
    return noisy.clamp(0, 1)


def _occlude(crops: Tensor, uniform: Draw) -> Tensor:
    """An ellipse or a bar of another crop over some."""
    axis = torch.linspace(-0.5, 0.5, CROP_SIZE)
    centre, size = uniform(2) - 0.5, 0.06 + 0.2 * uniform(2)
    angle = math.pi * uniform()
    x = axis[None, None, :] - centre[:, 0, None, None]
    y = axis[None, :, None] - centre[:, 1, None, None]
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    u = (cos * x + sin * y) / size[:, 0, None, None]
    v = (cos * y - sin * x) / (size[:, 1, None, None] * (1 + 2 * (uniform(1, 1) < 0.3)))
    power = torch.where(uniform(1, 1) < 0.5, 2.0, 8.0)
    inside = (u.abs() ** power + v.abs() ** power) < 1
    chosen = inside & (uniform(1, 1) < OCCLUDED)
    other = crops.roll(1, 0).flip(2)
    return torch.where(chosen[:, None], other, crops)


def _lose_detail(crops: Tensor, generator: torch.Generator) -> Tensor:
    """A quarter of the batch shrunk and enlarged again, which one by chance."""
    count = max(1, len(crops) // 4)
    chosen = torch.randperm(len(crops), generator=generator)[:count]
    side = int(24 + 88 * torch.rand((), generator=generator))
    small = F.interpolate(crops[chosen], size=(side, side), mode="area")
    out = crops.clone()
    out[chosen] = F.interpolate(small, size=crops.shape[-2:], mode="bilinear")
    return out

"""Training scenes for the finder's detector, composed on the fly from the bank: several faces on
arbitrary backgrounds under soft, irregular or hard masks, so that no mask's edge ever marks a face.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.geometry.similarity import similarity_transform
from ....models.geometry.templates import TIGHT
from ...data.finder import Bank
from .augment import augment, soft_noise
from .compose import (
    apply,
    backgrounds,
    coverage,
    occlude,
    pick_level,
    rand,
    roll,
    sample,
    tile_transforms,
    wipe,
)

SCENE = 128  # pixels
MAX_FACES = 5


@dataclass(frozen=True, eq=False)
class Scenes:
    """images (B, 3, 128, 128); per face: landmarks (B, K, 5, 2) px, size (B, K) px (side of the
    tight crop), present (B, K) bool; ignore (B, 128, 128) bool where nothing is to be learnt."""

    images: Tensor
    landmarks: Tensor
    size: Tensor
    present: Tensor
    ignore: Tensor


def face_masks(points: Tensor, size: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, 128, 128) soft masks about heads: wobbling ellipses of many widths and hardnesses."""
    count = len(points)
    template = TIGHT.resized(1).pixels().expand(count, 5, 2)
    inverse = similarity_transform(points, template).float()
    axis = torch.arange(SCENE, dtype=torch.float32)
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    local = apply(inverse, torch.stack([xs, ys], -1).reshape(1, -1, 2))
    radii = torch.stack(
        [rand(generator, count, low=0.50, high=0.85), rand(generator, count, low=0.62, high=0.95)],
        -1,
    )
    offset = torch.tensor([0.0, -0.04]) + torch.randn(count, 2, generator=generator) * 0.03
    power = rand(generator, count, 1, low=2.0, high=5.0)
    distance = ((local - offset.unsqueeze(1)).abs() / radii.unsqueeze(1)).clamp_min(1e-4)
    distance = distance.pow(power.unsqueeze(-1)).sum(-1).pow(1 / power)
    distance = distance.reshape(count, 1, SCENE, SCENE)
    wobble = soft_noise(count, SCENE, generator) * rand(generator, count, 1, 1, 1, high=0.35)
    softness = rand(generator, count, 1, 1, 1, low=0.01, high=0.22)
    return torch.sigmoid((1 + wobble - distance) / softness * 2)


def detector_scenes(bank: Bank, count: int, generator: torch.Generator) -> Scenes:
    """Scenes of 128 px with faces whose tight crop is 8 to 72 px wide, and some close-ups.

    Kinds: a portrait with its real surroundings; pasted faces; a whole tight tile in an empty
    frame (the coarsest pyramid levels); pictures without a face.
    """
    images = backgrounds(bank, count, SCENE, generator)
    other = images.roll(1, 0)
    landmarks = torch.zeros(count, MAX_FACES, 5, 2)
    sizes = torch.zeros(count, MAX_FACES)
    centres = torch.full((count, MAX_FACES, 2), -1e4)
    present = torch.zeros(count, MAX_FACES, dtype=torch.bool)
    outside = torch.zeros(count, 1, SCENE, SCENE, dtype=torch.bool)
    kind = torch.rand(count, generator=generator)
    is_context, is_paste, is_tile = kind < 0.40, (kind >= 0.40) & (kind < 0.80), kind >= 0.88

    def draw_size(number: int, close_ups: float) -> Tensor:
        usual = torch.exp(rand(generator, number, low=math.log(8.0), high=math.log(72.0)))
        # Close up, eyes and mouths are a background like any other.
        close = torch.exp(rand(generator, number, low=math.log(100.0), high=math.log(400.0)))
        return torch.where(torch.rand(number, generator=generator) < close_ups, close, usual)

    def record(rows: Tensor, slot: int, points: Tensor, size: Tensor, centre: Tensor) -> None:
        landmarks[rows, slot] = points
        sizes[rows, slot] = size
        centres[rows, slot] = centre
        present[rows, slot] = True

    rows = is_context.nonzero().squeeze(1)
    if len(rows):
        number = len(rows)
        size, angle = draw_size(number, 0.3), roll(generator, number)
        # The larger the face, the farther out it may lie: clothing and backdrops at full size.
        reach = (size.unsqueeze(1) * 1.4).clamp_min(20.0)
        low, high = -reach, SCENE + reach
        centre = low + (high - low) * torch.rand(number, 2, generator=generator)
        index = torch.randint(len(bank.context), (number,), generator=generator)
        transform, points, shrink = tile_transforms(
            bank.context, index, size, centre, angle, generator
        )
        level = pick_level(shrink, len(bank.context.levels), generator)
        picture = sample(bank.context.levels, index, transform, SCENE, level, "border")
        inside = coverage(transform, bank.context.extent[index], SCENE)
        empty = torch.rand(number, 1, 1, 1, generator=generator) < 0.2
        images[rows] = torch.where(
            inside > 0, picture, torch.where(empty, torch.tensor(0.5), images[rows])
        )
        outside[rows] = (inside == 0) & empty
        record(rows, 0, points, size, centre)

    rows = is_tile.nonzero().squeeze(1)
    if len(rows):
        number = len(rows)
        size = torch.exp(rand(generator, number, low=math.log(13.0), high=math.log(70.0)))
        upright = torch.randn(number, generator=generator) * 0.08
        angle = torch.where(
            torch.rand(number, generator=generator) < 0.6, upright, roll(generator, number)
        )
        centre = rand(generator, number, 2, low=20.0, high=SCENE - 20.0)
        index = torch.randint(len(bank.faces), (number,), generator=generator)
        transform, points, shrink = tile_transforms(
            bank.faces, index, size, centre, angle, generator
        )
        level = pick_level(shrink, len(bank.faces.levels), generator)
        picture = sample(bank.faces.levels, index, transform, SCENE, level, "border")
        inside = coverage(transform, bank.faces.extent[index], SCENE)
        empty = torch.rand(number, 1, 1, 1, generator=generator) < 0.6
        images[rows] = torch.where(
            inside > 0, picture, torch.where(empty, torch.tensor(0.5), images[rows])
        )
        outside[rows] = (inside == 0) & empty
        record(rows, 0, points, size, centre)

    faces_wanted = torch.where(is_paste, torch.randint(1, 5, (count,), generator=generator), 0)
    faces_wanted = torch.where(
        is_context & (torch.rand(count, generator=generator) < 0.3), 1, faces_wanted
    )
    for slot in range(1, MAX_FACES):
        rows = (faces_wanted >= slot).nonzero().squeeze(1)
        if not len(rows):
            continue
        number = len(rows)
        size, angle = draw_size(number, 0.15), roll(generator, number)
        centre = rand(generator, number, 2, low=-4.0, high=SCENE + 4.0)
        gaps = (centres[rows] - centre.unsqueeze(1)).norm(dim=-1)
        clear = (gaps > 0.62 * (sizes[rows] + size.unsqueeze(1)) + 2).all(1)
        rows, size, angle, centre = rows[clear], size[clear], angle[clear], centre[clear]
        if not len(rows):
            continue
        # Some stand on their head, which must not count as a face: features in the wrong order.
        turned = torch.rand(len(rows), generator=generator) < 0.06
        angle = torch.where(turned, angle + math.pi, angle)
        index = torch.randint(len(bank.faces), (len(rows),), generator=generator)
        transform, points, shrink = tile_transforms(
            bank.faces, index, size, centre, angle, generator
        )
        level = pick_level(shrink, len(bank.faces.levels), generator)
        # A seventh are wiped to a blob without features: skin and hair colours, but no face.
        wiped = (torch.rand(len(rows), generator=generator) < 0.14) & (size > 20)
        padding = ("reflection", "border")[slot % 2]
        picture = sample(bank.faces.levels, index, transform, SCENE, level, padding)
        if wiped.any():
            picture[wiped] = wipe(picture[wiped], size[wiped])
        mask = face_masks(points, size, generator)
        hard = torch.rand(len(rows), 1, 1, 1, generator=generator) < 0.2
        tile = coverage(transform, bank.faces.extent[index], SCENE)
        mask = torch.where(hard, tile, mask)
        images[rows] = images[rows] * (1 - mask) + picture * mask
        record(rows, slot, points, size, centre)
        present[rows, slot] = ~(wiped | turned)

    occlude(images, other, centres, sizes, generator, 0.3)
    images = torch.where(outside, torch.tensor(0.5), images)
    images = augment(images, generator)
    images = torch.where(outside, torch.tensor(0.5), images)
    return Scenes(images, landmarks, sizes, present, outside[:, 0])

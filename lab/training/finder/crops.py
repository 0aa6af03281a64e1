"""Training crops for the finder's refiner and polisher: roughly and closely aligned single faces,
and for the refiner crops that are not faces."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....models.finder.landmarks import POLISHER_TEMPLATE, REFINER_TEMPLATE
from ....models.finder.net import POLISHER_SIZE, REFINER_SIZE
from ....models.geometry.similarity import similarity_transform
from ....models.geometry.templates import TIGHT
from ...data.finder import Bank
from .augment import augment
from .compose import apply, backgrounds, coverage, occlude, rand, sample, tile_transforms, wipe


def polisher_crops(bank: Bank, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces that are aligned up to small errors: images (B, 3, 96, 96), landmarks (B, 5, 2) px."""
    images = backgrounds(bank, count, POLISHER_SIZE, generator)
    other = images.roll(1, 0)
    points = torch.zeros(count, 5, 2)
    template = POLISHER_TEMPLATE
    side = POLISHER_SIZE * float(template.points[1, 0] - template.points[0, 0]) / 0.38
    home = apply(
        similarity_transform(TIGHT.resized(1).pixels(), template.pixels()).float(),
        torch.zeros(1, 2),
    )[0]
    from_context = torch.rand(count, generator=generator) < 0.15
    for tiles, chosen in ((bank.faces, ~from_context), (bank.context, from_context)):
        rows = chosen.nonzero().squeeze(1)
        number = len(rows)
        if not number:
            continue
        loose = torch.where(torch.rand(number, generator=generator) < 0.15, 2.5, 1.0)
        jitter = torch.randn(number, 2, generator=generator) * 2.0 * loose.unsqueeze(1)
        size = side * torch.exp(torch.randn(number, generator=generator) * 0.05 * loose)
        angle = torch.randn(number, generator=generator) * 0.06 * loose
        index = torch.randint(len(tiles), (number,), generator=generator)
        transform, landmarks, shrink = tile_transforms(
            tiles, index, size, home + jitter, angle, generator
        )
        draw = torch.rand(number, generator=generator)
        softer = (draw < 0.3).float() + (draw < 0.08).float()
        level = (shrink.log2().round() + softer).clamp(0, len(tiles.levels) - 1).long()
        picture = sample(tiles.levels, index, transform, POLISHER_SIZE, level, "border")
        inside = coverage(transform, tiles.extent[index], POLISHER_SIZE) > 0
        fill = torch.rand(number, 1, 1, 1, generator=generator) < 0.2
        images[rows] = torch.where(inside | ~fill, picture, images[rows])
        points[rows] = landmarks
    sizes = torch.full((count, 1), side)
    occlude(images, other, points.mean(1, keepdim=True), sizes, generator, 0.1)
    return augment(images, generator, 0.4), points


def refiner_crops(
    bank: Bank, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of 64 px: images (B, 3, 64, 64), landmarks (B, 5, 2) px, is_face (B,) bool."""
    images = backgrounds(bank, count, REFINER_SIZE, generator)
    other = images.roll(1, 0)
    points = torch.zeros(count, 5, 2)
    is_face = torch.zeros(count, dtype=torch.bool)
    kind = torch.rand(count, generator=generator)
    side = float(REFINER_TEMPLATE.points[1, 0] - REFINER_TEMPLATE.points[0, 0]) / 0.38
    home = apply(
        similarity_transform(TIGHT.resized(1).pixels(), REFINER_TEMPLATE.pixels()).float(),
        torch.zeros(1, 2),
    )[0]
    for tiles, chosen in (
        (bank.faces, kind < 0.68),
        (bank.context, (kind >= 0.68) & (kind < 0.80)),
    ):
        rows = chosen.nonzero().squeeze(1)
        number = len(rows)
        if not number:
            continue
        fine = torch.rand(number, generator=generator) < 0.5
        jitter = torch.where(
            fine.unsqueeze(1),
            torch.randn(number, 2, generator=generator) * 1.5,
            rand(generator, number, 2, low=-8.0, high=8.0),
        )
        zoom = torch.where(
            fine,
            torch.randn(number, generator=generator) * 0.05,
            rand(generator, number, low=-0.32, high=0.32),
        )
        angle = torch.where(
            fine,
            torch.randn(number, generator=generator) * 0.07,
            rand(generator, number, low=-0.45, high=0.45),
        )
        # Crops that miss: far off, much too large or small, or upside down.
        miss = torch.rand(number, generator=generator) < 0.16
        how = torch.rand(number, generator=generator)
        sign = torch.where(torch.rand(number, generator=generator) < 0.5, -1.0, 1.0)
        far = rand(generator, number, low=0, high=2 * math.pi)
        distance = rand(generator, number, low=0.62, high=1.0) * REFINER_SIZE * side
        away = torch.stack([far.cos(), far.sin()], -1) * distance.unsqueeze(-1)
        jitter = torch.where((miss & (how < 0.5)).unsqueeze(1), away, jitter)
        off_scale = sign * rand(generator, number, low=0.85, high=1.5)
        zoom = torch.where(miss & (how >= 0.5) & (how < 0.8), off_scale, zoom)
        flip_over = math.pi + rand(generator, number, low=-1.0, high=1.0)
        angle = torch.where(miss & (how >= 0.8), flip_over, angle)

        index = torch.randint(len(tiles), (number,), generator=generator)
        size = REFINER_SIZE * side * torch.exp(zoom)
        transform, landmarks, shrink = tile_transforms(
            tiles, index, size, home + jitter, angle, generator
        )
        # Sharp, ordinary and soft sources in turn.
        draw = torch.rand(number, generator=generator)
        level = shrink.log2().round() + torch.where(draw < 0.2, 1.0, 0.0)
        level = (level - torch.where(draw > 0.75, 1.0, 0.0)).clamp(0, len(tiles.levels) - 1).long()
        padding = ("border", "reflection", "border")[int(torch.randint(3, (), generator=generator))]
        picture = sample(tiles.levels, index, transform, REFINER_SIZE, level, padding)
        inside = coverage(transform, tiles.extent[index], REFINER_SIZE) > 0
        fill = torch.rand(number, 1, 1, 1, generator=generator) < 0.35
        images[rows] = torch.where(inside | ~fill, picture, images[rows])
        points[rows] = landmarks
        is_face[rows] = ~miss
        wiped = torch.rand(number, generator=generator) < 0.05
        if wiped.any():
            images[rows[wiped]] = wipe(images[rows[wiped]], size[wiped])
            is_face[rows[wiped]] = False
    occlude(
        images,
        other,
        points.mean(1, keepdim=True),
        torch.where(is_face, REFINER_SIZE * side, 0.0).unsqueeze(1),
        generator,
        0.15,
    )
    return augment(images, generator, 0.5), points, is_face

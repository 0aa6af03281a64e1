"""Training crops for the finder's refiner and polisher: roughly and closely aligned single faces,
and for the refiner crops that are not faces."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ....models.finder.landmarks import POLISHER_TEMPLATE, REFINER_TEMPLATE
from ....models.finder.net import POLISHER_SIZE, REFINER_SIZE
from ....models.geometry.similarity import similarity_transform
from ....models.geometry.templates import TIGHT, AlignmentTemplate
from ...data.finder import Bank, Tiles
from .augment import augment
from .compose import apply, backgrounds, coverage, occlude, rand, sample, tile_transforms, wipe


def polisher_crops(bank: Bank, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces that are aligned up to small errors: images (B, 3, 96, 96), landmarks (B, 5, 2) px."""
    images = backgrounds(bank, count, POLISHER_SIZE, generator)
    other = images.roll(1, 0)
    points = torch.zeros(count, 5, 2)
    template = POLISHER_TEMPLATE
    side = POLISHER_SIZE * float(template.points[1, 0] - template.points[0, 0]) / 0.38
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
        faces = _Faces(tiles, size, _home(template) + jitter, angle, generator)
        draw = torch.rand(number, generator=generator)
        softer = (draw < 0.3).float() + (draw < 0.08).float()
        images[rows] = faces.on(images[rows], softer, "border", 0.2)
        points[rows] = faces.landmarks
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
    template = REFINER_TEMPLATE
    side = REFINER_SIZE * (float(template.points[1, 0] - template.points[0, 0]) / 0.38)
    for tiles, chosen in (
        (bank.faces, kind < 0.68),
        (bank.context, (kind >= 0.68) & (kind < 0.80)),
    ):
        rows = chosen.nonzero().squeeze(1)
        number = len(rows)
        if not number:
            continue
        jitter, zoom, angle, miss = _misalignment(number, side, generator)
        size = side * torch.exp(zoom)
        faces = _Faces(tiles, size, _home(template) + jitter, angle, generator)
        # Sharp, ordinary and soft sources in turn.
        draw = torch.rand(number, generator=generator)
        softer = torch.where(draw < 0.2, 1.0, 0.0) - torch.where(draw > 0.75, 1.0, 0.0)
        padding = ("border", "reflection", "border")[int(torch.randint(3, (), generator=generator))]
        images[rows] = faces.on(images[rows], softer, padding, 0.35)
        points[rows] = faces.landmarks
        is_face[rows] = ~miss
        wiped = torch.rand(number, generator=generator) < 0.05
        if wiped.any():
            images[rows[wiped]] = wipe(images[rows[wiped]], size[wiped])
            is_face[rows[wiped]] = False
    sizes = torch.where(is_face, side, 0.0).unsqueeze(1)
    occlude(images, other, points.mean(1, keepdim=True), sizes, generator, 0.15)
    return augment(images, generator, 0.5), points, is_face


def _home(template: AlignmentTemplate) -> Tensor:
    """Where the centre of a tight crop lies in a crop of the template, `(2,)` px."""
    placed = similarity_transform(TIGHT.resized(1).pixels(), template.pixels()).float()
    return apply(placed, torch.zeros(1, 2))[0]


def _misalignment(
    number: int, side: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How roughly aligned crops differ from exact ones.

    Half are nearly exact. A sixth miss: far off, much too large or small, or upside down.

    Returns:
        Shift `(N, 2)` px, log of the scale, angle, and which of them miss, `(N,)` each.
    """

    def either(fine: Tensor, spread: float, reach: float, *shape: int) -> Tensor:
        near = torch.randn(number, *shape, generator=generator) * spread
        rough = rand(generator, number, *shape, low=-reach, high=reach)
        return torch.where(fine.unsqueeze(1) if shape else fine, near, rough)

    fine = torch.rand(number, generator=generator) < 0.5
    jitter = either(fine, 1.5, 8.0, 2)
    zoom, angle = either(fine, 0.05, 0.32), either(fine, 0.07, 0.45)
    miss = torch.rand(number, generator=generator) < 0.16
    how = torch.rand(number, generator=generator)
    sign = torch.where(torch.rand(number, generator=generator) < 0.5, -1.0, 1.0)
    far = rand(generator, number, low=0, high=2 * math.pi)
    distance = rand(generator, number, low=0.62, high=1.0) * side
    away = torch.stack([far.cos(), far.sin()], -1) * distance.unsqueeze(-1)
    jitter = torch.where((miss & (how < 0.5)).unsqueeze(1), away, jitter)
    off_scale = sign * rand(generator, number, low=0.85, high=1.5)
    zoom = torch.where(miss & (how >= 0.5) & (how < 0.8), off_scale, zoom)
    flip_over = math.pi + rand(generator, number, low=-1.0, high=1.0)
    return jitter, zoom, torch.where(miss & (how >= 0.8), flip_over, angle), miss


class _Faces:
    """Random faces of the tiles, placed in crops: side, centre and angle `(N,)` are given."""

    def __init__(
        self, tiles: Tiles, size: Tensor, centre: Tensor, angle: Tensor, generator: torch.Generator
    ) -> None:
        self.tiles, self.generator = tiles, generator
        self.index = torch.randint(len(tiles), (len(size),), generator=generator)
        self.transform, self.landmarks, self.shrink = tile_transforms(
            tiles, self.index, size, centre, angle, generator
        )

    def on(self, images: Tensor, softer: Tensor, padding: str, background: float) -> Tensor:
        """The faces drawn on images `(N, 3, S, S)`.

        Args:
            images: what may show beside them.
            softer: `(N,)` levels of the pyramid above the one of the right size.
            padding: what else is beside a tile, as in `grid_sample`.
            background: share of the images that show beside them.
        """
        tiles, size = self.tiles, images.shape[-1]
        level = (self.shrink.log2().round() + softer).clamp(0, len(tiles.levels) - 1).long()
        picture = sample(tiles.levels, self.index, self.transform, size, level, padding)
        inside = coverage(self.transform, tiles.extent[self.index], size) > 0
        fill = torch.rand(len(images), 1, 1, 1, generator=self.generator) < background
        return torch.where(inside | ~fill, picture, images)

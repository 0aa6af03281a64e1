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
from ...data.finder import Bank, Tiles
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
    scenes = _Composition(bank, count, generator)
    kind = torch.rand(count, generator=generator)
    is_context, is_paste, is_tile = kind < 0.40, (kind >= 0.40) & (kind < 0.80), kind >= 0.88
    scenes.show_portraits(is_context.nonzero().squeeze(1))
    scenes.show_tiles(is_tile.nonzero().squeeze(1))
    faces = torch.where(is_paste, torch.randint(1, 5, (count,), generator=generator), 0)
    faces = torch.where(is_context & (torch.rand(count, generator=generator) < 0.3), 1, faces)
    for slot in range(1, MAX_FACES):
        scenes.paste_faces(slot, (faces >= slot).nonzero().squeeze(1))
    return scenes.finished()


class _Composition:
    """Scenes on which faces are put, one slot after the other; slot 0 fills a picture."""

    def __init__(self, bank: Bank, count: int, generator: torch.Generator) -> None:
        self.bank, self.generator = bank, generator
        self.images = backgrounds(bank, count, SCENE, generator)
        self.other = self.images.roll(1, 0)
        self.landmarks = torch.zeros(count, MAX_FACES, 5, 2)
        self.sizes = torch.zeros(count, MAX_FACES)
        self.centres = torch.full((count, MAX_FACES, 2), -1e4)
        self.present = torch.zeros(count, MAX_FACES, dtype=torch.bool)
        self.outside = torch.zeros(count, 1, SCENE, SCENE, dtype=torch.bool)

    def chances(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self.generator)

    def draw_sizes(self, number: int, close_ups: float) -> Tensor:
        """Sides of tight crops `(number,)`; a share are close-ups, whose eyes and mouths are a
        background like any other."""
        usual = torch.exp(rand(self.generator, number, low=math.log(8.0), high=math.log(72.0)))
        close = torch.exp(rand(self.generator, number, low=math.log(100.0), high=math.log(400.0)))
        return torch.where(self.chances(number) < close_ups, close, usual)

    def show_portraits(self, rows: Tensor) -> None:
        """Fill scenes with portraits in their real surroundings."""
        number = len(rows)
        if not number:
            return
        size, angle = self.draw_sizes(number, 0.3), roll(self.generator, number)
        # The larger the face, the farther out it may lie: clothing and backdrops at full size.
        reach = (size.unsqueeze(1) * 1.4).clamp_min(20.0)
        low, high = -reach, SCENE + reach
        centre = low + (high - low) * self.chances(number, 2)
        self._fill(rows, self.bank.context, size, centre, angle, empty=0.2)

    def show_tiles(self, rows: Tensor) -> None:
        """Fill scenes with whole tight tiles."""
        number, generator = len(rows), self.generator
        if not number:
            return
        size = torch.exp(rand(generator, number, low=math.log(13.0), high=math.log(70.0)))
        upright = torch.randn(number, generator=generator) * 0.08
        angle = torch.where(self.chances(number) < 0.6, upright, roll(generator, number))
        centre = rand(generator, number, 2, low=20.0, high=SCENE - 20.0)
        self._fill(rows, self.bank.faces, size, centre, angle, empty=0.6)

    def _fill(
        self, rows: Tensor, tiles: Tiles, size: Tensor, centre: Tensor, angle: Tensor, empty: float
    ) -> None:
        """Put tiles on scenes; beside them a share `empty` is grey, which is not learnt from."""
        index = torch.randint(len(tiles), (len(rows),), generator=self.generator)
        transform, points, shrink = tile_transforms(
            tiles, index, size, centre, angle, self.generator
        )
        level = pick_level(shrink, len(tiles.levels), self.generator)
        picture = sample(tiles.levels, index, transform, SCENE, level, "border")
        inside = coverage(transform, tiles.extent[index], SCENE)
        is_empty = self.chances(len(rows), 1, 1, 1) < empty
        beside = torch.where(is_empty, torch.tensor(0.5), self.images[rows])
        self.images[rows] = torch.where(inside > 0, picture, beside)
        self.outside[rows] = (inside == 0) & is_empty
        self._record(rows, 0, points, size, centre)

    def paste_faces(self, slot: int, rows: Tensor) -> None:
        """Paste a face on each of the scenes that has room for it."""
        number, generator, tiles = len(rows), self.generator, self.bank.faces
        if not number:
            return
        size, angle = self.draw_sizes(number, 0.15), roll(generator, number)
        centre = rand(generator, number, 2, low=-4.0, high=SCENE + 4.0)
        gaps = (self.centres[rows] - centre.unsqueeze(1)).norm(dim=-1)
        clear = (gaps > 0.62 * (self.sizes[rows] + size.unsqueeze(1)) + 2).all(1)
        rows, size, angle, centre = rows[clear], size[clear], angle[clear], centre[clear]
        number = len(rows)
        if not number:
            return
        # Some stand on their head, which must not count as a face: features in the wrong order.
        turned = self.chances(number) < 0.06
        angle = torch.where(turned, angle + math.pi, angle)
        index = torch.randint(len(tiles), (number,), generator=generator)
        transform, points, shrink = tile_transforms(tiles, index, size, centre, angle, generator)
        level = pick_level(shrink, len(tiles.levels), generator)
        # A seventh are wiped to a blob without features: skin and hair colours, but no face.
        wiped = (self.chances(number) < 0.14) & (size > 20)
        padding = ("reflection", "border")[slot % 2]
        picture = sample(tiles.levels, index, transform, SCENE, level, padding)
        if wiped.any():
            picture[wiped] = wipe(picture[wiped], size[wiped])
        mask = face_masks(points, size, generator)
        hard = self.chances(number, 1, 1, 1) < 0.2
        mask = torch.where(hard, coverage(transform, tiles.extent[index], SCENE), mask)
        self.images[rows] = self.images[rows] * (1 - mask) + picture * mask
        self._record(rows, slot, points, size, centre)
        self.present[rows, slot] = ~(wiped | turned)

    def _record(
        self, rows: Tensor, slot: int, points: Tensor, size: Tensor, centre: Tensor
    ) -> None:
        self.landmarks[rows, slot] = points
        self.sizes[rows, slot] = size
        self.centres[rows, slot] = centre
        self.present[rows, slot] = True

    def finished(self) -> Scenes:
        """The scenes, partly covered and with photographic defects."""
        grey = torch.tensor(0.5)
        occlude(self.images, self.other, self.centres, self.sizes, self.generator, 0.3)
        images = augment(torch.where(self.outside, grey, self.images), self.generator)
        images = torch.where(self.outside, grey, images)
        return Scenes(images, self.landmarks, self.sizes, self.present, self.outside[:, 0])

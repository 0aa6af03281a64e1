"""Training pictures for the finder, composed on the fly from the bank.

`detector_scenes` makes small scenes with several faces on arbitrary backgrounds under soft,
irregular or hard masks, so that no mask's edge ever marks a face. `refiner_crops` makes roughly
aligned single faces, and crops that are not faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..align import TIGHT, invert_transform, similarity_transform
from ..architectures.finder import POLISHER_SIZE, REFINER_SIZE
from ..finder import MIRRORED, POLISHER_TEMPLATE, REFINER_TEMPLATE
from .finder_augment import augment, soft_noise
from .finder_data import Bank, Tiles

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


def rand(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=generator)


def similarity(scale: Tensor, angle: Tensor, mirror: Tensor | None = None) -> Tensor:
    """(B, 2, 2) rotation by `angle` (radians) times `scale`; mirrored in x first where asked."""
    cos, sin = scale * angle.cos(), scale * angle.sin()
    matrix = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    if mirror is not None:
        matrix[:, :, 0] *= torch.where(mirror, -1.0, 1.0).unsqueeze(-1)
    return matrix


def place(matrix: Tensor, anchor: Tensor, target: Tensor) -> Tensor:
    """(B, 2, 3) transform with the given linear part that takes `anchor` to `target`."""
    shift = target - (matrix @ anchor.unsqueeze(-1)).squeeze(-1)
    return torch.cat([matrix, shift.unsqueeze(-1)], -1)


def apply(transform: Tensor, points: Tensor) -> Tensor:
    return points @ transform[..., :2].transpose(-1, -2) + transform[..., 2].unsqueeze(-2)


def sample(
    levels: list[Tensor], index: Tensor, transform: Tensor, size: int, level: Tensor, padding: str
) -> Tensor:
    """Pictures `index` (B,) warped by `transform` (B, 2, 3; level-0 pixel -> output pixel)."""
    inverse = invert_transform(transform)
    output = torch.empty(len(index), 3, size, size)
    for number in level.unique().tolist():
        rows = (level == number).nonzero().squeeze(1)
        source = levels[number][index[rows]].float().div_(255.0)
        side, factor = source.shape[-1], 2**number
        # normalised output -> output px -> level-0 px -> level px -> normalised source
        to_output = torch.tensor([[size / 2, 0, (size - 1) / 2], [0, size / 2, (size - 1) / 2]])
        linear = inverse[rows][:, :, :2]
        shift = inverse[rows][:, :, 2]
        a = linear @ to_output[:, :2].double()
        t = (linear @ to_output[:, 2].double()) + shift
        t = (t + 0.5) / factor - 0.5
        theta = torch.cat([a / factor, t.unsqueeze(-1)], -1) * (2 / side)
        theta[:, :, 2] += 1 / side - 1
        grid = F.affine_grid(theta.float(), [len(rows), 3, size, size], align_corners=False)
        output[rows] = F.grid_sample(source, grid, "bilinear", padding, align_corners=False)
    return output


def coverage(transform: Tensor, extent: Tensor, size: int) -> Tensor:
    """(B, 1, size, size) 1 where an output pixel falls on the picture of `extent` (B, 2)."""
    inverse = invert_transform(transform).float()
    axis = torch.arange(size, dtype=torch.float32)
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    points = apply(inverse, torch.stack([xs, ys], -1).reshape(1, -1, 2))
    inside = ((points > -0.5) & (points < extent.unsqueeze(1) - 0.5)).all(-1)
    return inside.reshape(-1, 1, size, size).float()


def pick_level(shrink: Tensor, levels: int, generator: torch.Generator) -> Tensor:
    """Pyramid level for a shrink factor (B,), now and then a coarser one: soft photos exist."""
    level = shrink.clamp_min(1e-6).log2().floor().clamp(0)
    extra = (torch.rand(len(shrink), generator=generator) < 0.12).float()
    return (level + extra).clamp(max=levels - 1).long()


def roll(generator: torch.Generator, count: int) -> Tensor:
    """Mostly upright heads, the rest evenly up to 50 degrees either way; radians."""
    upright = torch.randn(count, generator=generator) * 0.12
    any_roll = rand(generator, count, low=-0.88, high=0.88)
    return torch.where(torch.rand(count, generator=generator) < 0.55, upright, any_roll)


def backgrounds(bank: Bank, count: int, size: int, generator: torch.Generator) -> Tensor:
    """Pieces of background pictures; half of them littered with shapes cut from the others.

    Overlapping shapes of many sizes ("dead leaves", Lee, Mumford & Huang 2001) have the edge
    statistics of natural photos, of which the bank has few without a face.
    """
    result = background_pieces(bank, count, size, generator)
    littered = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    axis = torch.arange(size, dtype=torch.float32)
    for leaf in range(1, 7):
        centre = rand(generator, count, 2, high=float(size))
        radii = size * torch.exp(rand(generator, count, 2, low=-3.6, high=-0.9))
        angle = rand(generator, count, high=math.pi)
        dx = axis.reshape(1, 1, -1) - centre[:, 0].reshape(-1, 1, 1)
        dy = axis.reshape(1, -1, 1) - centre[:, 1].reshape(-1, 1, 1)
        cos, sin = angle.cos().reshape(-1, 1, 1), angle.sin().reshape(-1, 1, 1)
        u = (dx * cos + dy * sin) / radii[:, 0].reshape(-1, 1, 1)
        v = (dy * cos - dx * sin) / radii[:, 1].reshape(-1, 1, 1)
        power = 2 if leaf % 2 else 6
        inside = (u.abs() ** power + v.abs() ** power < 1).unsqueeze(1)
        if leaf % 3 == 0:
            texture = rand(generator, count, 3, 1, 1).expand_as(result)
        else:
            texture = result.roll(leaf, 0)
        result = torch.where(littered & inside, texture, result)
    return result


def background_pieces(bank: Bank, count: int, size: int, generator: torch.Generator) -> Tensor:
    index = torch.randint(len(bank.backgrounds[0]), (count,), generator=generator)
    shrink = torch.exp(rand(generator, count, low=math.log(0.4), high=math.log(4.0)))
    side = bank.backgrounds[0].shape[-1]
    transform = place(
        similarity(1 / shrink, rand(generator, count, high=2 * math.pi)),
        rand(generator, count, 2, high=float(side)),
        rand(generator, count, 2, high=float(size)),
    )
    level = pick_level(shrink, len(bank.backgrounds), generator)
    return sample(bank.backgrounds, index, transform, size, level, "reflection")


def tile_transforms(
    tiles: Tiles,
    index: Tensor,
    size: Tensor,
    centre: Tensor,
    angle: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Put the faces of tiles at `centre` with tight-crop side `size`; (transform, landmarks,
    shrink factor of the tile)."""
    landmarks = tiles.landmarks[index]
    template = TIGHT.resized(1)
    own = similarity_transform(template.pixels().expand(len(index), 5, 2), landmarks).float()
    own_side = own[:, :, :2].det().abs().sqrt()
    own_angle = torch.atan2(own[:, 1, 0], own[:, 0, 0])
    own_centre = apply(own, torch.zeros(1, 1, 2))[:, 0]
    mirror = torch.rand(len(index), generator=generator) < 0.5
    scale = size / own_side
    turn = angle - torch.where(mirror, -own_angle, own_angle)
    transform = place(similarity(scale, turn, mirror), own_centre, centre)
    points = apply(transform, landmarks)
    points = torch.where(mirror.reshape(-1, 1, 1), points[:, MIRRORED], points)
    return transform, points, 1 / scale


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
            picture[wiped] = _wipe(picture[wiped], size[wiped])
        mask = face_masks(points, size, generator)
        hard = torch.rand(len(rows), 1, 1, 1, generator=generator) < 0.2
        tile = coverage(transform, bank.faces.extent[index], SCENE)
        mask = torch.where(hard, tile, mask)
        images[rows] = images[rows] * (1 - mask) + picture * mask
        record(rows, slot, points, size, centre)
        present[rows, slot] = ~(wiped | turned)

    _occlude(images, other, centres, sizes, generator, 0.3)
    images = torch.where(outside, torch.tensor(0.5), images)
    images = augment(images, generator)
    images = torch.where(outside, torch.tensor(0.5), images)
    return Scenes(images, landmarks, sizes, present, outside[:, 0])


def _wipe(picture: Tensor, size: Tensor) -> Tensor:
    """Average away all that is smaller than about a third of the face."""
    result = picture.clone()
    for row, side in enumerate((size * 0.35).round().int().tolist()):
        kernel = side // 2 * 2 + 1
        padded = F.pad(picture[row : row + 1], (kernel // 2,) * 4, mode="replicate")
        once = F.avg_pool2d(padded, kernel, 1)
        padded = F.pad(once, (kernel // 2,) * 4, mode="replicate")
        result[row] = F.avg_pool2d(padded, kernel, 1)[0]
    return result


def _occlude(
    images: Tensor,
    other: Tensor,
    centres: Tensor,
    sizes: Tensor,
    generator: torch.Generator,
    share: float,
) -> None:
    """Cover part of one face in a share of the scenes, in place, with a piece of another scene."""
    count = len(images)
    slot = sizes.argmax(1)
    arange = torch.arange(count)
    centre, size = centres[arange, slot], sizes[arange, slot]
    chosen = (torch.rand(count, generator=generator) < share) & (size > 0)
    angle = rand(generator, count, high=2 * math.pi)
    reach = size * rand(generator, count, low=0.35, high=0.75)
    spot = centre + torch.stack([angle.cos(), angle.sin()], -1) * reach.unsqueeze(-1)
    radii = size.unsqueeze(-1) * rand(generator, count, 2, low=0.08, high=0.34)
    radii = radii.clamp_min(1.0)
    axis = torch.arange(images.shape[-1], dtype=torch.float32)
    dx = (axis.reshape(1, 1, -1) - spot[:, 0].reshape(-1, 1, 1)) / radii[:, 0].reshape(-1, 1, 1)
    dy = (axis.reshape(1, -1, 1) - spot[:, 1].reshape(-1, 1, 1)) / radii[:, 1].reshape(-1, 1, 1)
    mask = ((dx**4 + dy**4) < 1) & chosen.reshape(-1, 1, 1)
    flat = rand(generator, count, 3, 1, 1)
    plain = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    cover = torch.where(plain, flat, other)
    images.copy_(torch.where(mask.unsqueeze(1), cover, images))


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
    _occlude(images, other, points.mean(1, keepdim=True), sizes, generator, 0.1)
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
            images[rows[wiped]] = _wipe(images[rows[wiped]], size[wiped])
            is_face[rows[wiped]] = False
    _occlude(
        images,
        other,
        points.mean(1, keepdim=True),
        torch.where(is_face, REFINER_SIZE * side, 0.0).unsqueeze(1),
        generator,
        0.15,
    )
    return augment(images, generator, 0.5), points, is_face

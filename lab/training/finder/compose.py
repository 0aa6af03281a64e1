"""Putting faces from the bank into training pictures: placing, sampling, covering, wiping."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.finder.landmarks import MIRRORED
from ....models.geometry.similarity import invert_transform, similarity_transform
from ....models.geometry.templates import TIGHT
from ...data.finder import Bank, Tiles


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


def wipe(picture: Tensor, size: Tensor) -> Tensor:
    """Average away all that is smaller than about a third of the face."""
    result = picture.clone()
    for row, side in enumerate((size * 0.35).round().int().tolist()):
        kernel = side // 2 * 2 + 1
        padded = F.pad(picture[row : row + 1], (kernel // 2,) * 4, mode="replicate")
        once = F.avg_pool2d(padded, kernel, 1)
        padded = F.pad(once, (kernel // 2,) * 4, mode="replicate")
        result[row] = F.avg_pool2d(padded, kernel, 1)[0]
    return result


def occlude(
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

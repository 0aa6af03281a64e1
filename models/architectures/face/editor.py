"""Edits of a photo's own face: its pixels move with the shape, and take on changes of appearance.

Shape and pose say where each point of the face goes; the photo's own pixels follow. Appearance is
drawn on the canonical face before and after the edit; the difference of both drawings, as log-odds,
is what the photo's pixels change by. Inside of lips that open there are no such pixels: it is
painted, see `mouth.py`, and laid over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.edit_maps import EditMaps
from ...imaging.light import apply_log_odds, light_of, log_odds_change, luminance
from ...imaging.maps import gaussian_blur, sample_grid
from ...threads import check_interrupt
from ...values import Direction
from ..capabilities import Removal
from .mesh import grid_places, map_mesh, polygon_mask
from .points import INNER_LIPS, OVAL
from .removal import remove

if TYPE_CHECKING:
    from .net import FaceShapeAppearanceNet

EXTENT = 1.75  # sides of the crop: as far as the motion around a face reaches
GRID, DRAFT_GRID = 392, 196  # places a side, about one for each pixel of the crop, and for two
REACH = 0.33  # sides of the crop over which hair and ears come along
STILL = (0.0002, 0.001)  # sides: motion up to the first is none, from the second on all of it
SMOOTH = 1.0  # places: of the field, whose triangles would show as facets
FACE_EDGE = 0.02  # sides: softness of the outline within which appearance changes
FRAME = 0.12  # share of the maps over which they fall to 0 at their frame
LIT = 0.4  # of the way to the frame: how far light around a face is whole
MISFIT = 0.5  # log-odds of brightness by which the drawing of the photo errs where it is hidden
DARKER = 0.8  # log-odds by which brightness falls where none of the tint is left
PARTED = 0.012  # sides of the crop by which lips have to part for the inside to be drawn
STRETCHED = 1.6  # times that a mouth's own inside may be stretched
PATCHES = 28  # a side, whose colours are compared
KEPT = 4  # faces of one edit up to which what was seen of them is kept: 2 MB each
COLOURFUL = (0.006, 0.012)  # distance of colours from a single tone: none, and all of it


class Look(NamedTuple):
    """What edits need of photos before them, `(B, ...)`.

    Attributes:
        photos, codes: of what it is.
        own: the photos on the canonical face.
        colours: their `colourfulness`.
        drawn: drawings of the codes.
        bare: what `remove` found, by attribute.
    """

    photos: Tensor
    codes: Tensor
    own: Tensor
    colours: Tensor
    drawn: Tensor
    bare: dict[Direction, tuple[Tensor, Tensor]]


def edit_maps(
    net: FaceShapeAppearanceNet,
    photos: Tensor,
    before: Tensor,
    after: Tensor,
    removals: Sequence[Removal] = (),
    *,
    draft: bool = False,
) -> Tensor:
    """What edits of codes do to photos.

    Args:
        net: the model.
        photos: aligned crops `(B, 3, S, S)` in [0, 1].
        before, after: codes `(B, K)`.
        removals: what is taken away beside that.
        draft: half the resolution throughout, drawings not sharpened.

    Returns:
        `(B, 9, N, N)`, maps over squares of `EXTENT` sides, see `EditMaps.stacked`.
    """
    old, new = net.points(before), net.points(after)
    appearances = net.split(before)[2], net.split(after)[2]
    parted = _parted(old, new)
    change = picture = bare = torch.zeros_like(photos)
    cover = torch.zeros_like(photos[:, :1])
    drawn = bool((appearances[0] != appearances[1]).any())
    opened, removed = bool((parted > 0).any()), any(bool(r.share.any()) for r in removals)
    if drawn or opened or removed:  # else nothing of a drawing is seen
        *_, own, colours, unedited, found = _look(net, photos, before, old, draft)
        change = picture = bare = torch.zeros_like(own)
        cover = torch.zeros_like(own[:, :1])
        if drawn:
            edited = net.draw(appearances[1], draft=draft)
            change = appearance_change(net, own, colours, unedited, edited)
        if opened:
            picture = tone_of(own, colours, net.paint_mouth(own, after))
        if removed:
            bare, cover = remove(net, own, before, removals, found)
            bare = apply_log_odds(tone_of(own, colours, bare), change)
    mask = _mask_of(net, change.shape[-1])
    light = light_of(change.mean(1), mask)
    change = change - light[:, None, None, None] * mask
    side = DRAFT_GRID if draft else GRID
    layers = torch.cat([change, picture, bare, cover], 1)
    maps = (
        _maps(net, (old[i], new[i]), layers[i], float(parted[i]), side) for i in range(len(photos))
    )
    stacked = torch.stack([each.stacked() for each in maps])
    if not bool((light != 0).any()):
        return stacked
    # Light falls on what surrounds a face too: confined to the face it would leave a patch.
    lit = light[:, None, None] * broad_mask(side).to(light)
    return torch.cat([stacked[:, :2], stacked[:, 2:5] + lit[:, None], stacked[:, 5:]], 1)


def _look(
    net: FaceShapeAppearanceNet, photos: Tensor, codes: Tensor, points: Tensor, draft: bool
) -> Look:
    """What edits need of photos before them; that of the last few photos is kept, as one photo is
    edited many times."""
    kept = None if torch.is_grad_enabled() else net.looks.get(draft)
    if (
        kept is not None
        and kept.photos.device == photos.device
        and torch.equal(kept.photos, photos)
        and torch.equal(kept.codes, codes)
    ):
        return kept
    own = net.read_canonical(photos, points, draft=draft)
    drawn = net.draw(net.split(codes)[2], draft=draft)
    # a copy: the caller's tensors may change
    look = Look(photos.clone(), codes.clone(), own, colourfulness(own), drawn, {})
    if len(photos) <= KEPT and not torch.is_grad_enabled():
        net.looks[draft] = look
    return look


def _parted(old: Tensor, new: Tensor) -> Tensor:
    """How much of the drawn inside is seen of mouths whose points move, `(B,)` in [0, 1]."""
    before, after = ((points[:, 14, 1] - points[:, 13, 1]).clamp(min=0) for points in (old, new))
    return ((after - STRETCHED * before) / PARTED).clamp(0, 1)


def appearance_change(
    net: FaceShapeAppearanceNet, own: Tensor, colours: Tensor, before: Tensor, after: Tensor
) -> Tensor:
    """Shift of log-odds `(B, 3, S, S)` on the canonical face.

    Brightness shifts all channels alike, so that a grey photo stays grey, and the rest is left out
    as far as the photo has a single tone, and where it gets darker: hair takes on the warmth of the
    skin, and would be grey on a light one. Where the drawing of the unedited face is far from the
    photo, something hides the face, and nothing changes.

    Args:
        own: the photo on the canonical face.
        colours: its `colourfulness`.
        before, after: drawings.
    """
    brightness = log_odds_change(luminance(before), luminance(after))
    tint = log_odds_change(before, after) - brightness
    tint = tint * colours[:, None, None, None] * (1 + brightness / DARKER).clamp(0, 1)
    misfit = log_odds_change(luminance(before), luminance(own))[:, 0]
    side = own.shape[-1]
    misfit = gaussian_blur(misfit - misfit.mean((1, 2), keepdim=True), 0.012 * side)
    seen = (-(misfit / MISFIT).square()).exp()
    seen = gaussian_blur(seen, 0.008 * side) * _mask_of(net, side)
    return (brightness + tint) * seen[:, None]


def _mask_of(net: FaceShapeAppearanceNet, side: int) -> Tensor:
    """The model's face mask in `(side, side)`."""
    return F.adaptive_avg_pool2d(net.face_mask[None], side)[0]


def _patches(pictures: Tensor) -> Tensor:
    """Means of pictures `(B, 3, S, S)` over about PATCHES places a side, `(B, 3, P)`."""
    return F.avg_pool2d(pictures, max(1, pictures.shape[-1] // PATCHES)).flatten(2)


def colourfulness(pictures: Tensor) -> Tensor:
    """Whether pictures `(B, 3, H, W)` have more than one tone, `(B,)` in [0, 1].

    Grey and sepia pictures have colours on one line: each channel is a function of brightness.
    """
    small = _patches(pictures)
    grey = small.mean(1, keepdim=True)
    basis = torch.stack([torch.ones_like(grey), grey, grey.square()], -1)[:, 0]
    fitted = basis @ torch.linalg.lstsq(basis, small.mT).solution
    error: Tensor = (small.mT - fitted).square().mean((1, 2)).sqrt()
    low, high = COLOURFUL
    return ((error - low) / (high - low)).clamp(0, 1)


def tone_of(own: Tensor, colours: Tensor, pictures: Tensor) -> Tensor:
    """Pictures `(B, 3, H, W)` in the single tone of others of a `colourfulness`, as far as those
    have one."""
    small = _patches(own)
    grey = small.mean(1, keepdim=True)
    basis = torch.stack([torch.ones_like(grey), grey], -1)[:, 0]
    line = torch.linalg.lstsq(basis, small.mT).solution  # (B, 2, 3)
    toned = line[:, 0, :, None, None] + line[:, 1, :, None, None] * pictures.mean(1, keepdim=True)
    shown: Tensor = toned + colours[:, None, None, None] * (pictures - toned)
    return shown


def _maps(
    net: FaceShapeAppearanceNet,
    points: tuple[Tensor, Tensor],
    layers: Tensor,
    parted: float,
    side: int,
) -> EditMaps:
    """The maps of one face, whose points `(478, 3)` move from the first to the second ones.

    Args:
        layers: `(10, S, S)` on the canonical face: the change, the face with its mouth painted, the
            face without what is removed, and how much that covers.
    """
    check_interrupt()
    old, new = points
    mesh = map_mesh(new, net.triangles.long(), side, EXTENT, REACH)
    values = torch.cat([(old - new)[:, :2], (net.canon - new)[:, :2]], 1)
    fields = mesh.smooth(mesh.spread(values[None])[0], SMOOTH) * frame_mask(side, FRAME).to(old)
    motion, to_canon = fields.split(2)
    motion = end_motion(motion)
    grid = (grid_places(side, EXTENT, new.device) + to_canon.permute(1, 2, 0)) * 2
    removed = bool((layers[9] > 0).any())
    used = 10 if removed else 6 if parted > 0 else 3
    seen = sample_grid(layers[None, :used], grid[None], padding_mode="zeros")[0]
    weight, face = torch.zeros_like(seen[:1]), torch.zeros_like(seen[:3])
    if parted > 0:
        inside = polygon_mask(new, INNER_LIPS, side, EXTENT)
        weight, face = parted * gaussian_blur(inside[None], 0.7), seen[3:6].clamp(0, 1)
    if removed:
        weight, face = _lay_over(weight, face, seen[9:], seen[6:9].clamp(0, 1))
    moves = float((old - new)[:, :2].abs().amax()) > 0
    return EditMaps(
        motion if moves else torch.zeros_like(motion),
        seen[:3],
        weight,
        face,
        EXTENT,
    )


def _lay_over(top: Tensor, face: Tensor, under: Tensor, below: Tensor) -> tuple[Tensor, Tensor]:
    """One picture on another, weights `(1, N, N)` and pictures `(3, N, N)` of both, as one."""
    under = (1 - top) * under
    weight = top + under
    return weight, (top * face + under * below) / weight.clamp(min=1e-6)


def end_motion(motion: Tensor) -> Tensor:
    """Motion `(2, N, N)` without what nobody sees: those pixels stay the photo's own, untouched."""
    length = motion.square().sum(0, keepdim=True).sqrt()
    t = ((length - STILL[0]) / (STILL[1] - STILL[0])).clamp(0, 1)
    return motion * t * t * (3 - 2 * t)


def frame_mask(side: int, share: float) -> Tensor:
    """1 within a square, falling to 0 over a share of it: `(side, side)`."""
    axis = (torch.arange(side) + 0.5) / side
    t = ((torch.minimum(axis, 1 - axis) - 1 / side) / share).clamp(0, 1)
    edge = t * t * (3 - 2 * t)
    return edge * edge[:, None]


def broad_mask(side: int) -> Tensor:
    """1 on and around a face, falling to 0 at the frame of the maps: `(side, side)`."""
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    t = ((1 - (axis.square() + axis[:, None].square()).sqrt()) / (1 - LIT)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def face_mask(canon: Tensor, size: int) -> Tensor:
    """Where appearance may change on the canonical face, `(size, size)` in [0, 1]."""
    inside = polygon_mask(canon, OVAL, size, 1.0)
    edge = FACE_EDGE * size
    shrunk = (gaussian_blur(inside[None], edge)[0] * 2 - 1).clamp(0, 1)
    return gaussian_blur(shrunk[None], edge / 2)[0]

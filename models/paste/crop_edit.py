"""Put a crop that an edit model drew anew back into its photo: aligned, colour-matched, in part.

What is added to the photo is the difference to the crop that was sent, so the photo's grain and
whatever is finer than the crop stay its own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import transform_scale
from ..imaging.maps import prepare_maps, resize, sample_maps
from ..threads import check_interrupt, one_thread
from ..values import PhotoContext
from .face import cut_face
from .pixels import crop_fractions, photo_box
from .region import find_points, region_mask
from .registration import Registration, lay_onto, register

_TILE_PIXELS = 1 << 20  # photo pixels worked on at once, which bounds the memory
_LEAST_REFERENCE = 0.05  # of the crop, to match colours by; below it the whole crop is
_GAINS = (0.5, 2.0)  # contrast and brightness of a channel that are matched
_ROUNDS = 8  # of reweighting
_COMPARED = 192  # side at which colours are compared, without grain


@dataclass(frozen=True, eq=False)
class CropEdit:
    """What an edited crop changes, over the square of the crop.

    Attributes:
        change: `(3, N, N)` to add to the crop.
        region: `(N, N)` in [0, 1], how much of it counts.
        found: how the picture lay on the crop.
    """

    change: Tensor
    region: Tensor
    found: Registration


@one_thread()
def plan_crop_edit(
    context: PhotoContext,
    picture: Tensor,
    parts: Collection[str],
    *,
    feather: float,
    align: bool = True,
    match_colour: bool = True,
) -> CropEdit:
    """Compare a picture with the crop of a face that it was made of.

    Args:
        context: where the face is in its photo.
        picture: `(3, N, N)` in [0, 1].
        parts: which of `region.PARTS` may change.
        feather: see `region_mask`.
        align: undo shift, scale and turn, see `register`; else the picture lies as it is.
        match_colour: undo a tint and a change of brightness or contrast of the whole crop.

    Raises:
        FaceLatentsError: it does not show the crop, or lies too far off.
    """
    picture = picture.to("cpu", torch.float32).clamp(0, 1)
    side = picture.shape[-1]
    crop = cut_face(context.photo, context, side)
    check_interrupt()
    region = region_mask(find_points(context), parts, feather, side)
    if align:
        found = register(crop, picture, region)
    else:
        found = Registration(torch.eye(2, 3, dtype=torch.float64), side, 1.0)
    check_interrupt()
    laid, seen = lay_onto(picture, found)
    check_interrupt()
    if match_colour and not torch.equal(laid, crop):
        gain, offset = match_colours(laid, crop, seen, region)
        laid = (laid * gain + offset).clamp(0, 1)
    return CropEdit(laid - crop, region * seen, found)


def match_colours(
    picture: Tensor, crop: Tensor, seen: Tensor, region: Tensor
) -> tuple[Tensor, Tensor]:
    """Gain and offset `(3, 1, 1)` of each channel that turn a picture's colours into the crop's.

    By robust least squares where nothing was meant to change: an edit that is one of colour stays.

    Args:
        picture, crop: `(3, N, N)`, one lying on the other.
        seen: `(N, N)`, 1 where the picture shows anything.
        region: `(N, N)` in [0, 1] that was meant to change.
    """
    side = min(_COMPARED, crop.shape[-1])
    picture, crop = resize(picture, side), resize(crop, side)
    seen, region = resize(torch.stack([seen, region]), side).clamp(0, 1)
    unclipped = ((picture > 0.01) & (picture < 0.99)).all(0)
    still = seen * (region < 0.01) * unclipped
    if float(still.mean()) < _LEAST_REFERENCE:
        still = seen * unclipped
    chosen = still.flatten() > 0.5
    x, y = picture.flatten(1)[:, chosen].double(), crop.flatten(1)[:, chosen].double()
    if x.shape[1] < 16:
        return crop.new_ones(3, 1, 1), crop.new_zeros(3, 1, 1)
    gain, offset = torch.ones(3, 1, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    for _ in range(_ROUNDS):
        gap = (x * gain + offset - y).abs()
        spread = 1.4826 * gap.median(dim=1, keepdim=True).values + 1e-3
        weight = (1 - (gap / (4.685 * spread)).square()).clamp(min=0).square() + 1e-9
        weight = weight / weight.sum(1, keepdim=True)
        mean_x, mean_y = (weight * x).sum(1, keepdim=True), (weight * y).sum(1, keepdim=True)
        variance = (weight * (x - mean_x).square()).sum(1, keepdim=True)
        shared = (weight * (x - mean_x) * (y - mean_y)).sum(1, keepdim=True)
        # an even backdrop tells an offset, but no contrast
        gain = ((shared + 1e-4) / (variance + 1e-4)).clamp(*_GAINS)
        offset = mean_y - gain * mean_x
    return gain.float()[..., None], offset.float()[..., None]


@one_thread()
def paste_crop(
    photo: Tensor,
    context: PhotoContext,
    edit: CropEdit,
    *,
    strength: float = 1.0,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Add an edited crop's change to its photo.

    Args:
        photo: `(H, W, 3 or 4)`: the context's photo, or it with other faces already pasted; a
            fourth channel, alpha, passes through.
        context: where the face lies in it.
        edit: of `plan_crop_edit`.
        strength: share of the change to apply.
        mask: optional `(H, W)` in [0, 1], 0 where the photo must stay as it is.

    Returns:
        The photo, and how much of each pixel `(H, W)` may have changed. Where that is 0 the photo
        is what it was to the last bit. No value leaves [0, 1] because of the edit.

    Raises:
        FaceLatentsError: the photo has pixels there that are no numbers.
    """
    result, reached = photo.clone(), photo.new_zeros(photo.shape[:2], dtype=torch.float32)
    transform, size = context.transform.to("cpu", torch.float64), context.size
    box = photo_box(transform, size, photo.shape[0], photo.shape[1])
    if box is None or strength == 0:
        return result, reached
    maps = prepare_maps(
        torch.cat([edit.change, edit.region[None]]), size / float(transform_scale(transform))
    )
    left, top, right, bottom = box
    rows = max(1, _TILE_PIXELS // (right - left))
    for start in range(top, bottom, rows):
        check_interrupt()
        stop = min(start + rows, bottom)
        tile = (left, start, right, stop)
        x, y = crop_fractions(transform, size, tile, maps.device)
        change, region = sample_maps(maps, x, y).to(photo.device).split([3, 1])
        amount = region[0] * (region[0] > 1e-3) * strength
        if mask is not None:
            amount = amount * mask[start:stop, left:right].to(amount).clamp(0, 1)
        window = photo[start:stop, left:right, :3].float().permute(2, 0, 1)
        edited = window + amount * change
        edited = edited.minimum(window.clamp_min(1.0)).maximum(window.clamp_max(0.0))
        touched = amount > 0
        if not bool(torch.isfinite(edited[:, touched]).all()):
            raise FaceLatentsError(
                "the photo has pixels that are not numbers (NaN or infinity) on the face. Load the "
                "photo again or repair it first."
            )
        changed = (touched & (change != 0).any(0))[..., None]
        inner = result[start:stop, left:right, :3]
        inner.copy_(torch.where(changed, edited.permute(1, 2, 0).to(photo.dtype), inner))
        reached[start:stop, left:right] = amount
    return result, reached

"""Put an edited face back into its photo.

The edit is a change, not a replacement: what the face after the edit differs from the face before
it is carried over to the photo's own pixels, which keep their resolution and grain. Where nothing
changes, the photo is returned bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import invert_transform, transform_points, transform_scale
from ..imaging.edit_maps import EditMaps
from ..imaging.light import apply_log_odds
from ..imaging.maps import prepare_maps, sample_maps
from ..threads import map_in_threads
from ..values import PhotoContext
from .edit import FaceEdit, PhotoEdit, PictureEdit
from .face import cut_face
from .maps import edit_maps
from .mask import face_mask
from .pixels import (
    CELL,
    DETAIL_REACH,
    Box,
    crop_fractions,
    end_before_border,
    move_photo,
    photo_box,
    square_around,
)
from .whole import paste_whole

_TILE = 384  # photo pixels a side, a multiple of `CELL`, worked on at once by a thread


def paste_back(
    photo: Tensor,
    context: PhotoContext,
    edit: FaceEdit | None,
    *,
    strength: float = 1.0,
    mask: Tensor | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Carry an edit over to the face in a photo.

    Motion ends before the photo's own border, and nothing is read from outside. Where the model
    encodes whole pictures (a context without landmarks), the change is added to the whole picture,
    see `paste_whole`.

    Args:
        photo: `(H, W, 3)` floating point, nominally in [0, 1]: the context's photo, or that photo
            with other faces already pasted. With 4 channels the last one, alpha, passes through.
        context: where the face lies in the photo.
        edit: of `plan_edits`; None: no change.
        strength: share of the change to apply; 0 gives the photo back.
        mask: optional `(H, W)` in [0, 1], 0 where the photo must stay as it is (a hand, hair).
        out: a copy of the photo, apart from it in memory, with or without alpha; the result is
            written into it and given back, so that a large photo is not copied once more.

    Returns:
        `out`, or a new tensor of the photo's shape, dtype and device. Pixels that the edit does not
        reach, and all pixels where nothing changes, are the photo's own bit for bit. A value never
        leaves [0, 1] because of the edit.

    Raises:
        FaceLatentsError: shapes that do not belong together, or values that are not finite.
    """
    _check(photo, strength, mask)
    result = photo.clone() if out is None else out
    if edit is None or strength == 0:
        return result
    if isinstance(edit, PictureEdit) and torch.equal(edit.before, edit.after):
        return result
    size = context.size
    transform = context.transform.to("cpu", torch.float64)
    if not bool(torch.isfinite(transform).all()) or float(transform_scale(transform)) < 1e-6:
        raise FaceLatentsError(
            "Paste Back: the face's alignment is not a valid transform. Encode the photo again."
        )
    if isinstance(edit, PhotoEdit):
        maps = edit.maps
    elif len(context.landmarks) == 0:
        result[..., :3] = paste_whole(photo, context, edit, strength=strength, mask=mask)[..., :3]
        return result
    elif photo_box(transform, size, photo.shape[0], photo.shape[1]) is None:
        return result
    else:
        side = edit.before.shape[-1]
        landmarks = transform_points(transform, context.landmarks.cpu())
        face = face_mask(landmarks, size, side).to(photo.device)
        # Pixels that are not numbers count as 0 here, and are refused later if the edit reaches
        # them.
        maps = edit_maps(cut_face(photo, context, side), edit, face)
    to_photo = invert_transform(transform)[:, :2] * size  # shares of the crop -> photo pixels
    transform = square_around(transform, size, maps.extent)
    _paste_maps(photo, result, maps, transform, size * maps.extent, to_photo, strength, mask)
    return result


def _paste_maps(
    photo: Tensor,
    result: Tensor,
    maps: EditMaps,
    transform: Tensor,
    square: float,
    to_photo: Tensor,
    strength: float,
    mask: Tensor | None,
) -> None:
    """Apply maps over a square of a photo to it, tile by tile.

    Args:
        photo: `(H, W, 3 or 4)`.
        result: a copy of it, where the edited pixels are written.
        maps: what to do.
        transform: `(2, 3)`, photo pixels to those of the square.
        square: its side.
        to_photo: `(2, 2)` that turns shares of the crop into photo pixels.
        strength: share of it all.
        mask: `(H, W)` shares in [0, 1].
    """
    box = photo_box(transform, square, photo.shape[0], photo.shape[1])
    if box is None:
        return
    stacked = prepare_maps(maps.stacked(), square / float(transform_scale(transform)))
    if not bool(maps.weight.any()):
        stacked = stacked[:5]  # no face is laid over

    def edit(tile: Box) -> Tensor:
        """The tile's own pixels `(h, w, 3)` after the edit."""
        wide = _widen(tile, photo)
        values = sample_maps(stacked, *crop_fractions(transform, square, wide, photo.device))
        allowed = values.new_tensor(strength)
        if mask is not None:
            inside = mask[wide[1] : wide[3], wide[0] : wide[2]].to(values)
            allowed = allowed * inside.clamp(0, 1)
        edited, touched = _edit_tile(photo, wide, values, allowed, to_photo)
        left, top = tile[0] - wide[0], tile[1] - wide[1]
        down, across = slice(top, top + tile[3] - tile[1]), slice(left, left + tile[2] - tile[0])
        edited, touched = edited[:, down, across].permute(1, 2, 0), touched[down, across]
        finite = torch.isfinite(edited)
        if not bool(finite.all() or finite[touched].all()):
            raise FaceLatentsError(
                "Paste Back: the photo has pixels that are not numbers (NaN or infinity) on the "
                "face or close to it. Load the photo again or repair it first."
            )
        window = photo[tile[1] : tile[3], tile[0] : tile[2], :3]
        return torch.where(touched[..., None], edited.to(photo.dtype), window)

    tiles = list(_active_tiles(stacked, transform, square, box))
    for (left, top, right, bottom), edited in zip(tiles, map_in_threads(edit, tiles), strict=True):
        result[top:bottom, left:right, :3] = edited


def _active_tiles(stacked: Tensor, transform: Tensor, square: float, box: Box) -> Iterator[Box]:
    """Tiles of a box of photo pixels to which maps over a square do anything."""
    acts = (stacked[:6] != 0).any(0).cpu()
    side = len(acts)
    for top, left in product(
        range(box[1] // _TILE * _TILE, box[3], _TILE), range(box[0] // _TILE * _TILE, box[2], _TILE)
    ):
        tile = (
            max(left, box[0]),
            max(top, box[1]),
            min(left + _TILE, box[2]),
            min(top + _TILE, box[3]),
        )
        corners = torch.tensor(list(product(tile[::2], tile[1::2])), dtype=torch.float64)
        places = (transform_points(transform, corners) + 0.5) * (side / square)
        (x0, y0), (x1, y1) = places.amin(0).tolist(), places.amax(0).tolist()
        across = slice(max(0, math.floor(x0) - 2), max(0, math.ceil(x1) + 2))
        down = slice(max(0, math.floor(y0) - 2), max(0, math.ceil(y1) + 2))
        if bool(acts[down, across].any()):
            yield tile


def _widen(tile: Box, photo: Tensor) -> Box:
    """With what detail is judged by around it, from a whole cell on."""
    left, top, right, bottom = tile
    reach = DETAIL_REACH + 2 * CELL
    return (
        max(0, left - reach) // CELL * CELL,
        max(0, top - reach) // CELL * CELL,
        min(photo.shape[1], right + reach),
        min(photo.shape[0], bottom + reach),
    )


def _edit_tile(
    photo: Tensor, tile: Box, maps: Tensor, allowed: Tensor, to_photo: Tensor
) -> tuple[Tensor, Tensor]:
    """Edited pixels `(3, h, w)` of a tile, and where `(h, w)` the edit acts at all.

    Args:
        photo: `(H, W, 3 or 4)`.
        tile: of it.
        maps: `(5 or 9, h, w)`: motion and change, and a face that is laid over and its weight.
        allowed: `()` or `(h, w)`, share of it all.
        to_photo: see `_paste_maps`.
    """
    motion = end_before_border(maps[:2] * allowed, photo, tile, to_photo)
    change, weight = maps[2:5] * allowed, (maps[5:6] * allowed).clamp(0, 1)
    touched = torch.stack([each.ne(0) for each in (*motion, *change, *weight)]).sum(0) > 0
    moved = edited = move_photo(photo, tile, motion, to_photo)
    if bool(change.any()):
        edited = apply_log_odds(edited, change)
    if len(weight):
        edited = edited + weight * (maps[6:] - edited)
    # Rounding may end a few 1e-8 outside; a pixel that began outside keeps what it had.
    edited = torch.minimum(torch.maximum(edited, moved.clamp(max=0)), moved.clamp(min=1))
    return edited, touched


def _check(photo: Tensor, strength: float, mask: Tensor | None) -> None:
    if photo.ndim != 3 or photo.shape[-1] not in (3, 4) or photo.numel() == 0:
        raise FaceLatentsError(
            f"Paste Back: the photo has shape {tuple(photo.shape)}; expected "
            "(height, width, 3 or 4). Paste into one photo at a time."
        )
    if not photo.is_floating_point():
        raise FaceLatentsError(
            f"Paste Back: the photo holds {photo.dtype}; expected floating point in [0, 1]. "
            "Divide 8-bit values by 255."
        )
    if not math.isfinite(strength):
        raise FaceLatentsError(f"Paste Back: strength is {strength}; expected a finite number.")
    if mask is not None and tuple(mask.shape) != tuple(photo.shape[:2]):
        raise FaceLatentsError(
            f"Paste Back: the mask has shape {tuple(mask.shape)}; expected the photo's "
            f"{tuple(photo.shape[:2])}."
        )

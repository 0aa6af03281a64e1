"""Put an edited face back into its photo.

The edit is a change, not a replacement: what the face after the edit differs from the face before
it is carried over to the photo's own pixels, which keep their resolution and grain. Where nothing
changes, the photo is returned bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import invert_transform, transform_points, transform_scale
from ..imaging.edit_maps import EditMaps
from ..imaging.light import apply_log_odds
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
    PlacedMaps,
    common_box,
    end_before_border,
    move_photo,
    photo_box,
    pixels_of,
    square_around,
)
from .whole import paste_whole

_TILE = 512  # photo pixels a side at most, worked on at once by a thread


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
    drawn = [maps.change, maps.weight, maps.face] if bool(maps.weight.amax() > 0) else [maps.change]
    motion, drawing = layers = [
        PlacedMaps.over(each, photo, transform, square, strength)
        for each in (maps.motion, torch.cat(drawn))
    ]

    def edit(tile: Box) -> None:
        """Write the tile's own pixels after the edit."""
        own = photo[tile[1] : tile[3], tile[0] : tile[2], :3].permute(2, 0, 1)
        edited = own.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if (inner := common_box(tile, motion.box)) is not None:
            wide = _widen(inner, photo)
            shift = end_before_border(motion.read(wide, mask), photo, wide, to_photo)
            moved = move_photo(photo, wide, shift, to_photo)
            edited[pixels_of(inner, tile)] = moved[pixels_of(inner, wide)]
        if (inner := common_box(tile, drawing.box)) is not None:
            place = pixels_of(inner, tile)
            edited[place] = _draw(edited[place], drawing.read(inner, mask))
        finite = bool(edited.sum().isfinite())
        if not finite or photo.dtype == torch.float64:  # float32 has not all of its digits
            acting = [one.read(tile, mask)[:4].ne(0).any(0) for one in layers]
            touched = torch.stack(acting).any(0)
            if not finite and not bool(edited[:, touched].isfinite().all()):
                raise FaceLatentsError(
                    "Paste Back: the photo has pixels that are not numbers (NaN or infinity) on "
                    "the face or close to it. Load the photo again or repair it first."
                )
            edited = torch.where(touched, edited.to(photo.dtype), own)
        result[tile[1] : tile[3], tile[0] : tile[2], :3] = edited.permute(1, 2, 0)

    for _ in map_in_threads(edit, list(_tiles([one.box for one in layers if one.box]))):
        pass


def _tiles(boxes: Sequence[Box]) -> Iterator[Box]:
    """The box around some, in tiles of about equal sides up to `_TILE`."""
    if not boxes:
        return
    left, top = (min(box[n] for box in boxes) for n in (0, 1))
    right, bottom = (max(box[n] for box in boxes) for n in (2, 3))
    wide, high = (
        math.ceil(side / math.ceil(side / _TILE)) for side in (right - left, bottom - top)
    )
    for y, x in product(range(top, bottom, high), range(left, right, wide)):
        yield x, y, min(x + wide, right), min(y + high, bottom)


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


def _draw(moved: Tensor, maps: Tensor) -> Tensor:
    """Pixels `(3, h, w)` with a change of colour, and a face laid over.

    Args:
        moved: the photo's.
        maps: `(3 or 7, h, w)`: the change, and the face's weight and the face.
    """
    drawn = apply_log_odds(moved, maps[:3])
    if len(maps) > 3:
        drawn.lerp_(maps[4:], maps[3].clamp(0, 1))
    # Rounding may end a few 1e-8 outside; a pixel that began outside keeps what it had.
    return torch.minimum(torch.maximum(drawn, moved.clamp(max=0)), moved.clamp(min=1))


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

"""Put an edited face back into its photo.

The edit is a change, not a replacement: what the face after the edit differs from the face before
it is carried over to the photo's own pixels, which keep their resolution and grain. Where nothing
changes, the photo is returned bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import invert_transform, transform_points, transform_scale
from ..imaging.edit_maps import EditMaps
from ..imaging.light import apply_log_odds
from ..imaging.maps import prepare_maps, sample_maps
from ..threads import one_thread
from ..values import PhotoContext
from .edit import FaceEdit, PhotoEdit, PictureEdit
from .face import cut_face
from .maps import edit_maps
from .mask import face_mask
from .pixels import DETAIL_REACH, Box, crop_fractions, end_before_border, move_photo, photo_box
from .whole import paste_whole

_TILE_PIXELS = 1 << 20  # photo pixels worked on at once, which bounds the memory


@one_thread()
def paste_back(
    photo: Tensor,
    context: PhotoContext,
    edit: FaceEdit | None,
    *,
    strength: float = 1.0,
    mask: Tensor | None = None,
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

    Returns:
        `(H, W, 3)` new tensor of the photo's dtype and device. Pixels that the edit does not
        reach, and all pixels where nothing changes, are the photo's own bit for bit. A value never
        leaves [0, 1] because of the edit.

    Raises:
        FaceLatentsError: shapes that do not belong together, or values that are not finite.
    """
    _check(photo, strength, mask)
    if edit is None or strength == 0:
        return photo.clone()
    if isinstance(edit, PictureEdit) and torch.equal(edit.before, edit.after):
        return photo.clone()
    size = context.size
    transform = context.transform.to("cpu", torch.float64)
    if not bool(torch.isfinite(transform).all()) or float(transform_scale(transform)) < 1e-6:
        raise FaceLatentsError(
            "Paste Back: the face's alignment is not a valid transform. Encode the photo again."
        )
    if isinstance(edit, PhotoEdit):
        maps = edit.maps
    elif len(context.landmarks) == 0:
        return paste_whole(photo, context, edit, strength=strength, mask=mask)
    elif photo_box(transform, size, photo.shape[0], photo.shape[1]) is None:
        return photo.clone()
    else:
        side = edit.before.shape[-1]
        landmarks = transform_points(transform, context.landmarks.cpu())
        face = face_mask(landmarks, size, side).to(photo.device)
        # Pixels that are not numbers count as 0 here, and are refused later if the edit reaches
        # them.
        maps = edit_maps(cut_face(photo, context, side), edit, face)
    to_photo = invert_transform(transform)[:, :2] * size  # shares of the crop -> photo pixels
    margin = size * (maps.extent - 1) / 2
    transform = torch.cat([transform[:, :2], transform[:, 2:] + margin], 1)
    return _paste_maps(photo, maps, transform, size * maps.extent, to_photo, strength, mask)


def _paste_maps(
    photo: Tensor,
    maps: EditMaps,
    transform: Tensor,
    square: float,
    to_photo: Tensor,
    strength: float,
    mask: Tensor | None,
) -> Tensor:
    """The photo with maps over a square of it applied, tile by tile.

    Args:
        photo: `(H, W, 3 or 4)`.
        maps: what to do.
        transform: `(2, 3)`, photo pixels to those of the square.
        square: its side.
        to_photo: `(2, 2)` that turns shares of the crop into photo pixels.
        strength: share of it all.
        mask: `(H, W)` shares in [0, 1].
    """
    result = photo.clone()
    box = photo_box(transform, square, photo.shape[0], photo.shape[1])
    if box is None:
        return result
    stacked = prepare_maps(maps.stacked(), square / float(transform_scale(transform)))
    left, top, right, bottom = box
    rows = max(1, _TILE_PIXELS // (right - left))
    overlap = DETAIL_REACH + 2  # detail is judged around each pixel
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        tile = (left, max(top, start - overlap), right, min(bottom, stop + overlap))
        values = sample_maps(stacked, *crop_fractions(transform, square, tile, photo.device))
        allowed = values.new_tensor(strength)
        if mask is not None:
            allowed = allowed * mask[tile[1] : tile[3], left:right].to(values).clamp(0, 1)
        tile_maps = EditMaps.unstacked(values)
        edited, touched = _edit_tile(photo, tile, tile_maps, allowed, to_photo)
        inner = slice(start - tile[1], stop - tile[1])
        edited, touched = edited[:, inner], touched[inner]
        if not bool(torch.isfinite(edited[:, touched]).all()):
            raise FaceLatentsError(
                "Paste Back: the photo has pixels that are not numbers (NaN or infinity) on the "
                "face or close to it. Load the photo again or repair it first."
            )
        window = photo[start:stop, left:right, :3]
        edited = edited.permute(1, 2, 0).to(photo.dtype)
        result[start:stop, left:right, :3] = torch.where(touched[..., None], edited, window)
    return result


def _edit_tile(
    photo: Tensor, tile: Box, maps: EditMaps, allowed: Tensor, to_photo: Tensor
) -> tuple[Tensor, Tensor]:
    """Edited pixels `(3, h, w)` of a tile, and where `(h, w)` the edit acts at all."""
    motion = end_before_border(maps.motion * allowed, photo, tile, to_photo)
    change = maps.change * allowed
    weight = (maps.weight * allowed).clamp(0, 1)
    touched = (motion != 0).any(0) | (change != 0).any(0) | (weight != 0).any(0)
    moved = move_photo(photo, tile, motion, to_photo)
    edited = apply_log_odds(moved, change)
    edited = edited + weight * (maps.face - edited)
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

"""About what Paste Back gives, in less time: while a slider moves."""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry.similarity import invert_transform
from ..imaging.edit_maps import EditMaps
from ..imaging.light import LEAST_LIGHT, apply_log_odds, light_of
from ..imaging.maps import resize, sample_grid, sample_maps
from ..values import PhotoContext
from .edit import FaceEdit, PhotoEdit
from .mask import face_mask
from .pixels import crop_fractions, end_before_border, square_around
from .whole import paste_whole

_LEAST_LIGHT = LEAST_LIGHT / 4  # as a change of brightness: the slope of log-odds at 0.5 is 4


def draft_mask(square: PhotoContext) -> Tensor | None:
    """Where `paste_draft` may change a photo of `PhotoFace.in_square`: `(side, side)` in [0, 1].

    None, for everywhere, where the model encodes whole pictures.
    """
    if len(square.landmarks) == 0:
        return None
    side = square.photo.shape[0]
    return face_mask(square.landmarks, side, side)


def paste_draft(square: PhotoContext, edit: FaceEdit | None, mask: Tensor | None) -> Tensor:
    """Add the change of an edit to the square photo of one face.

    An edit of the photo itself is read bilinearly. Of others only the difference is added: nothing
    is moved, edges are not followed, dark and bright places take as much of the change as others,
    and light around the face does not fade.

    Args:
        square: of `PhotoFace.in_square`.
        edit: of `plan_edits`; None: no change.
        mask: of `draft_mask`.

    Returns:
        `(side, side, 3)` in [0, 1].
    """
    if edit is None:
        return square.photo.clamp(0, 1)
    if isinstance(edit, PhotoEdit):
        return _draft_maps(square, edit.maps)
    pasted = paste_whole(square.photo, square, edit, mask=mask)
    if mask is not None:
        change = (edit.after - edit.before).mean(0)
        light = float(light_of(change, resize(mask[None], change.shape[-1])[0], _LEAST_LIGHT))
        if light != 0:
            pasted = pasted + light * (1 - mask)[..., None]
    return pasted.clamp(0, 1)


def _draft_maps(square: PhotoContext, maps: EditMaps) -> Tensor:
    """Maps applied to a square photo, everything read bilinearly."""
    photo = square.photo.permute(2, 0, 1)
    side = photo.shape[-1]
    transform = square.transform.to("cpu", torch.float64)
    widened = square_around(transform, square.size, maps.extent)
    box = (0, 0, side, side)
    x, y = crop_fractions(widened, square.size * maps.extent, box, photo.device)
    covers = bool((maps.weight != 0).any())
    changes = bool((maps.change != 0).any())
    stacked = maps.stacked() if covers else maps.stacked()[: 5 if changes else 2]
    values = sample_maps(stacked, x, y)
    to_photo = invert_transform(transform)[:, :2] * square.size
    motion = end_before_border(values[:2], square.photo, box, to_photo)
    shift = torch.einsum("ij,jhw->ihw", to_photo.to(motion), motion) * 2 / side
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    grid = torch.stack([axis + shift[0], axis[:, None] + shift[1]], -1)[None]
    edited = sample_grid(photo[None], grid)[0]
    if len(values) > 2:
        edited = apply_log_odds(edited, values[2:5])
    if covers:
        edited = edited + values[5:6] * (values[6:] - edited)
    return edited.permute(1, 2, 0).clamp(0, 1)

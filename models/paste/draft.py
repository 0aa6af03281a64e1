"""About what Paste Back gives, thirty times as fast: while a slider moves."""

from __future__ import annotations

from torch import Tensor

from ..imaging.maps import resize
from ..values import PhotoContext
from .edit import FaceEdit
from .maps import LEAST_LIGHT, light_of
from .mask import face_mask
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

    Nothing is moved, edges are not followed, dark and bright places take as much of the change as
    others, and light around the face does not fade.

    Args:
        square: of `PhotoFace.in_square`.
        edit: of `plan_edits`; None: no change.
        mask: of `draft_mask`.

    Returns:
        `(side, side, 3)` in [0, 1].
    """
    if edit is None:
        return square.photo.clamp(0, 1)
    pasted = paste_whole(square.photo, square, edit, mask=mask)
    if mask is not None:
        change = (edit.after - edit.before).mean(0)
        light = light_of(change, resize(mask[None], change.shape[-1])[0], _LEAST_LIGHT)
        if light != 0:
            pasted = pasted + light * (1 - mask)[..., None]
    return pasted.clamp(0, 1)

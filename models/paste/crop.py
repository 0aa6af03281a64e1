"""A photo reduced to the square around one face: enough to preview an edit put back into it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.similarity import transform_points
from ..imaging.align import align_with_transform
from ..imaging.maps import resize
from ..values import PhotoContext
from .change import LEAST_LIGHT, light_of
from .mask import face_mask
from .whole import paste_whole

_LEAST_LIGHT = LEAST_LIGHT / 4  # as a change of brightness: the slope of log-odds at 0.5 is 4


def own_face(photo: Tensor, context: PhotoContext, side: int) -> Tensor:
    """The face in a photo ``(H, W, 3 or 4)``, aligned: ``(3, side, side)``, where context says."""
    return align_with_transform(photo[..., :3], _to_square(context, side), side)


def _to_square(context: PhotoContext, side: int) -> Tensor:
    """Photo pixels to those of the aligned face at `side` pixels, ``(2, 3)`` float64."""
    scale = side / context.size
    transform = context.transform.to("cpu", torch.float64) * scale
    transform[:, 2] += (scale - 1) / 2  # pixel centres lie at integers
    return transform


def crop_context(context: PhotoContext, side: int) -> PhotoContext:
    """The same face, its photo being only the aligned square, `side` pixels wide.

    Args:
        context: a face in its photo.
        side: pixels of the new photo.

    Returns:
        A context whose photo is ``(side, side, 3)``; :func:`~.paste.paste_back` shows in it what it
        would do to the whole photo. Alpha is left out.
    """
    square = own_face(context.photo, context, side)
    to_square = _to_square(context, side)
    scale = side / context.size
    shift = (scale - 1) / 2  # pixel centres lie at integers
    back = torch.tensor([[1.0, 0.0, -shift], [0.0, 1.0, -shift]], dtype=torch.float64) / scale
    return replace(
        context,
        photo=square.permute(1, 2, 0).contiguous(),
        transform=back,
        landmarks=transform_points(to_square, context.landmarks.to("cpu", torch.float64)),
        alpha=None,
    )


def draft_mask(square: PhotoContext) -> Tensor | None:
    """Where :func:`paste_draft` may change a square of :func:`crop_context`: ``(side, side)``.

    None, for everywhere, where the model encodes whole pictures.
    """
    if len(square.landmarks) == 0:
        return None
    side = square.photo.shape[0]
    return face_mask(square.landmarks, side, side)


def paste_draft(square: PhotoContext, before: Tensor, after: Tensor, mask: Tensor | None) -> Tensor:
    """About what :func:`~.paste.paste_back` gives, thirty times as fast.

    The decoded change is only added: nothing is moved, edges are not followed, dark and bright
    places take as much of it as others, and light around the face does not fade.

    Args:
        square: of :func:`crop_context`.
        before, after: ``(3, S, S)`` decodes of the unedited and the edited code.
        mask: of :func:`draft_mask`.

    Returns:
        ``(side, side, 3)`` in [0, 1].
    """
    pasted = paste_whole(square.photo, square, before, after, blend=False, strength=1.0, mask=mask)
    if mask is not None:
        change = (after - before).mean(0).cpu()
        light = light_of(change, resize(mask[None].cpu(), change.shape[-1])[0], _LEAST_LIGHT)
        if light != 0:
            pasted = pasted + light * (1 - mask.to(pasted))[..., None]
    return pasted.clamp(0, 1)

"""Put an edit back where the model encodes whole pictures, not faces.

There is no face to spare the surroundings of: the decoded change is laid over the whole picture,
and pixels that it does not reach stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry.similarity import invert_transform
from ..imaging.align import warp_affine
from ..values import PhotoContext
from .edit import BLEND, PictureEdit
from .face import cut_face, square_transform


def paste_whole(
    photo: Tensor,
    context: PhotoContext,
    edit: PictureEdit,
    *,
    strength: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Add the change of an edit to a picture.

    With "blend" the picture becomes `edit.after`, so that what the model could not show is replaced
    too; the difference is taken at the model's resolution.

    Args:
        photo: `(H, W, 3 or 4)` in [0, 1]; a fourth channel, alpha, passes through.
        context: whose transform maps the picture into the model's square.
        edit: what to add.
        strength: share of the change to apply.
        mask: optional `(H, W)` in [0, 1], 0 where the picture stays as it is.

    Returns:
        A new tensor of the photo's shape and dtype. The edit never takes a value out of [0, 1].
    """
    side = edit.after.shape[-1]
    before = cut_face(photo.cpu(), context, side) if edit.method == BLEND else edit.before
    change = (edit.after.float().cpu() - before.float().cpu())[None] * strength
    to_photo = invert_transform(square_transform(context, side))
    change = warp_affine(change, to_photo, (photo.shape[0], photo.shape[1]))[0].permute(1, 2, 0)
    if mask is not None:
        change = change * mask.to("cpu", torch.float32).clamp(0, 1)[..., None]
    colour = photo[..., :3]
    change = change.to(colour.device)
    edited = (colour.float() + change).minimum(colour.float().clamp_min(1.0))
    edited = edited.maximum(colour.float().clamp_max(0.0)).to(photo.dtype)
    result = photo.clone()
    result[..., :3] = torch.where(change != 0, edited, colour)
    return result

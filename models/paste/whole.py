"""Put an edit back where the model encodes whole pictures, not faces.

There is no face to spare the surroundings of: the decoded change is laid over the whole picture,
and pixels that it does not reach stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..geometry.similarity import invert_transform
from ..imaging.align import align_with_transform, warp_affine
from ..values import PhotoContext


def paste_whole(
    photo: Tensor,
    context: PhotoContext,
    before: Tensor,
    after: Tensor,
    *,
    blend: bool,
    strength: float,
    mask: Tensor | None,
) -> Tensor:
    """Add `after - before` to a picture, or, with `blend`, let it become `after`.

    Args:
        photo: `(H, W, 3 or 4)` in [0, 1]; a fourth channel, alpha, passes through.
        context: whose transform maps the picture into the model's square.
        before, after: `(3, S, S)` decodes of the unedited and the edited code.
        blend: the difference is taken to the picture itself at the model's resolution, so that
            what the model could not show is replaced too.
        strength: share of the change to apply.
        mask: optional `(H, W)` in [0, 1], 0 where the picture stays as it is.

    Returns:
        A new tensor of the photo's shape and dtype. The edit never takes a value out of [0, 1].
    """
    height, width = photo.shape[:2]
    side = before.shape[-1]
    to_crop = context.transform.to("cpu", torch.float64) * (side / context.size)
    to_crop[:, 2] += (side / context.size - 1) / 2  # pixel centres lie at integers
    if blend:
        before = align_with_transform(photo[..., :3].cpu(), to_crop, side)
    change = (after.float().cpu() - before.float().cpu())[None] * strength
    change = warp_affine(change, invert_transform(to_crop), (height, width))[0].permute(1, 2, 0)
    if mask is not None:
        change = change * mask.to("cpu", torch.float32).clamp(0, 1)[..., None]
    colour = photo[..., :3]
    change = change.to(colour.device)
    edited = (colour.float() + change).minimum(colour.float().clamp_min(1.0))
    edited = edited.maximum(colour.float().clamp_max(0.0)).to(photo.dtype)
    result = photo.clone()
    result[..., :3] = torch.where(change != 0, edited, colour)
    return result

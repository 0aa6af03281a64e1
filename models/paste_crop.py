"""A photo reduced to the square around one face: enough to preview an edit put back into it."""

from __future__ import annotations

from dataclasses import replace

import torch

from .align import align_with_transform, transform_points
from .values import PhotoContext


def crop_context(context: PhotoContext, side: int) -> PhotoContext:
    """The same face, its photo being only the aligned square, `side` pixels wide.

    Args:
        context: a face in its photo.
        side: pixels of the new photo.

    Returns:
        A context whose photo is ``(side, side, 3)``; :func:`~.paste.paste_back` shows in it what it
        would do to the whole photo. Alpha is left out.
    """
    scale = side / context.size
    shift = (scale - 1) / 2  # pixel centres lie at integers
    to_square = context.transform.to("cpu", torch.float64) * scale
    to_square[:, 2] += shift
    square = align_with_transform(context.photo[..., :3], to_square, side)
    back = torch.tensor([[1.0, 0.0, -shift], [0.0, 1.0, -shift]], dtype=torch.float64) / scale
    return replace(
        context,
        photo=square.permute(1, 2, 0).contiguous(),
        transform=back,
        landmarks=transform_points(to_square, context.landmarks.to("cpu", torch.float64)),
        alpha=None,
    )

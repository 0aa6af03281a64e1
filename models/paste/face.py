"""A face of a photo before any edit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from ..geometry.similarity import compose_transforms, invert_transform, transform_points
from ..imaging.align import align_with_transform
from ..values import PhotoContext

# Widths of the crop that show all an edit does to a face: a head that turns takes what is beside it
# along, as far as the face model's editor reaches.
SURROUNDINGS = 1.75


def cut_face(photo: Tensor, context: PhotoContext, side: int) -> Tensor:
    """The aligned face of a photo `(H, W, 3 or 4)`, where the context says: `(3, side, side)`."""
    return align_with_transform(photo[..., :3], square_transform(context, side), side)


def square_transform(context: PhotoContext, side: int, surroundings: float = 1.0) -> Tensor:
    """Photo pixels to those of the square around an aligned face, `(2, 3)` float64.

    Args:
        context: where the face is.
        side: pixels of the square.
        surroundings: width of the square in widths of the aligned crop.
    """
    return compose_transforms(
        _resize_transform(context.size, side, surroundings), context.transform.cpu()
    )


def _resize_transform(size: int, side: int, surroundings: float) -> Tensor:
    """Pixels of a crop of `size` to those of the square around its middle."""
    scale = side / (size * surroundings)
    # pixel centres lie at integers
    shift = (scale - 1) / 2 + side * (1 - 1 / surroundings) / 2
    return torch.tensor([[scale, 0, shift], [0, scale, shift]], dtype=torch.float64)


class PhotoFace:
    """What an edit of a face begins with; what depends on the photo alone is computed once.

    Holds no model: the memory of models belongs to the host.

    Attributes:
        context: the photo, and where and what the face is in it.
        code: `(*shape)` float32 on the CPU, before any edit.
        decoded: `(3, S, S)`, the decode of `code`, once `edit.plan_edits` needed it.
    """

    def __init__(self, context: PhotoContext) -> None:
        self.context = context
        self.code = context.code.detach().to("cpu", torch.float32)
        self.decoded: Tensor | None = None

    @cached_property
    def crop(self) -> Tensor:
        """The photo's own face, aligned: `(3, S, S)`, S being the context's size."""
        return cut_face(self.context.photo, self.context, self.context.size)

    def in_square(self, side: int, surroundings: float = 1.0) -> PhotoFace:
        """The same face in a photo of only the square around it, for a small view of an edit.

        Args:
            side: pixels of the new photo, `(side, side, 3)`; it has no alpha.
            surroundings: its width in widths of the aligned crop.

        Returns:
            A face whose `crop` is that of the whole photo: the same picture is edited.
        """
        context, size = self.context, self.context.size
        to_square = square_transform(context, side, surroundings)
        same = side == size and surroundings == 1
        photo = self.crop if same else align_with_transform(context.photo, to_square, side)
        square = PhotoFace(
            replace(
                context,
                photo=photo.permute(1, 2, 0).contiguous(),
                transform=invert_transform(_resize_transform(size, side, surroundings)),
                landmarks=transform_points(to_square, context.landmarks.cpu()),
                alpha=None,
            )
        )
        square.crop = square.context.photo.permute(2, 0, 1) if same else self.crop
        return square


def photo_faces(contexts: Iterable[PhotoContext]) -> list[PhotoFace]:
    """A face for each context, the same one where a context comes again (frames of a morph)."""
    made: dict[int, PhotoFace] = {}
    return [made.setdefault(id(context), PhotoFace(context)) for context in contexts]

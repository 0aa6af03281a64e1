"""Which faces of a photo are meant: chosen by the artist."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError

if TYPE_CHECKING:
    from ...models.finder.faces import Face

LARGEST, ALL, BY_INDEX = CHOICES = ("largest", "all", "by index")

SMALLEST_PHOTO = 16  # pixels; below, there is nothing to find

WHAT_TO_TRY = (
    "Try: lower min_score (0.3); crop closer to the face; or connect 'Detect Face Landmarks "
    "(MediaPipe)' to face_landmarks."
)


def choose_faces(
    faces: Sequence[Face], choice: str, index: int, photo: int, mask: Tensor | None
) -> list[tuple[int, Face]]:
    """The wanted faces of one photo, each with its number in the photo (0 = the largest).

    Args:
        faces: all faces of the photo, largest first.
        choice: one of :data:`CHOICES`.
        index: which one, for "by index".
        photo: number of the photo, from 0, for messages.
        mask: `(H, W)` of the photo; faces whose centre is below 0.5 are left out.

    Raises:
        NoFaceError: there is no such face.
    """
    numbered = list(enumerate(faces))
    if not numbered:
        raise NoFaceError(f"No face was found in photo {photo + 1}. {WHAT_TO_TRY}")
    if mask is not None:
        numbered = [(i, face) for i, face in numbered if _inside(face, mask)]
        if not numbered:
            raise NoFaceError(
                f"Photo {photo + 1} has {len(faces)} face(s), but none has its centre in the "
                "white part of the mask. Paint over the face you want, or disconnect the mask."
            )
    if choice == ALL:
        return numbered
    if choice == LARGEST:
        return numbered[:1]
    if index >= len(numbered):
        raise NoFaceError(
            f"Photo {photo + 1} has {len(numbered)} face(s), numbered 0 to {len(numbered) - 1} "
            f"from the largest to the smallest; index {index} does not exist. Choose a smaller "
            "index, or lower min_score to find more faces."
        )
    return [numbered[index]]


def mask_for_photo(
    mask: Tensor | None, photo: int, height: int, width: int, name: str = "mask"
) -> Tensor | None:
    """The `(H, W)` mask of one photo; None where it is missing or black all over.

    LoadImage hands out a small black mask where a picture has no alpha: that means "no mask".
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3) or 0 in mask.shape:
        raise FaceLatentsError(f"Input '{name}' needs a MASK of shape (batch, height, width).")
    layers = mask if mask.ndim == 3 else mask.unsqueeze(0)
    if len(layers) not in (1, photo + 1) and photo >= len(layers):
        raise FaceLatentsError(
            f"Input '{name}' has {len(layers)} masks, but photo {photo + 1} is being encoded. "
            "Connect one mask, or one per photo."
        )
    layer = layers[photo if len(layers) > 1 else 0].detach().cpu().float()
    if not bool((layer > 0).any()):
        return None
    if tuple(layer.shape) != (height, width):
        raise FaceLatentsError(
            f"Input '{name}' is {layer.shape[1]} x {layer.shape[0]} pixels, the photo is {width} x "
            f"{height}. Use a mask of the photo's own size."
        )
    return layer


def _inside(face: Face, mask: Tensor) -> bool:
    x, y = face.landmarks.mean(0).tolist()
    column = min(max(round(x), 0), mask.shape[1] - 1)
    row = min(max(round(y), 0), mask.shape[0] - 1)
    return bool(mask[row, column] >= 0.5)

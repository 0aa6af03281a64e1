"""The wanted faces of a photo: where each is, its crop, and all that Paste Back will need."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError
from ...models.face_model import FaceModel
from ...models.geometry.similarity import (
    fit_whole,
    invert_transform,
    similarity_transform,
    transform_points,
    transform_scale,
)
from ...models.imaging.align import align_with_transform
from ...models.values import PhotoContext
from .. import validate
from .face_landmarks import faces_from_landmarks
from .find_faces import (
    BY_INDEX,
    LARGEST,
    SMALLEST_PHOTO,
    WHAT_TO_TRY,
    choose_faces,
    mask_for_photo,
)

if TYPE_CHECKING:
    from ...models.finder.faces import Face


@dataclass(frozen=True, eq=False)
class FaceChoice:
    """Which faces of a photo are wanted; each as the input of Encode Face."""

    min_score: float
    faces: str = LARGEST
    index: int = 0
    landmarks: Any = None
    mask: Tensor | None = None
    already_aligned: bool = False

    def without_finder(self, model: FaceModel) -> bool:
        """True where the whole picture is encoded: nothing is looked for or chosen."""
        return self.already_aligned or model.template.whole


class PlacedFace(NamedTuple):
    """A face, and where it is.

    Attributes:
        photo: number of its photo, from 0.
        context: its code is filled in after encoding.
        side: of the face in the photo, in pixels; whole pictures have no limit.
        track: first frame and number of a face, equal while a clip shows it without a long gap;
            None outside of clips, and for stand-ins.
        seen: False where a clip shows nothing of it, and its place is interpolated.
        points: `(478, 3)` float32, its dense landmarks in shares of the crop's side from the
            middle, NaN where they are not known; None where none is.
    """

    photo: int
    context: PhotoContext
    side: float = math.inf
    track: tuple[int, int] | None = None
    seen: bool = True
    points: Tensor | None = None


def place_faces(
    pixels: Tensor, model: FaceModel, number: int, wanted: FaceChoice
) -> list[PlacedFace]:
    """The wanted faces of one photo, aligned for a model.

    A model whose template has no landmarks encodes the whole picture, fitted into a square whose
    margins repeat the picture's border: nothing is looked for or chosen.

    Args:
        pixels: `(H, W, C)` float32 in [0, 1], C = 1, 3 or 4.
        model: whose alignment counts.
        number: of the photo, from 0, for messages.
        wanted: which faces.

    Raises:
        NoFaceError: there is no such face.
    """
    if wanted.without_finder(model):
        return [_place_whole(pixels, model, number)]
    photo = validate.split_channels(pixels)[0]
    found = find_all(photo, wanted, number)
    area = mask_for_photo(wanted.mask, number, *photo.shape[:2])
    index = wanted.index if wanted.faces == BY_INDEX else 0
    chosen = choose_faces(found, wanted.faces, index, number, area)
    placed = []
    for place, face in chosen:
        context = place_face(pixels, model, number, face.landmarks, place)
        points = None if face.points is None else points_in_crop(face.points, context)
        placed.append(PlacedFace(number, context, face.size, points=points))
    return placed


def find_all(photo: Tensor, wanted: FaceChoice, number: int) -> list[Face]:
    """All faces of a photo `(H, W, 3)`, largest first: the finder's, or those of a wire.

    Raises:
        NoFaceError: the finder found none.
    """
    height, width = photo.shape[:2]
    if wanted.landmarks is not None:
        return faces_from_landmarks(wanted.landmarks, number, height, width)
    if min(height, width) < SMALLEST_PHOTO:
        raise NoFaceError(
            f"No face can be found in photo {number + 1}: it is only {width} x {height} pixels. "
            "Use a photo in which the face is at least 64 pixels wide."
        )
    from ...models.finder.checkpoint import load_finder

    faces = load_finder().find(photo, min_score=wanted.min_score)
    if not faces:
        raise NoFaceError(
            f"No face was found in photo {number + 1} ({width} x {height} pixels, min_score "
            f"{wanted.min_score:g}). {WHAT_TO_TRY}"
        )
    return faces


def place_face(
    pixels: Tensor, model: FaceModel, number: int, landmarks: Tensor, index: int
) -> PhotoContext:
    """A face of a photo `(H, W, C)`, by its landmarks `(5, 2)`; `index` is its number there."""
    transform = similarity_transform(landmarks, model.template.pixels().to(landmarks.device))
    return _context(pixels, model, number, transform.cpu(), landmarks, index)


def points_in_crop(points: Tensor, context: PhotoContext) -> Tensor:
    """Dense landmarks `(478, 3)` of a photo as those of `PlacedFace.points`."""
    flat = transform_points(context.transform, points[:, :2])
    depth = points[:, 2:] * transform_scale(context.transform)
    in_pixels = torch.cat([flat + 0.5, depth], 1) / context.size
    return (in_pixels - in_pixels.new_tensor([0.5, 0.5, 0.0])).float()


def stand_in(pixels: Tensor, model: FaceModel, number: int) -> PlacedFace:
    """In place of a face, for a photo that stays as it is: the whole photo in a square."""
    height, width = pixels.shape[:2]
    transform = fit_whole(height, width, model.template.size)
    nowhere = torch.empty(0, 2, dtype=torch.float64)
    return PlacedFace(
        number, _context(pixels, model, number, transform, nowhere, 0, has_face=False)
    )


def cut_crop(context: PhotoContext) -> Tensor:
    """The aligned face, `(3, S, S)` float32 in [0, 1]; a picture that is one comes as it is."""
    photo, size = context.photo, context.size
    height, width = photo.shape[:2]
    if height == width == size and torch.equal(context.transform, fit_whole(size, size, size)):
        return photo.permute(2, 0, 1).clamp(0, 1)
    return align_with_transform(photo, context.transform, size)


def _place_whole(pixels: Tensor, model: FaceModel, number: int) -> PlacedFace:
    """An aligned crop as it is, or a whole picture, resized."""
    height, width = pixels.shape[:2]
    if height != width and not model.template.whole:
        raise FaceLatentsError(
            f"Picture {number + 1} is {width} x {height} pixels, but an aligned crop is square. "
            "Crop it to a square, or turn already_aligned off."
        )
    transform = fit_whole(height, width, model.template.size)
    landmarks = transform_points(invert_transform(transform), model.template.pixels())
    return PlacedFace(number, _context(pixels, model, number, transform, landmarks, 0))


def _context(
    pixels: Tensor,
    model: FaceModel,
    number: int,
    transform: Tensor,
    landmarks: Tensor,
    index: int,
    *,
    has_face: bool = True,
) -> PhotoContext:
    photo, alpha = validate.split_channels(pixels)
    size, code, key = model.template.size, torch.empty(0), _photo_key(photo, number)
    return PhotoContext(photo, transform, size, landmarks, code, key, index, alpha, has_face)


def _photo_key(photo: Tensor, number: int) -> str:
    """Equal for the same pixels at the same place of a batch, also across Encode Face nodes."""
    pixels = photo.contiguous().numpy()
    digest = hashlib.sha256(pixels.data)
    digest.update(repr(pixels.shape).encode())
    return f"{digest.hexdigest()[:24]}:{number}"

"""The wanted faces of a photo, aligned for a model, each with all that Paste Back will need."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError
from ...models.face_model import FaceModel
from ...models.geometry.similarity import fit_whole, invert_transform, transform_points
from ...models.imaging.align import align, align_with_transform
from ...models.values import PhotoContext
from .. import validate
from .find_faces import (
    BY_INDEX,
    LARGEST,
    SMALLEST_PHOTO,
    WHAT_TO_TRY,
    choose_faces,
    faces_from_landmarks,
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


class AlignedFace(NamedTuple):
    crop: Tensor  # (3, S, S) float32 in [0, 1]
    context: PhotoContext  # its code is filled in after encoding
    side: float = math.inf  # of the face in the photo, in pixels; whole pictures have no limit


def cut_faces(
    pixels: Tensor, model: FaceModel, number: int, wanted: FaceChoice
) -> list[AlignedFace]:
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
    photo, alpha = validate.split_channels(pixels)
    height, width = photo.shape[:2]
    size = model.template.size
    if wanted.already_aligned or model.template.whole:
        crop, transform = _fit_whole(photo, model, number)
        landmarks = transform_points(invert_transform(transform), model.template.pixels())
        cuts = [(0, math.inf, landmarks, crop, transform)]
    else:
        if wanted.landmarks is None:
            found = _find(photo, wanted.min_score, number)
        else:
            found = faces_from_landmarks(wanted.landmarks, number, height, width)
        area = mask_for_photo(wanted.mask, number, height, width)
        index = wanted.index if wanted.faces == BY_INDEX else 0
        chosen = choose_faces(found, wanted.faces, index, number, area)
        cuts = [
            (place, face.size, face.landmarks, *align(photo, face.landmarks, model.template))
            for place, face in chosen
        ]
    key = _photo_key(photo, number)
    code = torch.empty(0)
    return [
        AlignedFace(
            crop, PhotoContext(photo, transform, size, points, code, key, place, alpha), side=side
        )
        for place, side, points, crop, transform in cuts
    ]


def _find(photo: Tensor, score: float, number: int) -> list[Face]:
    height, width = photo.shape[:2]
    if min(height, width) < SMALLEST_PHOTO:
        raise NoFaceError(
            f"No face can be found in photo {number + 1}: it is only {width} x {height} pixels. "
            "Use a photo in which the face is at least 64 pixels wide."
        )
    from ...models.finder.checkpoint import load_finder

    faces = load_finder().find(photo, min_score=score)
    if not faces:
        raise NoFaceError(
            f"No face was found in photo {number + 1} ({width} x {height} pixels, min_score "
            f"{score:g}). {WHAT_TO_TRY}"
        )
    return faces


def stand_in(pixels: Tensor, model: FaceModel, number: int) -> AlignedFace:
    """In place of a face, for a photo that stays as it is: the whole photo in a square."""
    photo, alpha = validate.split_channels(pixels)
    height, width = photo.shape[:2]
    size = model.template.size
    transform = fit_whole(height, width, size)
    context = PhotoContext(
        photo,
        transform,
        size,
        torch.empty(0, 2, dtype=torch.float64),
        torch.empty(0),
        _photo_key(photo, number),
        0,
        alpha,
        has_face=False,
    )
    return AlignedFace(align_with_transform(photo, transform, size), context)


def _fit_whole(photo: Tensor, model: FaceModel, number: int) -> tuple[Tensor, Tensor]:
    """Crop and transform of an aligned crop as it is, or of a whole picture, resized."""
    height, width = photo.shape[:2]
    size = model.template.size
    if height != width and not model.template.whole:
        raise FaceLatentsError(
            f"Picture {number + 1} is {width} x {height} pixels, but an aligned crop is square. "
            "Crop it to a square, or turn already_aligned off."
        )
    transform = fit_whole(height, width, size)
    if height == width == size:
        return photo.permute(2, 0, 1).clamp(0, 1), transform
    return align_with_transform(photo, transform, size), transform


def _photo_key(photo: Tensor, number: int) -> str:
    """Equal for the same pixels at the same place of a batch, also across Encode Face nodes."""
    pixels = photo.contiguous().numpy()
    digest = hashlib.sha256(pixels.data)
    digest.update(repr(pixels.shape).encode())
    return f"{digest.hexdigest()[:24]}:{number}"

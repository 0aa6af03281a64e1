"""Encode Face: photos in, codes out, each with all that Paste Back will need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError, NoFaceError
from ...models.face_model import FaceModel
from ...models.geometry.similarity import fit_whole, invert_transform, transform_points
from ...models.imaging.align import align, align_with_transform
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..registry import node
from .find_faces import (
    BY_INDEX,
    CHOICES,
    LARGEST,
    SMALLEST_PHOTO,
    WHAT_TO_TRY,
    choose_faces,
    faces_from_landmarks,
    mask_for_photo,
)
from .refine import refine_codes, start_codes

if TYPE_CHECKING:
    from ...models.finder.faces import Face


MOST_STEPS = 2000  # of refinement


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


@node("FaceLatentsEncode", "Encode Face", widgets.MODEL)
class EncodeFace:
    """Finds the face in each photo, aligns it, and turns it into a latent code that the other face
    latents nodes can edit. Remembers the photo, so that Paste Back can return the edited face to
    it.
    """

    ALIASES = (
        "face encoder, portrait, face detection, find face, detect face, align face, crop face, "
        "face crop, invert face, inversion, project face, optimise latent, optimize latent, "
        "refine, face to latent, image to latent, stylegan, e4e, psp"
    )
    OUTPUTS = {
        "face_latent": (
            widgets.FACE_LATENT,
            "One code per face, in the order of the photos; within a photo from the largest face "
            "to the smallest.",
        ),
        "aligned": ("IMAGE", "The aligned crops the model saw, one per face."),
    }
    INPUTS = {
        "image": widgets.wire("IMAGE", "One photo or a batch; grey, RGB or RGBA."),
        "face_model": widgets.face_model("to encode with"),
        "faces": widgets.choice(
            CHOICES,
            "Which faces of each photo: the largest one, all of them, or the one with the number "
            "given by index.",
        ),
        "index": widgets.integer(
            (0, 0, 999), "Which face, for 'by index': 0 is the largest, 1 the next, ..."
        ),
        "min_score": widgets.min_score(
            " Lower it when a face is missed, raise it when something that is no face is taken "
            "for one."
        ),
    }
    OPTIONAL = {
        "face_landmarks": widgets.wire(
            "FACE_LANDMARKS",
            "Landmarks of the same photos from 'Detect Face Landmarks (MediaPipe)', used instead "
            "of the built-in finder: for hard photos.",
        ),
        "mask": widgets.wire(
            "MASK",
            "Only faces whose centre is in the white part count. A mask that is black all over "
            "is ignored.",
        ),
        "already_aligned": widgets.switch(
            False,
            "The pictures are aligned square crops already (such as this node's second output): "
            "do not look for a face, encode the whole picture.",
            "aligned crops",
            "photos",
        ),
        "refine_steps": widgets.integer(
            (0, 0, MOST_STEPS),
            "Improve each code step by step until its picture is closer to the photo; it never "
            "gets worse. 0: off. 100 is a good start; each step takes three to six times as long "
            "as decoding the faces.",
        ),
        "ignore_mask": widgets.wire(
            "MASK",
            "White parts of the photo hide the face (a hand, a microphone): the model fills them "
            "in, and refine_steps does not look at them. A mask that is black all over is "
            "ignored.",
        ),
    }

    def execute(
        self,
        image: Tensor,
        face_model: FaceModel,
        faces: str,
        index: int,
        min_score: float,
        face_landmarks: Any,
        mask: Tensor | None,
        already_aligned: bool,
        refine_steps: int,
        ignore_mask: Tensor | None,
    ) -> tuple[FaceLatent, Tensor]:
        found: list[AlignedFace] = []
        views: list[Tensor | None] = []
        wanted = FaceChoice(min_score, faces, index, face_landmarks, mask, already_aligned)
        with host.Progress(len(image), "Finding faces") as progress:
            for number, pixels in enumerate(image):
                faces_here = cut_faces(pixels, face_model, number, wanted)
                height, width = pixels.shape[:2]
                hidden = mask_for_photo(ignore_mask, number, height, width, "ignore_mask")
                found += faces_here
                views += [_find_visible(face, hidden) for face in faces_here]
                progress.step()

        crops = torch.stack([face.crop for face in found])
        view = _stack_views(views, face_model.template.size)
        codes = start_codes(face_model, crops, view, refine_steps)
        if refine_steps:
            codes = refine_codes(face_model, crops, codes, refine_steps, view)
        contexts = tuple(
            replace(face.context, code=code) for face, code in zip(found, codes.cpu(), strict=True)
        )
        aligned = crops.permute(0, 2, 3, 1).contiguous().to(host.intermediate_device())
        return FaceLatent(codes, face_model.space, contexts), aligned


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
        cuts = [(0, landmarks, crop, transform)]
    else:
        if wanted.landmarks is None:
            found = _find(photo, wanted.min_score, number)
        else:
            found = faces_from_landmarks(wanted.landmarks, number, height, width)
        area = mask_for_photo(wanted.mask, number, height, width)
        index = wanted.index if wanted.faces == BY_INDEX else 0
        chosen = choose_faces(found, wanted.faces, index, number, area)
        cuts = [
            (place, face.landmarks, *align(photo, face.landmarks, model.template))
            for place, face in chosen
        ]
    key = _photo_key(photo, number)
    code = torch.empty(0)
    return [
        AlignedFace(crop, PhotoContext(photo, transform, size, points, code, key, place, alpha))
        for place, points, crop, transform in cuts
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


def _find_visible(face: AlignedFace, hidden: Tensor | None) -> Tensor | None:
    """How much of each pixel of the crop can be seen, `(1, S, S)`; None: all of it."""
    if hidden is None:
        return None
    photo = hidden.unsqueeze(-1).expand(-1, -1, 3)
    crop = align_with_transform(photo, face.context.transform, face.context.size)
    return (crop[:1] < 0.1).float()  # a pixel that is hidden in part has a wrong colour too


def _stack_views(views: list[Tensor | None], size: int) -> Tensor | None:
    if all(view is None for view in views):
        return None
    whole = torch.ones(1, size, size)
    return torch.stack([whole if view is None else view for view in views])


def _photo_key(photo: Tensor, number: int) -> str:
    """Equal for the same pixels at the same place of a batch, also across Encode Face nodes."""
    pixels = photo.contiguous().numpy()
    digest = hashlib.sha256(pixels.data)
    digest.update(repr(pixels.shape).encode())
    return f"{digest.hexdigest()[:24]}:{number}"

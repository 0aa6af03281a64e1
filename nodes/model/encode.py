"""Encode Face: photos in, codes out, each with all that Paste Back will need."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...models.errors import NoFaceError
from ...models.face_model import FaceModel
from ...models.imaging.align import align_with_transform
from ...models.refine import mean_codes
from ...models.values import FaceLatent
from .. import host, widgets
from ..registry import node
from .cut import AlignedFace, FaceChoice, cut_faces, stand_in
from .find_faces import CHOICES, mask_for_photo
from .no_face import CHOICES as NO_FACE
from .no_face import REFUSE, describe_doubts, describe_left, describe_small, refuse
from .refine import refine_codes, start_codes

logger = logging.getLogger(__name__)

MOST_STEPS = 2000  # of refinement


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
            "to the smallest. A photo that is left as it is counts as one.",
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
        "no_face": widgets.choice(
            NO_FACE,
            "Photos that do not show the face asked for. refuse: nothing is encoded, and the "
            "message lists them. leave the photo as it is: the others are edited, and Paste Back "
            "returns these unchanged, in their place.",
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
        no_face: str,
    ) -> tuple[FaceLatent, Tensor] | dict[str, Any]:
        found: list[AlignedFace] = []
        views: list[Tensor | None] = []
        missing: dict[int, NoFaceError] = {}
        sizes: dict[int, float] = {}
        wanted = FaceChoice(min_score, faces, index, face_landmarks, mask, already_aligned)
        with host.Progress(len(image), "Finding faces") as progress:
            for number, pixels in enumerate(image):
                try:
                    faces_here = cut_faces(pixels, face_model, number, wanted)
                except NoFaceError as error:
                    missing[number] = error
                    faces_here = [stand_in(pixels, face_model, number)]
                sizes[number] = min(face.side for face in faces_here)
                height, width = pixels.shape[:2]
                hidden = mask_for_photo(ignore_mask, number, height, width, "ignore_mask")
                found += faces_here
                views += [_find_visible(face, hidden) for face in faces_here]
                progress.step()

        if missing and no_face == REFUSE:
            raise refuse(missing, len(image))
        crops = torch.stack([face.crop for face in found])
        codes = _encode(face_model, found, crops, views, refine_steps)
        contexts = tuple(
            replace(face.context, code=code) for face, code in zip(found, codes.cpu(), strict=True)
        )
        aligned = crops.permute(0, 2, 3, 1).contiguous().to(host.intermediate_device())
        result = FaceLatent(codes, face_model.space, contexts), aligned
        notes = (
            describe_left(missing, len(image))
            + describe_small(sizes)
            + describe_doubts(face_model, [f.crop if f.context.has_face else None for f in found])
        )
        if not notes:
            return result
        logger.warning("Encode Face: %s", " ".join(notes))
        host.show_text("\n".join(notes))
        return {"ui": {"text": ["\n".join(notes)]}, "result": result}


def _encode(
    model: FaceModel,
    found: list[AlignedFace],
    crops: Tensor,
    views: list[Tensor | None],
    refine_steps: int,
) -> Tensor:
    """Codes `(B, *shape)` of crops `(B, 3, S, S)`; the mean code for photos without a face."""
    faces = [i for i, face in enumerate(found) if face.context.has_face]
    codes = mean_codes(model, len(found)).to(host.intermediate_device())
    if not faces:
        return codes
    own = crops[faces]
    view = _stack_views([views[i] for i in faces], model.template.size)
    encoded = start_codes(model, own, view, refine_steps)
    if refine_steps:
        encoded = refine_codes(model, own, encoded, refine_steps, view)
    if len(faces) == len(found):
        return encoded
    codes = codes.to(encoded)
    codes[faces] = encoded
    return codes


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

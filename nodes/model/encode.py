"""Encode Face: photos in, codes out, each with all that Paste Back will need."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...models.face_model import FaceModel
from ...models.finder.landmarks_net import POINTS
from ...models.imaging.align import align_with_transform
from ...models.refine import mean_codes
from ...models.values import FaceLatent
from .. import host, widgets
from ..registry import node
from .clip import CHOICES as BATCHES
from .clip import CLIP, describe_gaps, place_clip, place_photos, steady_codes
from .cut import FaceChoice, PlacedFace, cut_crop
from .find_faces import CHOICES, mask_for_photo
from .no_face import CHOICES as NO_FACE
from .no_face import (
    REFUSE,
    describe_cut,
    describe_doubts,
    describe_left,
    describe_small,
    refuse,
)
from .refine import refine_codes, start_codes

logger = logging.getLogger(__name__)

MOST_STEPS = 2000  # of refinement
ENCODED_PIXELS = 1 << 19  # of crops at once: 10 faces of 224 pixels
ASKED_EVERY = 12  # frames of a clip, after which the model is asked again what is wrong with a face


@node("FaceLatentsEncode", "Encode Face", widgets.MODEL)
class EncodeFace:
    """Finds the face in each photo, aligns it, and turns it into a latent code that the other face
    latents nodes can edit. Remembers the photo, so that Paste Back can return the edited face to
    it.
    """

    ALIASES = (
        "face encoder, portrait, face detection, find face, detect face, align face, crop face, "
        "face crop, invert face, inversion, project face, optimise latent, optimize latent, "
        "refine, face to latent, image to latent, stylegan, e4e, psp, video, clip, track face, "
        "face tracking, flicker, jitter"
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
            "of the built-in finder: for hard photos. The bundled face model then reads pose and "
            "shape off all 478 of them too; other models are aligned by them.",
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
        "batch": widgets.choice(
            BATCHES,
            "What several photos are. separate photos: each is looked at by itself. clip: frames "
            "in order. Faces are followed, so that index 1 is the same person in every frame of a "
            "shot; they are numbered by how much of the shot they fill; trembling is smoothed; "
            "where a face is missing for up to 12 frames, its place is interpolated.",
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
        batch: str,
    ) -> tuple[FaceLatent, Tensor] | dict[str, Any]:
        wanted = FaceChoice(min_score, faces, index, face_landmarks, mask, already_aligned)
        place = place_clip if batch == CLIP else place_photos
        placed, missing = place(image, face_model, wanted)
        if missing and no_face == REFUSE:
            raise refuse(missing, len(image))
        codes, aligned, doubts = _encode(face_model, placed, refine_steps, ignore_mask)
        codes = steady_codes(codes, placed)
        contexts = tuple(
            replace(face.context, code=code) for face, code in zip(placed, codes.cpu(), strict=True)
        )
        result = FaceLatent(codes, face_model.space, contexts), aligned
        notes = (
            describe_left(missing, len(image))
            + describe_gaps(placed)
            + describe_small(placed)
            + describe_cut(placed)
            + describe_doubts(doubts)
        )
        if not notes:
            return result
        logger.warning("Encode Face: %s", " ".join(notes))
        host.show_text("\n".join(notes))
        return {"ui": {"text": ["\n".join(notes)]}, "result": result}


def _encode(
    model: FaceModel, placed: Sequence[PlacedFace], refine_steps: int, ignore_mask: Tensor | None
) -> tuple[Tensor, Tensor, dict[int, str]]:
    """Codes, aligned crops and doubts of faces, a few at a time.

    Returns:
        Codes `(B, *shape)`, the mean code where no face is seen; crops `(B, S, S, 3)`; what the
        model finds wrong with a face, by its number. Both tensors on the host's device.
    """
    size, device = model.template.size, host.intermediate_device()
    codes = mean_codes(model, len(placed)).to(device)
    aligned = torch.empty(len(placed), size, size, 3, device=device)
    doubts: dict[int, str] = {}
    whole, unknown = torch.ones(1, size, size), torch.full((POINTS, 3), torch.nan)
    at_once = max(1, ENCODED_PIXELS // size**2)
    with host.Progress(len(placed), "Encoding faces") as progress:
        for start in range(0, len(placed), at_once):
            part = range(start, min(start + at_once, len(placed)))
            crops = torch.stack([cut_crop(placed[i].context) for i in part])
            aligned[start : part.stop] = crops.permute(0, 2, 3, 1)
            faces = [i for i in part if placed[i].context.has_face and placed[i].seen]
            if faces:
                own = crops[[i - start for i in faces]]
                points = _stack([placed[i].points for i in faces], unknown)
                view = _stack([_find_visible(placed[i], ignore_mask) for i in faces], whole)
                encoded = start_codes(model, own, points, view, refine_steps)
                if refine_steps:
                    encoded = refine_codes(model, own, encoded, refine_steps, view)
                codes = codes.to(encoded)
                codes[faces] = encoded
                asked = [i for i in faces if _is_asked_about(placed[i])]
                doubts.update(zip(asked, _ask(model, crops, codes, asked, start), strict=True))
            progress.step(len(part))
    return codes, aligned, doubts


def _is_asked_about(face: PlacedFace) -> bool:
    return face.track is None or (face.photo - face.track[0]) % ASKED_EVERY == 0


def _ask(
    model: FaceModel, crops: Tensor, codes: Tensor, asked: Sequence[int], start: int
) -> list[str]:
    """What the model finds wrong with faces, whose numbers begin with `start` in `crops`."""
    doubts = model.capabilities.doubts
    if doubts is None or not asked:
        return [""] * len(asked)
    seen = crops[[i - start for i in asked]]
    return doubts(seen.to(model.device), codes[list(asked)].to(model.device))


def _find_visible(face: PlacedFace, ignore_mask: Tensor | None) -> Tensor | None:
    """How much of each pixel of the crop can be seen, `(1, S, S)`; None: all of it."""
    context = face.context
    height, width = context.photo.shape[:2]
    hidden = mask_for_photo(ignore_mask, face.photo, height, width, "ignore_mask")
    if hidden is None:
        return None
    photo = hidden.unsqueeze(-1).expand(-1, -1, 3)
    crop = align_with_transform(photo, context.transform, context.size)
    return (crop[:1] < 0.1).float()  # a pixel that is hidden in part has a wrong colour too


def _stack(parts: Sequence[Tensor | None], missing: Tensor) -> Tensor | None:
    """One tensor of all, with `missing` in place of None; None where there is none at all."""
    if all(part is None for part in parts):
        return None
    return torch.stack([missing if part is None else part for part in parts])

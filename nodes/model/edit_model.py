"""Crop Face and Paste Edited Face: a face to an edit model and back into its photo."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.paste.crop_edit import CropEdit, paste_crop, plan_crop_edit
from ...models.paste.face import cut_face
from ...models.paste.region import BROWS, EYES, MOUTH, NOSE, SKIN, SURROUNDINGS
from ...models.values import FaceLatent
from .. import host, widgets
from ..registry import node
from .canvases import Canvases, as_faces, check_faces, require_contexts
from .find_faces import mask_for_photo

logger = logging.getLogger(__name__)


@node("FaceLatentsCrop", "Crop Face", widgets.MODEL)
class CropFace:
    """Cuts the face out of its photo as a large upright square, for an edit model (Qwen-Image-Edit,
    Flux Kontext) or a brush. Paste Edited Face puts the result back.
    """

    ALIASES = (
        "face crop, crop for edit model, qwen image edit, flux kontext, klein, inpaint face, "
        "face detailer, cut face out"
    )
    OUTPUTS = {"crop": ("IMAGE", "The photo's own face, one square per face.")}
    INPUTS = {
        "face_latent": widgets.face_latent(
            "Faces from Encode Face. Their photos are cut; edits of the codes do not show."
        ),
        "size": widgets.integer(
            (1024, 64, 4096),
            "Side of the square in pixels: what the edit model likes best, often 1024. A face that "
            "is larger in the photo keeps its finer detail there.",
            step=8,
        ),
    }

    def execute(self, face_latent: FaceLatent, size: int) -> tuple[Tensor]:
        crops = []
        contexts = require_contexts(face_latent, "Crop Face")
        with host.Progress(len(contexts), "Cutting faces out") as progress:
            for context in contexts:
                crops.append(cut_face(context.photo, context, size).permute(1, 2, 0))
                progress.step()
        return (torch.stack(crops).to(host.intermediate_device()),)


@node("FaceLatentsPasteEdited", "Paste Edited Face", widgets.MODEL)
class PasteEditedFace:
    """Puts a face that an edit model changed back into its photo, and of it only the parts you ask
    for. Shift, scale, turn and tint that the model added are found and undone first. All else in
    the photo stays the same to the last bit.
    """

    ALIASES = (
        "edit model, qwen image edit, flux kontext, klein, inpaint face, face detailer, uncrop, "
        "register, align to original, pixel shift, color match, colour match"
    )
    OUTPUTS = {
        "image": ("IMAGE", "The photos with their edited faces, one per photo."),
        "mask": (
            "MASK",
            "How much of each pixel of the photo may have changed: black is the photo's own to the "
            "last bit.",
        ),
    }
    INPUTS = {
        "face_latent": widgets.face_latent("The same faces that went into Crop Face."),
        "face_image": widgets.wire(
            "IMAGE",
            "What the edit model made of the crop: square, of any size, one per face in the same "
            "order.",
        ),
        "strength": widgets.slider(
            (1.0, 0.0, 1.0, 0.01), "How much of the change reaches the photo."
        ),
        "eyes": widgets.switch(True, "Take the eyes, with lids and lashes.", "change", "keep"),
        "brows": widgets.switch(True, "Take the eyebrows.", "change", "keep"),
        "nose": widgets.switch(True, "Take the nose.", "change", "keep"),
        "mouth": widgets.switch(True, "Take lips, teeth and what is around.", "change", "keep"),
        "skin": widgets.switch(
            True, "Take the rest of the face: forehead, cheeks, chin.", "change", "keep"
        ),
        "surroundings": widgets.switch(
            False,
            "Take hair, ears, neck and background too, as far as the crop reaches.",
            "change",
            "keep",
        ),
        "feather": widgets.slider(
            (0.06, 0.0, 0.3, 0.01),
            "Width of the soft border around the parts, as a share of the crop's side.",
        ),
        "align": widgets.switch(
            True,
            "Find how the model shifted, scaled and turned the face, and undo it. Off: the picture "
            "lies as it came.",
        ),
        "match_colour": widgets.switch(
            True,
            "Undo a tint and a change of brightness or contrast of the whole crop, judged by the "
            "parts that are kept.",
        ),
    }
    OPTIONAL = {
        "mask": widgets.wire(
            "MASK",
            "Where the photo may change: white changes, black stays (a hand or hair in front of "
            "the face). Of the photo's size; black all over is ignored.",
        )
    }

    def execute(
        self,
        face_latent: FaceLatent,
        face_image: Tensor,
        strength: float,
        eyes: bool,
        brows: bool,
        nose: bool,
        mouth: bool,
        skin: bool,
        surroundings: bool,
        feather: float,
        align: bool,
        match_colour: bool,
        mask: Tensor | None,
    ) -> dict[str, Any]:
        switches = {EYES: eyes, BROWS: brows, NOSE: nose, MOUTH: mouth, SKIN: skin}
        switches[SURROUNDINGS] = surroundings
        parts = [name for name, on in switches.items() if on]
        plan = partial(
            plan_crop_edit, parts=parts, feather=feather, align=align, match_colour=match_colour
        )
        contexts = require_contexts(face_latent, "Paste Edited Face")
        check_faces(face_image, len(contexts))
        canvases = Canvases(contexts, "Paste Edited Face")
        photos = canvases.photos
        reached = torch.zeros(photos.shape[:3])
        notes: list[str] = []
        with host.Progress(len(contexts), "Pasting edited faces") as progress:
            for number, (context, place) in enumerate(zip(contexts, canvases.places, strict=True)):
                if context.has_face:
                    allowed = mask_for_photo(mask, place, *context.photo.shape[:2])
                    try:
                        edit = plan(context, as_faces(face_image, [number])[0])
                        photos[place], touched = paste_crop(
                            photos[place], context, edit, strength=strength, mask=allowed
                        )
                    except FaceLatentsError as error:
                        which = f"Paste Edited Face, picture {number + 1} of input 'face_image'"
                        raise FaceLatentsError(f"{which}: {error}") from error
                    reached[place] = torch.maximum(reached[place], touched)
                    notes.append(_describe(number, len(contexts), edit))
                progress.step()
        text = "\n".join(notes)
        logger.info("Paste Edited Face: %s", text)
        host.show_text(text)
        device = host.intermediate_device()
        return {"ui": {"text": [text]}, "result": (photos.to(device), reached.to(device))}


def _describe(number: int, count: int, edit: CropEdit) -> str:
    which = "The picture came" if count == 1 else f"Picture {number + 1} came"
    return f"{which} {edit.found.describe()}."

"""Paste Back: the edited face into its photo."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from ...models.face_model import FaceModel
from ...models.paste.back import paste_back
from ...models.paste.edit import METHODS, plan_edits
from ...models.paste.face import PhotoFace, photo_faces
from ...models.values import FaceLatent
from .. import host, validate, widgets
from ..compute import run_model
from ..registry import node
from .canvases import Canvases, as_faces, check_faces, require_contexts
from .find_faces import mask_for_photo

# Pixels of crops whose edits are planned at once: 10 faces of 224 pixels. Their maps take about
# 5 MB a face, which is all that a longer clip must not add up.
PLANNED_PIXELS = 1 << 19


@node("FaceLatentsPasteBack", "Paste Back", widgets.MODEL)
class PasteBack:
    """Puts edited faces back into their photos at full resolution: only what the edit changed is
    carried over, so skin texture, hair and background stay the photo's own. A face that was not
    edited leaves the photo untouched to the last bit.
    """

    ALIASES = (
        "composite face, uncrop, insert face, face back into photo, stitch, blend, seam, merge, "
        "face swap back"
    )
    OUTPUTS = {
        "image": (
            "IMAGE",
            "The photos with their edited faces, one per photo; frames of a morph give one each. "
            "RGBA if the photo was, else RGB.",
        )
    }
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.face_latent("Edited faces that began at Encode Face."),
        "strength": widgets.slider(
            (1.0, 0.0, 1.0, 0.01),
            "How much of the change reaches the photo: 1 all of it, 0 leaves the photo as it was.",
        ),
        "method": widgets.choice(
            METHODS,
            "warp: moves the photo's own pixels where the face moves, then adds the change of "
            "colour. residual: only adds the change of colour. blend: puts the decoded face "
            "itself there, softer, for changes too large to carry over.",
        ),
    }
    OPTIONAL = {
        "face_image": widgets.wire(
            "IMAGE",
            "Your own version of the aligned faces (square, one per face, any size), used "
            "instead of decoding the codes: after upscaling or restoring them. For a crop that an "
            "edit model or a brush changed, take Paste Edited Face.",
        ),
        "mask": widgets.wire(
            "MASK",
            "Where the photo may change: white changes, black stays (a hand or hair in front of "
            "the face). Of the photo's size; black all over is ignored.",
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        strength: float,
        method: str,
        face_image: Tensor | None,
        mask: Tensor | None,
    ) -> tuple[Tensor]:
        validate.same_model(face_model, face_latent.space, "Paste Back")
        contexts = require_contexts(face_latent, "Paste Back")
        if face_image is not None:
            check_faces(face_image, len(face_latent))
        canvases = Canvases(contexts, "Paste Back")
        begun = set[int]()  # canvases that no longer are the photo
        faces: list[PhotoFace | None] = [*photo_faces(contexts)]
        at_once = max(1, PLANNED_PIXELS // face_model.template.size**2)
        with host.Progress(len(contexts), "Pasting faces") as progress:
            for start in range(0, len(contexts), at_once):
                part = range(start, min(start + at_once, len(contexts)))
                # photos without a face stay as they are
                shown = [i for i in part if contexts[i].has_face]
                edits = plan_edits(
                    face_model,
                    [face for face in (faces[i] for i in shown) if face is not None],
                    face_latent.samples[shown],
                    method=method,
                    pictures=None if face_image is None else as_faces(face_image, shown),
                    run=partial(run_model, face_model, shown=False),
                )
                for i, edit in zip(shown, edits, strict=True):
                    canvas, context = canvases.places[i], contexts[i]
                    if edit is not None:
                        area = mask_for_photo(mask, canvas, *context.photo.shape[:2])
                        photo = canvases.photos[canvas]
                        before = photo.clone() if canvas in begun else context.photo
                        begun.add(canvas)
                        paste_back(before, context, edit, strength=strength, mask=area, out=photo)
                for i in part:
                    faces[i] = None  # what was computed for it goes, unless it comes again
                progress.step(len(part))
        return (canvases.photos.to(host.intermediate_device()),)

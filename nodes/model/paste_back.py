"""Paste Back: the edited face into its photo."""

from __future__ import annotations

from collections import Counter
from functools import partial

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.back import paste_back
from ...models.paste.edit import METHODS, plan_edits
from ...models.paste.face import photo_faces
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..compute import run_model
from ..registry import node
from .find_faces import mask_for_photo


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
            "instead of decoding the codes: after painting, upscaling or restoring them.",
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
        contexts = _require_contexts(face_latent)
        pictures = None if face_image is None else _as_faces(face_image, len(face_latent))
        canvases = _Canvases(contexts)
        shown = face_latent.faces  # photos without a face stay as they are
        planned = plan_edits(
            face_model,
            photo_faces(contexts[i] for i in shown),
            face_latent.samples[shown],
            method=method,
            pictures=None if pictures is None else pictures[shown],
            run=partial(run_model, face_model),
        )
        edits = dict(zip(shown, planned, strict=True))
        with host.Progress(len(contexts), "Pasting faces") as progress:
            for number, context in enumerate(contexts):
                canvas, edit = canvases.claim(context), edits.get(number)
                if edit is not None:
                    area = mask_for_photo(mask, canvas, *context.photo.shape[:2])
                    canvases.photos[canvas] = paste_back(
                        canvases.photos[canvas], context, edit, strength=strength, mask=area
                    )
                progress.step()
        return (canvases.stack().to(host.intermediate_device()),)


def _require_contexts(latent: FaceLatent) -> list[PhotoContext]:
    found = [context for context in latent.contexts if context is not None]
    if len(found) < len(latent):
        missing = latent.contexts.index(None) + 1
        raise FaceLatentsError(
            f"Paste Back: face {missing} of {len(latent)} belongs to no photo, so there is "
            "nowhere to put it. Only faces that began at Encode Face can be pasted; use Decode "
            "Face for the others (random faces, means of them, VAE latents)."
        )
    return found


def _as_faces(pictures: Tensor, count: int) -> Tensor:
    """The artist's own crops as `(count, 3, S, S)`."""
    if pictures.shape[1] != pictures.shape[2]:
        raise FaceLatentsError(
            f"Input 'face_image' is {pictures.shape[2]} x {pictures.shape[1]} pixels; the aligned "
            "faces are square. Use the output of Decode Face, or the 'aligned' output of Encode "
            "Face, and keep its shape."
        )
    if len(pictures) not in (1, count):
        raise FaceLatentsError(
            f"Input 'face_image' holds {len(pictures)} pictures for {count} faces. Connect one "
            "per face, in the same order."
        )
    colour = torch.stack([validate.split_channels(picture)[0] for picture in pictures])
    return colour.permute(0, 3, 1, 2).expand(count, -1, -1, -1)


class _Canvases:
    """Which output photo each face goes into.

    Faces of one photo share an output; when the same face of a photo comes again (the next frame
    of a morph), it goes into the next output of that photo.
    """

    def __init__(self, contexts: list[PhotoContext]) -> None:
        self.photos: list[Tensor] = []
        self._outputs: dict[str, list[int]] = {}  # photo -> its outputs
        self._seen: Counter[tuple[str, int]] = Counter()  # how often each face came so far
        self._with_alpha = any(context.alpha is not None for context in contexts)
        sizes = {tuple(context.photo.shape[:2]) for context in contexts}
        if len(sizes) > 1:
            listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise FaceLatentsError(
                f"Paste Back: the photos have different sizes ({listed}), but one IMAGE batch "
                "holds pictures of one size. Paste them one at a time (Select Face Latent), or "
                "resize the photos to one size before Encode Face."
            )

    def claim(self, context: PhotoContext) -> int:
        """Number of the output photo for the next face."""
        face = context.photo_key, context.face_index
        outputs = self._outputs.setdefault(context.photo_key, [])
        if self._seen[face] == len(outputs):
            outputs.append(len(self.photos))
            self.photos.append(self._blank(context))
        self._seen[face] += 1
        return outputs[self._seen[face] - 1]

    def stack(self) -> Tensor:
        return torch.stack(self.photos)

    def _blank(self, context: PhotoContext) -> Tensor:
        if not self._with_alpha:
            return context.photo
        alpha = context.alpha
        if alpha is None:
            alpha = torch.ones(context.photo.shape[:2])
        return torch.cat([context.photo, alpha.to(context.photo).unsqueeze(-1)], -1)

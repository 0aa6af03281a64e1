"""Paste Back: the edited face into its photo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.back import paste_back
from ...models.paste.edit import METHODS, plan_edits
from ...models.paste.face import PhotoFace, photo_faces
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..compute import run_model
from ..registry import node
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
        if face_image is not None:
            _check_faces(face_image, len(face_latent))
        canvases = _Canvases(contexts)
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
                    pictures=None if face_image is None else _as_faces(face_image, shown),
                    run=partial(run_model, face_model, shown=False),
                )
                for i, edit in zip(shown, edits, strict=True):
                    canvas, context = canvases.places[i], contexts[i]
                    if edit is not None:
                        area = mask_for_photo(mask, canvas, *context.photo.shape[:2])
                        canvases.photos[canvas] = paste_back(
                            canvases.photos[canvas], context, edit, strength=strength, mask=area
                        )
                for i in part:
                    faces[i] = None  # what was computed for it goes, unless it comes again
                progress.step(len(part))
        return (canvases.photos.to(host.intermediate_device()),)


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


def _check_faces(pictures: Tensor, count: int) -> None:
    """Refuse the artist's own crops `(N, H, W, C)` that do not fit the faces."""
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


def _as_faces(pictures: Tensor, numbers: Sequence[int]) -> Tensor:
    """The artist's own crops of these faces, `(n, 3, S, S)`."""
    chosen = pictures[numbers] if len(pictures) > 1 else pictures.expand(len(numbers), -1, -1, -1)
    if chosen.shape[-1] == 1:
        chosen = chosen.expand(-1, -1, -1, 3)
    return chosen[..., :3].permute(0, 3, 1, 2)


class _Canvases:
    """The output photos, and which of them each face goes into.

    Faces of one photo share an output; when the same face of a photo comes again (the next frame
    of a morph), it goes into the next output of that photo.

    Attributes:
        photos: `(N, H, W, 3 or 4)`, before any edit.
        places: number of the output photo of each face.
    """

    def __init__(self, contexts: Sequence[PhotoContext]) -> None:
        sizes = {tuple(context.photo.shape[:2]) for context in contexts}
        if len(sizes) > 1:
            listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise FaceLatentsError(
                f"Paste Back: the photos have different sizes ({listed}), but one IMAGE batch "
                "holds pictures of one size. Paste them one at a time (Select Face Latent), or "
                "resize the photos to one size before Encode Face."
            )
        self.places: list[int] = []
        sources: list[PhotoContext] = []  # one for each output
        outputs: dict[str, list[int]] = {}  # photo -> its outputs
        seen: Counter[tuple[str, int]] = Counter()  # how often each face came so far
        for context in contexts:
            face = context.photo_key, context.face_index
            own = outputs.setdefault(context.photo_key, [])
            if seen[face] == len(own):
                own.append(len(sources))
                sources.append(context)
            self.places.append(own[seen[face]])
            seen[face] += 1
        channels = 3 if all(context.alpha is None for context in contexts) else 4
        shape = (len(sources), *contexts[0].photo.shape[:2], channels)
        # one block from the start: joining photos at the end takes twice as much
        self.photos = torch.ones(shape, dtype=contexts[0].photo.dtype)
        for photo, context in zip(self.photos, sources, strict=True):
            photo[..., :3] = context.photo
            if context.alpha is not None:
                photo[..., 3] = context.alpha

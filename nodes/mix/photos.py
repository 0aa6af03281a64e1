"""Morph Photos: mixed codes as mixtures of the photos themselves."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.face import PhotoFace, photo_faces
from ...models.paste.morph import PhotoMorph, portrait_view, view_of
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..compute import decode_codes, run_model
from ..registry import node

VIEWS = PORTRAIT, FIRST_PHOTO = ("portrait", "first photo")
BACKGROUNDS = DISSOLVE, FIRST = ("dissolve", "first photo")
MOST_PIXELS = 1 << 28  # of all frames together: 3.2 GB
LARGEST = 1 << 24  # pixels of one: 2 GB while it is drawn


@node("FaceLatentsMorphPhotos", "Morph Photos", widgets.MIX)
class MorphPhotos:
    """Shows mixed faces at the photos' own resolution: every photo's pixels move to the mixed
    shape, and the photos dissolve into each other. How much of each photo is seen is read off the
    codes, so it draws frames of Morph, Lerp and Slerp, Mean Face, and edits of all of these.
    """

    ALIASES = (
        "morph photos, photo morph, face morph, blend photos, average face, mean face, dissolve, "
        "cross-dissolve, warp, face swap, full resolution"
    )
    OUTPUTS = {"image": ("IMAGE", "One picture per mixed face.")}
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.face_latent("The mixed faces, such as the frames of Morph."),
        "photos": widgets.face_latent(
            "The faces that were mixed, with their photos: what went into Morph, Lerp or Mean "
            "Face. A face without a photo (Sample Face) is drawn by the model."
        ),
        "view": widgets.choice(
            VIEWS,
            "portrait: an upright square around the face, which ends where the first of the "
            "photos ends. first photo: all of the first photo, at its own size.",
        ),
        "background": widgets.choice(
            BACKGROUNDS,
            "dissolve: hair and background dissolve as the faces do. first photo: they stay the "
            "first photo's, and only the face becomes another one.",
        ),
        "size": widgets.integer((768, 64, 4096), "Side of a portrait in pixels."),
        "surroundings": widgets.number(
            (1.3, 0.8, 3.0, 0.05),
            "Width of a portrait, in widths of the aligned face that Encode Face gives.",
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        photos: FaceLatent,
        view: str,
        background: str,
        size: int,
        surroundings: float,
    ) -> tuple[Tensor]:
        for latent in (face_latent, photos):
            validate.same_model(face_model, latent.space, "Morph Photos")
        faces = _faces_of(face_model, photos)
        if view == FIRST_PHOTO:
            shown = view_of(faces[0].context)
        else:
            shown = portrait_view(faces, size, surroundings)
        count = len(face_latent)
        if shown.height * shown.width > LARGEST:
            raise FaceLatentsError(
                f"Morph Photos: the first photo has {shown.width} x {shown.height} pixels; at most "
                f"{LARGEST / 1e6:.0f} million can be drawn at once. Choose the view 'portrait', or "
                "make the photo smaller before Encode Face."
            )
        if count * shown.height * shown.width > MOST_PIXELS:
            raise FaceLatentsError(
                f"Morph Photos: {count} pictures of {shown.width} x {shown.height} pixels do not "
                "fit into memory. Choose the view 'portrait' with a smaller size, or draw fewer "
                "frames at a time (Select Face Latent takes some out)."
            )
        morph = PhotoMorph(
            face_model,
            faces,
            shown,
            dissolve=background == DISSOLVE,
            run=partial(run_model, face_model),
        )
        pictures = torch.empty(count, shown.height, shown.width, 3)
        with host.Progress(count, "Morphing photos") as progress:
            for number, code in enumerate(face_latent.samples):
                pictures[number] = morph.draw(code)
                progress.step()
        return (pictures.to(host.intermediate_device()),)


def _faces_of(model: FaceModel, latent: FaceLatent) -> list[PhotoFace]:
    """Faces of photos and of drawn pictures, each once; photos without a face are left out."""
    if not latent.faces:
        raise FaceLatentsError(
            "Morph Photos: none of the photos shows a face. Connect the faces that were mixed, "
            "as Encode Face found them."
        )
    chosen = latent.take(latent.faces)
    contexts = {n: found for n, found in enumerate(chosen.contexts) if found is not None}
    drawn = [n for n in range(len(chosen)) if n not in contexts]
    if drawn:
        codes = chosen.samples[drawn]
        pictures = decode_codes(model, codes, "Drawing faces without a photo").float().cpu()
        for n, code, picture in zip(drawn, codes, pictures, strict=True):
            contexts[n] = _drawn(model, code, picture)
    return list(dict.fromkeys(photo_faces(contexts[n] for n in range(len(chosen)))))


def _drawn(model: FaceModel, code: Tensor, picture: Tensor) -> PhotoContext:
    """A decode `(3, S, S)` as the photo of its face."""
    photo = picture.clamp(0, 1).permute(1, 2, 0).contiguous()
    marks = model.template.pixels()
    return PhotoContext(
        photo, torch.eye(2, 3, dtype=torch.float64), model.template.size, marks, code.cpu(), "", 0
    )

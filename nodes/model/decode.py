"""Decode Face: codes in, pictures out."""

from __future__ import annotations

from torch import Tensor

from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import widgets
from ..compute import decode_codes, require_space_of
from ..registry import node


@node("FaceLatentsDecode", "Decode Face", widgets.MODEL)
class DecodeFace:
    """Turns latent codes into pictures of faces, as aligned squares. To put an edited face back
    into its photo, use Paste Back instead.
    """

    ALIASES = "face decoder, latent to image, generate face, portrait, render, synthesis, stylegan"
    OUTPUTS = {"image": ("IMAGE", "One square picture per face.")}
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.face_latent("The faces to show."),
    }

    def execute(self, face_model: FaceModel, face_latent: FaceLatent) -> tuple[Tensor]:
        what = f"Decode Face: model '{face_model.name}' and the face latent"
        require_space_of(face_model, face_latent, what)
        pictures = decode_codes(face_model, face_latent.samples, space=face_latent.space)
        return (pictures.clamp(0, 1).permute(0, 2, 3, 1).contiguous(),)

"""Decode Face: codes in, pictures out."""

from __future__ import annotations

from torch import Tensor

from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import validate, widgets
from ..compute import decode_codes, require_space_of


class DecodeFace:
    """Codes to aligned pictures."""

    CATEGORY = widgets.MODEL
    DESCRIPTION = (
        "Turns latent codes into pictures of faces, as aligned squares. To put an edited face "
        "back into its photo, use Paste Back instead."
    )
    SEARCH_ALIASES = ["face decoder", "latent to image", "generate face", "render", "synthesis"]
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("image",)
    OUTPUT_TOOLTIPS = ("One square picture per face.",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL, "The model the faces were encoded with (Load Face Model)."
                ),
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to show."),
            }
        }

    def decode(self, face_model: FaceModel, face_latent: FaceLatent) -> tuple[Tensor]:
        model = validate.face_model(face_model)
        latent = validate.face_latent(face_latent)
        require_space_of(model, latent, f"Decode Face: model '{model.name}' and the face latent")
        pictures = decode_codes(model, latent.samples, space=latent.space)
        return (pictures.clamp(0, 1).permute(0, 2, 3, 1).contiguous(),)


NODES = {"FaceLatentsDecode": (DecodeFace, "Decode Face")}

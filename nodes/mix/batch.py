"""Joining face latents into one batch and taking one out of it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.space import require_same_space
from ...models.values import FaceLatent, join_latents
from .. import validate, widgets


class JoinFaceLatents:
    """Several face latents into one batch."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Puts the faces of several face latents into one batch, in order: keyframes for Morph, "
        "faces for Mean Face or Distance Matrix, or several faces of one photo for Paste Back."
    )
    SEARCH_ALIASES = ["batch face latents", "combine faces", "concatenate", "keyframes", "append"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The faces of a, then of b, then of c and d where connected.",)
    FUNCTION = "join"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "a": widgets.wire(widgets.FACE_LATENT, "The first face or faces."),
                "b": widgets.wire(widgets.FACE_LATENT, "The faces that follow."),
            },
            "optional": {
                "c": widgets.wire(widgets.FACE_LATENT, "Further faces."),
                "d": widgets.wire(widgets.FACE_LATENT, "Further faces."),
            },
        }

    def join(
        self,
        a: FaceLatent,
        b: FaceLatent,
        c: FaceLatent | None = None,
        d: FaceLatent | None = None,
    ) -> tuple[FaceLatent]:
        given = {"a": a, "b": b, "c": c, "d": d}
        latents = {
            name: validate.face_latent(value, name)
            for name, value in given.items()
            if value is not None or name in "ab"
        }
        for name, latent in latents.items():
            require_same_space(
                latents["a"].space, latent.space, f"Join Face Latents: inputs a and {name}"
            )
        return (join_latents(list(latents.values())),)


class SelectFaceLatent:
    """One face of a batch."""

    CATEGORY = widgets.MIX
    DESCRIPTION = "Takes one face out of a batch of face latents, by its number."
    SEARCH_ALIASES = ["pick face", "get face", "index", "face from batch", "choose face"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The chosen face, with its photo.",)
    FUNCTION = "select"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The batch to choose from."),
                "index": widgets.integer(
                    0,
                    -4096,
                    4095,
                    "Which face: 0 is the first, 1 the second; -1 is the last, -2 the one before.",
                ),
            }
        }

    def select(self, face_latent: FaceLatent, index: int) -> tuple[FaceLatent]:
        latent = validate.face_latent(face_latent)
        count = len(latent)
        index = validate.whole(index, "index", -4096, 4095)
        if not -count <= index < count:
            raise FaceLatentsError(
                f"There is no face {index}: the batch has {count} face(s), numbered 0 to "
                f"{count - 1} (or -1 to {-count} from the end)."
            )
        index %= count
        return (
            replace(
                latent,
                samples=latent.samples[index : index + 1].clone(),
                contexts=(latent.contexts[index],),
                extras={key: _item(value, index, count) for key, value in latent.extras.items()},
            ),
        )


def _item(value: object, index: int, count: int) -> object:
    """Entry `index` of a value that has one per face; anything else as it is."""
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == count:
        return value[index : index + 1].clone()
    if isinstance(value, list | tuple) and len(value) == count:
        return type(value)([value[index]])
    return value


NODES = {
    "FaceLatentsJoin": (JoinFaceLatents, "Join Face Latents"),
    "FaceLatentsSelect": (SelectFaceLatent, "Select Face Latent"),
}

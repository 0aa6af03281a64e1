"""Joining face latents into one batch and taking one out of it."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.space import require_same_space
from ...models.values import FaceLatent, join_latents
from .. import widgets
from ..registry import node


@node("FaceLatentsJoin", "Join Face Latents", widgets.MIX)
class JoinFaceLatents:
    """Puts the faces of several face latents into one batch, in order: keyframes for Morph, faces
    for Mean Face or Distance Matrix, or several faces of one photo for Paste Back.
    """

    ALIASES = "batch face latents, combine faces, concatenate, keyframes, append"
    OUTPUTS = widgets.output_faces("The faces of a, then of b, then of c and d where connected.")
    INPUTS = {
        "a": widgets.face_latent("The first face or faces."),
        "b": widgets.face_latent("The faces that follow."),
    }
    OPTIONAL = {
        "c": widgets.face_latent("Further faces."),
        "d": widgets.face_latent("Further faces."),
    }

    def execute(self, a: FaceLatent, **others: FaceLatent | None) -> tuple[FaceLatent]:
        latents = [a]
        for name, latent in others.items():
            if latent is not None:
                require_same_space(a.space, latent.space, f"Join Face Latents: inputs a and {name}")
                latents.append(latent)
        return (join_latents(latents),)


@node("FaceLatentsSelect", "Select Face Latent", widgets.MIX)
class SelectFaceLatent:
    """Takes one face out of a batch of face latents, by its number."""

    ALIASES = "pick face, get face, index, face from batch, choose face"
    OUTPUTS = widgets.output_faces("The chosen face, with its photo.")
    INPUTS = {
        "face_latent": widgets.face_latent("The batch to choose from."),
        "index": widgets.integer(
            (0, -4096, 4095),
            "Which face: 0 is the first, 1 the second; -1 is the last, -2 the one before.",
        ),
    }

    def execute(self, face_latent: FaceLatent, index: int) -> tuple[FaceLatent]:
        count = len(face_latent)
        if not -count <= index < count:
            raise FaceLatentsError(
                f"There is no face {index}: the batch has {count} face(s), numbered 0 to "
                f"{count - 1} (or -1 to {-count} from the end)."
            )
        index %= count
        chosen = replace(
            face_latent,
            samples=face_latent.samples[index : index + 1].clone(),
            contexts=(face_latent.contexts[index],),
            extras={key: _item(value, index, count) for key, value in face_latent.extras.items()},
        )
        return (chosen,)


def _item(value: object, index: int, count: int) -> object:
    """Entry `index` of a value that has one per face; anything else as it is."""
    if isinstance(value, Tensor) and value.ndim > 0 and len(value) == count:
        return value[index : index + 1].clone()
    if isinstance(value, list | tuple) and len(value) == count:
        return type(value)([value[index]])
    return value

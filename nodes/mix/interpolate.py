"""Between faces: Lerp, Slerp, Mean Face."""

from __future__ import annotations

from dataclasses import replace

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import first_photo, mean_of, origin_of, pair, result_of_pair
from ..registry import node

ARITHMETIC, LOL = MEAN_MODES = ("arithmetic", "LOL")


class _Blend:
    """What both blends of two faces ask and hand on."""

    OUTPUTS = widgets.output_faces("The blended faces, which belong to the photos of a.")
    INPUTS = {
        "a": widgets.face_latent(
            "The face at t = 0. Paste Back returns the result to this face's photo."
        ),
        "b": widgets.face_latent("The face at t = 1, from the same model."),
        "t": widgets.slider(
            (0.5, -1.0, 2.0, 0.01),
            "Where between the two: 0 is exactly a, 1 exactly b, 0.5 the middle. Below 0 or "
            "above 1 exaggerates the difference.",
        ),
    }


@node("FaceLatentsLerp", "Lerp", widgets.MIX)
class Lerp(_Blend):
    """Blends two faces along a straight line. Simple and exact; halfway between very different
    faces it tends to the average face, where Slerp keeps more character.
    """

    ALIASES = (
        "interpolate, blend faces, mix faces, merge faces, linear interpolation, crossfade, "
        "lerp faces"
    )

    def execute(self, a: FaceLatent, b: FaceLatent, t: float) -> tuple[FaceLatent]:
        start, end = pair(a, b, "Lerp")
        samples = latent_ops.lerp(start, end, t, latent_dims=a.space.latent_dims)
        return (result_of_pair(a, b, samples),)


@node("FaceLatentsSlerp", "Slerp", widgets.MIX)
class Slerp(_Blend):
    """Blends two faces along an arc instead of a straight line, so that faces in between keep as
    much character as the two ends.
    """

    ALIASES = (
        "spherical interpolation, interpolate, blend faces, mix faces, merge faces, arc, "
        "slerp faces"
    )

    def execute(self, a: FaceLatent, b: FaceLatent, t: float) -> tuple[FaceLatent]:
        start, end = pair(a, b, "Slerp")
        dims = a.space.latent_dims
        samples = latent_ops.slerp(start, end, t, origin=origin_of(a), latent_dims=dims)
        return (result_of_pair(a, b, samples),)


@node("FaceLatentsMean", "Mean Face", widgets.MIX)
class MeanFace:
    """Averages a batch of faces into one, each with its own weight. 'LOL' keeps the mix as
    characterful as its ingredients, where the arithmetic mean drifts to the average face.
    """

    ALIASES = "average face, blend faces, mix, combine, weighted mean, centroid"
    OUTPUTS = widgets.output_faces("One face, which belongs to the photo of the first face.")
    INPUTS = {
        "face_latent": widgets.faces("The faces to average."),
        "weights": widgets.text(
            "",
            "One number per face, separated by commas or spaces, such as 2, 1, 1. Empty: all "
            "faces count the same. Negative weights move away from a face.",
        ),
        "mode": widgets.choice(
            MEAN_MODES,
            "arithmetic: the plain mean. LOL: keeps the spread of the model's faces (for faces "
            "that are not alike).",
        ),
    }

    def execute(self, face_latent: FaceLatent, weights: str, mode: str) -> tuple[FaceLatent]:
        shares = _parse_weights(weights, len(face_latent))
        with validate.explain_errors("Mean Face"):
            samples = latent_ops.weighted_mean(
                face_latent.samples,
                shares,
                mode=mode.lower(),
                mean=mean_of(face_latent),
                latent_dims=face_latent.space.latent_dims,
            )
        contexts = (first_photo(face_latent),)
        return (replace(face_latent, samples=samples.unsqueeze(0), contexts=contexts),)


def _parse_weights(text: str, count: int) -> list[float] | None:
    """The weight of each face, or None where the text is empty."""
    found = validate.numbers_in(text, "Mean Face", "weights", "2, 1, 1")
    if not found:
        return None
    if len(found) != count:
        raise FaceLatentsError(
            f"Mean Face: there are {len(found)} weights for {count} face(s). Give one weight "
            "per face, or leave the field empty."
        )
    return found

"""Between faces: Lerp, Slerp, Mean Face."""

from __future__ import annotations

from dataclasses import replace

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import first_photo, mean_of, pair, result_of_pair
from ..number_text import numbers

ARITHMETIC, LOL = MEAN_MODES = ("arithmetic", "LOL")
W_SPACES = ("w", "w_plus")  # curved around their mean, not around zero

T_TOOLTIP = (
    "Where between the two: 0 is exactly a, 1 exactly b, 0.5 the middle. Below 0 or above 1 "
    "exaggerates the difference."
)


def _pair_inputs() -> widgets.InputTypes:
    return {
        "required": {
            "a": widgets.wire(
                widgets.FACE_LATENT,
                "The face at t = 0. Paste Back returns the result to this face's photo.",
            ),
            "b": widgets.wire(widgets.FACE_LATENT, "The face at t = 1, from the same model."),
            "t": widgets.slider(0.5, -1.0, 2.0, 0.01, T_TOOLTIP),
        }
    }


class Lerp:
    """(1 - t) a + t b."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Blends two faces along a straight line. Simple and exact; halfway between very different "
        "faces it tends to the average face, where Slerp keeps more character."
    )
    SEARCH_ALIASES = [
        "interpolate",
        "blend faces",
        "mix faces",
        "linear interpolation",
        "crossfade",
    ]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The blended faces, which belong to the photos of a.",)
    FUNCTION = "lerp"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return _pair_inputs()

    def lerp(self, a: FaceLatent, b: FaceLatent, t: float) -> tuple[FaceLatent]:
        first, second = validate.face_latent(a, "a"), validate.face_latent(b, "b")
        start, end = pair(first, second, "Lerp")
        samples = latent_ops.lerp(
            start, end, validate.finite(t, "t"), latent_dims=first.space.latent_dims
        )
        return (result_of_pair(first, second, samples),)


class Slerp:
    """Along the arc from a to b."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Blends two faces along an arc instead of a straight line, so that faces in between keep "
        "as much character as the two ends."
    )
    SEARCH_ALIASES = ["spherical interpolation", "interpolate", "blend faces", "mix faces", "arc"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The blended faces, which belong to the photos of a.",)
    FUNCTION = "slerp"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return _pair_inputs()

    def slerp(self, a: FaceLatent, b: FaceLatent, t: float) -> tuple[FaceLatent]:
        first, second = validate.face_latent(a, "a"), validate.face_latent(b, "b")
        start, end = pair(first, second, "Slerp")
        samples = latent_ops.slerp(
            start,
            end,
            validate.finite(t, "t"),
            origin=mean_of(first) if first.space.name in W_SPACES else None,
            latent_dims=first.space.latent_dims,
        )
        return (result_of_pair(first, second, samples),)


class MeanFace:
    """The weighted mean of a batch."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Averages a batch of faces into one, each with its own weight. 'LOL' keeps the mix as "
        "characterful as its ingredients, where the arithmetic mean drifts to the average face."
    )
    SEARCH_ALIASES = ["average face", "blend faces", "mix", "combine", "weighted mean", "centroid"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("One face, which belongs to the photo of the first face.",)
    FUNCTION = "mean"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to average."),
                "weights": widgets.text(
                    "",
                    "One number per face, separated by commas or spaces, such as 2, 1, 1. Empty: "
                    "all faces count the same. Negative weights move away from a face.",
                ),
                "mode": widgets.choice(
                    MEAN_MODES,
                    "arithmetic: the plain mean. LOL: keeps the spread of the model's faces "
                    "(for faces that are not alike).",
                ),
            }
        }

    def mean(self, face_latent: FaceLatent, weights: str, mode: str) -> tuple[FaceLatent]:
        latent = validate.face_latent(face_latent)
        shares = _parse_weights(weights, len(latent))
        chosen = validate.one_of(mode, MEAN_MODES, "mode")
        with validate.explained("Mean Face"):
            samples = latent_ops.weighted_mean(
                latent.samples,
                shares,
                mode=chosen.lower(),
                mean=mean_of(latent),
                latent_dims=latent.space.latent_dims,
            )
        return (replace(latent, samples=samples.unsqueeze(0), contexts=(first_photo(latent),)),)


def _parse_weights(text: object, count: int) -> list[float] | None:
    """The weight of each face, or None where the text is empty."""
    found = numbers(text, "Mean Face", "weights", "2, 1, 1")
    if not found:
        return None
    if len(found) != count:
        raise FaceLatentsError(
            f"Mean Face: there are {len(found)} weights for {count} face(s). Give one weight "
            "per face, or leave the field empty."
        )
    return found


NODES = {
    "FaceLatentsLerp": (Lerp, "Lerp"),
    "FaceLatentsSlerp": (Slerp, "Slerp"),
    "FaceLatentsMean": (MeanFace, "Mean Face"),
}

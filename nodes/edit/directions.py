"""Moving codes along directions: Add Direction, Remove Feature, Set Attribute."""

from __future__ import annotations

from ... import latent_ops
from ...models.layers import ALL
from ...models.values import Direction, FaceLatent
from .. import validate, widgets
from ..combine import mean_of, vector_for

SUBTRACT, PROJECT_OUT = REMOVAL_MODES = ("subtract", "project out")


class AddDirection:
    """v + strength * direction."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "Moves a face along a direction: more smile, older, lit from the left. Strength 0 leaves "
        "the face exactly as it is; a negative strength goes the other way."
    )
    SEARCH_ALIASES = ["edit face", "smile", "age", "attribute", "latent add", "move along"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The moved faces.",)
    FUNCTION = "add"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to edit."),
                "direction": widgets.wire(
                    widgets.FACE_DIRECTION,
                    "Where to go, from the same model (Load Direction, Direction Between).",
                ),
                "strength": widgets.strength(
                    "How far: 0 changes nothing, 1 adds the direction once (usually one standard "
                    "deviation of the attribute), negative values go the other way."
                ),
            },
            "optional": {
                "layers": widgets.layers(
                    "Models of the StyleGAN2 kind only: which layers move. coarse (0-3) pose and "
                    "shape, middle (4-7) features, fine (8 and up) colours and texture; or "
                    "numbers such as '4-7, 10'."
                )
            },
        }

    def add(
        self,
        face_latent: FaceLatent,
        direction: Direction,
        strength: float,
        layers: str = ALL,
    ) -> tuple[FaceLatent]:
        latent = validate.face_latent(face_latent)
        vector = vector_for(latent, validate.direction(direction), "Add Direction", layers)
        amount = validate.finite(strength, "strength")
        samples = latent_ops.add(
            latent.samples, vector, amount, latent_dims=latent.space.latent_dims
        )
        return (latent.with_samples(samples),)


class RemoveFeature:
    """v - strength * direction, or v without its component along the direction."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "Takes a feature out of a face. 'subtract' moves against the direction by a fixed amount; "
        "'project out' removes just as much of the feature as this face has, so that it ends up "
        "at the model's average."
    )
    SEARCH_ALIASES = [
        "remove attribute",
        "subtract",
        "project out",
        "neutralise",
        "erase",
        "orthogonal",
    ]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The faces without the feature.",)
    FUNCTION = "remove"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to edit."),
                "feature": widgets.wire(
                    widgets.FACE_DIRECTION, "The direction of the feature, from the same model."
                ),
                "strength": widgets.strength(
                    "subtract: how many times the direction is subtracted. project out: how much "
                    "of the feature is removed; 1 removes all of it, 0.5 half, 0 nothing."
                ),
                "mode": widgets.choice(
                    REMOVAL_MODES,
                    "subtract: the same step for every face. project out: exactly what each face "
                    "has of the feature.",
                    default=PROJECT_OUT,
                ),
            }
        }

    def remove(
        self, face_latent: FaceLatent, feature: Direction, strength: float, mode: str
    ) -> tuple[FaceLatent]:
        latent = validate.face_latent(face_latent)
        vector = vector_for(latent, validate.direction(feature, "feature"), "Remove Feature")
        amount = validate.finite(strength, "strength")
        dims = latent.space.latent_dims
        with validate.explained("Remove Feature"):
            if validate.one_of(mode, REMOVAL_MODES, "mode") == SUBTRACT:
                samples = latent_ops.subtract(latent.samples, vector, amount, latent_dims=dims)
            else:
                samples = latent_ops.remove(
                    latent.samples, vector, amount, mean_of(latent), latent_dims=dims
                )
        return (latent.with_samples(samples),)


class SetAttribute:
    """Move along a direction until the code measures a given value."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "Sets an attribute to a value, whatever it was before: 0 is the model's average, 1 one "
        "unit of the direction above it. Faces that start differently end equal in this attribute."
    )
    SEARCH_ALIASES = ["set to value", "attribute value", "match attribute", "project", "absolute"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The faces with the attribute at the value.",)
    FUNCTION = "set_value"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to edit."),
                "direction": widgets.wire(
                    widgets.FACE_DIRECTION, "The direction of the attribute, from the same model."
                ),
                "value": widgets.strength(
                    "The attribute's value afterwards: 0 is the model's average face, 1 one unit "
                    "of the direction (usually one standard deviation) above it.",
                    default=0.0,
                ),
            }
        }

    def set_value(
        self, face_latent: FaceLatent, direction: Direction, value: float
    ) -> tuple[FaceLatent]:
        latent = validate.face_latent(face_latent)
        vector = vector_for(latent, validate.direction(direction), "Set Attribute")
        target = validate.finite(value, "value")
        with validate.explained("Set Attribute"):
            samples = latent_ops.set_to_value(
                latent.samples,
                vector,
                target,
                mean_of(latent),
                latent_dims=latent.space.latent_dims,
            )
        return (latent.with_samples(samples),)


NODES = {
    "FaceLatentsAddDirection": (AddDirection, "Add Direction"),
    "FaceLatentsRemoveFeature": (RemoveFeature, "Remove Feature"),
    "FaceLatentsSetAttribute": (SetAttribute, "Set Attribute"),
}

"""Moving codes along directions: Add Direction, Remove Feature, Set Attribute."""

from __future__ import annotations

from ... import latent_ops
from ...models.values import Direction, FaceLatent
from .. import validate, widgets
from ..combine import mean_of, vector_for
from ..registry import node

SUBTRACT, PROJECT_OUT = REMOVAL_MODES = ("subtract", "project out")


@node("FaceLatentsAddDirection", "Add Direction", widgets.EDIT)
class AddDirection:
    """Moves a face along a direction: more smile, older, lit from the left. Strength 0 leaves the
    face exactly as it is; a negative strength goes the other way.
    """

    ALIASES = (
        "edit face, attribute, expression, smile, laugh, age, older, younger, glasses, beard, "
        "gender, mouth open, brightness, light, head turn, pose, latent add, move along"
    )
    OUTPUTS = widgets.output_faces("The moved faces.")
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to edit."),
        "direction": widgets.direction(
            "Where to go, from the same model (Load Direction, Direction Between)."
        ),
        "strength": widgets.strength(
            "How far: 0 changes nothing, 1 adds the direction once (usually one standard "
            "deviation of the attribute), negative values go the other way."
        ),
    }
    OPTIONAL = {
        "layers": widgets.layers(
            "Models of the StyleGAN2 kind only: which layers move. coarse (0-3) pose and shape, "
            "middle (4-7) features, fine (8 and up) colours and texture; or numbers such as "
            "'4-7, 10'."
        )
    }

    def execute(
        self, face_latent: FaceLatent, direction: Direction, strength: float, layers: str
    ) -> tuple[FaceLatent]:
        vector = vector_for(face_latent, direction, "Add Direction", layers)
        samples = latent_ops.add(
            face_latent.samples, vector, strength, latent_dims=face_latent.space.latent_dims
        )
        return (face_latent.with_samples(samples),)


@node("FaceLatentsRemoveFeature", "Remove Feature", widgets.EDIT)
class RemoveFeature:
    """Takes a feature out of a face. 'subtract' moves against the direction by a fixed amount;
    'project out' removes just as much of the feature as this face has, so that it ends up at the
    model's average.
    """

    ALIASES = (
        "remove attribute, remove glasses, remove beard, remove smile, subtract, project out, "
        "neutralise, neutralize, erase, orthogonal"
    )
    OUTPUTS = widgets.output_faces("The faces without the feature.")
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to edit."),
        "feature": widgets.direction("The direction of the feature, from the same model."),
        "strength": widgets.strength(
            "subtract: how many times the direction is subtracted. project out: how much of the "
            "feature is removed; 1 removes all of it, 0.5 half, 0 nothing."
        ),
        "mode": widgets.choice(
            REMOVAL_MODES,
            "subtract: the same step for every face. project out: exactly what each face has of "
            "the feature.",
            default=PROJECT_OUT,
        ),
    }

    def execute(
        self, face_latent: FaceLatent, feature: Direction, strength: float, mode: str
    ) -> tuple[FaceLatent]:
        vector = vector_for(face_latent, feature, "Remove Feature")
        dims = face_latent.space.latent_dims
        with validate.explain_errors("Remove Feature"):
            if mode == SUBTRACT:
                samples = latent_ops.subtract(
                    face_latent.samples, vector, strength, latent_dims=dims
                )
            else:
                samples = latent_ops.remove(
                    face_latent.samples, vector, strength, mean_of(face_latent), latent_dims=dims
                )
        return (face_latent.with_samples(samples),)


@node("FaceLatentsSetAttribute", "Set Attribute", widgets.EDIT)
class SetAttribute:
    """Sets an attribute to a value, whatever it was before: 0 is the model's average, 1 one unit of
    the direction above it. Faces that start differently end equal in this attribute.
    """

    ALIASES = (
        "set to value, set age, face age, set smile, set expression, age, older, younger, "
        "smile, glasses, beard, attribute value, match attribute, project, absolute"
    )
    OUTPUTS = widgets.output_faces("The faces with the attribute at the value.")
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to edit."),
        "direction": widgets.direction("The direction of the attribute, from the same model."),
        "value": widgets.strength(
            "The attribute's value afterwards: 0 is the model's average face, 1 one unit of the "
            "direction (usually one standard deviation) above it.",
            default=0.0,
        ),
    }

    def execute(
        self, face_latent: FaceLatent, direction: Direction, value: float
    ) -> tuple[FaceLatent]:
        vector = vector_for(face_latent, direction, "Set Attribute")
        with validate.explain_errors("Set Attribute"):
            samples = latent_ops.set_to_value(
                face_latent.samples,
                vector,
                value,
                mean_of(face_latent),
                latent_dims=face_latent.space.latent_dims,
            )
        return (face_latent.with_samples(samples),)

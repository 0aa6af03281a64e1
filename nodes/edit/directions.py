"""Moving codes along directions: Add Direction, Remove Feature, Set Attribute."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.values import Direction, FaceLatent, Reading
from .. import validate, widgets
from ..combine import mean_of, vector_for
from ..registry import node

STANDARD, OWN = UNITS = ("standard", "own")
LEAST_GAIN = 1e-6  # of an attribute's own unit; less is rounding
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
    the direction above it; or in the attribute's own unit, such as years or degrees. Faces that
    start differently end equal in this attribute.
    """

    ALIASES = (
        "set to value, set age, face age, set smile, set expression, age, older, younger, "
        "smile, glasses, beard, attribute value, match attribute, age in years, degrees, yaw, "
        "project, absolute"
    )
    OUTPUTS = {
        **widgets.output_faces("The faces with the attribute at the value."),
        "text": ("STRING", "What each face measured before and measures now, and in which unit."),
    }
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to edit."),
        "direction": widgets.direction("The direction of the attribute, from the same model."),
        "value": widgets.number(
            (0.0, -100.0, 100.0, 0.05),
            "The attribute's value afterwards. unit standard: 0 is the model's average face, 1 one "
            "unit of the direction (usually one standard deviation) above it. own: as the unit "
            "says, for example 60 years.",
        ),
    }
    OPTIONAL = {
        "unit": widgets.choice(
            UNITS,
            "standard: units of the direction from the average face. own: the attribute's own, "
            "where it has one: years for age, degrees for turned heads, shares for glasses and "
            "beards (Load Direction tells). Others keep the standard unit.",
        )
    }

    def execute(
        self, face_latent: FaceLatent, direction: Direction, value: float, unit: str
    ) -> tuple[FaceLatent, str]:
        vector = vector_for(face_latent, direction, "Set Attribute")
        with validate.explain_errors("Set Attribute"):
            scale = _scale_of(face_latent, direction, vector, unit)
            if scale.reading is None:
                samples = latent_ops.set_to_value(
                    face_latent.samples,
                    vector,
                    value,
                    mean_of(face_latent),
                    latent_dims=face_latent.space.latent_dims,
                )
            else:
                steps = (value - scale.before) / scale.gained
                samples = latent_ops.add(
                    face_latent.samples, vector, steps, latent_dims=face_latent.space.latent_dims
                )
        result = face_latent.with_samples(samples)
        return result, _tell(result, direction, scale, value)


@dataclass(frozen=True, eq=False)
class _Scale:
    """What faces measure before, what strength 1 adds, `(B,)` or `(N,)`, and the own reading."""

    before: Tensor
    gained: Tensor
    reading: Reading | None


def _scale_of(latent: FaceLatent, direction: Direction, vector: Tensor, unit: str) -> _Scale:
    """The scale that an attribute is set on.

    Raises:
        FaceLatentsError: what is measured does not change along the direction.
    """
    dims, reading = latent.space.latent_dims, direction.reading if unit == OWN else None
    if reading is None:
        before = latent_ops.coefficient(latent.samples, vector, mean_of(latent), latent_dims=dims)
        return _Scale(before, torch.ones_like(before), None)
    vectors = vector if vector.ndim > dims else vector.unsqueeze(0)
    gained = reading.change(vectors)
    if bool((gained.abs() < LEAST_GAIN).any()):
        raise FaceLatentsError(
            f"Set Attribute: moving along '{direction.name}' does not change what is measured in "
            f"{reading.unit}. Choose the unit '{STANDARD}', or the direction as it was loaded."
        )
    return _Scale(reading.of(latent.samples), gained, reading)


def _tell(result: FaceLatent, direction: Direction, scale: _Scale, value: float) -> str:
    """A line for each face: its value before and now, and how far that was."""
    unit = "standard units" if scale.reading is None else scale.reading.unit
    low, high = direction.safe_range
    count, lines = len(result), []
    before, gained = (each.expand(count) for each in (scale.before, scale.gained))
    for number, (start, gain) in enumerate(zip(before.tolist(), gained.tolist(), strict=True)):
        context, strength = result.contexts[number], (value - start) / gain
        if context is not None and not context.has_face:
            lines.append("no face")
            continue
        line = f"{direction.name}: {start:.1f} -> {value:.1f} {unit}, strength {strength:.2f}"
        if not low <= strength <= high:
            line += f" (looks natural from {low:g} to {high:g})"
        lines.append(line)
    return "\n".join(lines)

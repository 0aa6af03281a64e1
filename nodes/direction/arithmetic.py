"""Making new directions out of others: Scale, Condition, Direction Between."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.layers import lifted
from ...models.space import require_same_space
from ...models.values import Direction, FaceLatent
from .. import validate, widgets

CONDITION_INPUTS = tuple(f"independent_of_{number}" for number in range(1, 7))


class ScaleDirection:
    """factor * direction."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Makes a direction longer, shorter or opposite. Useful to bring several directions to one "
        "slider, or to turn 'older' into 'younger' with a factor of -1."
    )
    SEARCH_ALIASES = ["multiply direction", "invert direction", "negate", "opposite", "gain"]
    RETURN_TYPES = (widgets.FACE_DIRECTION,)
    RETURN_NAMES = ("direction",)
    OUTPUT_TOOLTIPS = ("The scaled direction; its safe range is adapted.",)
    FUNCTION = "scale"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "direction": widgets.wire(widgets.FACE_DIRECTION, "The direction to scale."),
                "factor": widgets.slider(
                    1.0, -10.0, 10.0, 0.05, "Times how much: 2 doubles the effect, -1 reverses it."
                ),
            }
        }

    def scale(self, direction: Direction, factor: float) -> tuple[Direction]:
        source = validate.direction(direction)
        amount = validate.finite(factor, "factor")
        if amount == 1:
            return (source,)
        vector = latent_ops.scale(source.vector, amount, latent_dims=source.space.latent_dims)
        low, high = source.safe_range
        if amount != 0:
            low, high = sorted((low / amount, high / amount))
        unit = f"{amount:g} x {source.unit}" if source.unit else ""
        return (replace(source, vector=vector, safe_range=(low, high), unit=unit),)


class ConditionDirection:
    """The part of a direction that is perpendicular to others."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Makes a direction independent of others: for example a smile that does not change the "
        "age. All connected directions are taken into account at once."
    )
    SEARCH_ALIASES = [
        "orthogonalise",
        "orthogonalize",
        "disentangle",
        "independent",
        "gram-schmidt",
        "interfacegan",
    ]
    RETURN_TYPES = (widgets.FACE_DIRECTION,)
    RETURN_NAMES = ("direction",)
    OUTPUT_TOOLTIPS = ("The direction without what it shared with the others, as long as before.",)
    FUNCTION = "condition"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        first, *rest = CONDITION_INPUTS
        tooltip = "An attribute that has to stay as it is (same model)."
        return {
            "required": {
                "direction": widgets.wire(widgets.FACE_DIRECTION, "The direction to clean."),
                first: widgets.wire(widgets.FACE_DIRECTION, tooltip),
            },
            "optional": {name: widgets.wire(widgets.FACE_DIRECTION, tooltip) for name in rest},
        }

    def condition(self, direction: Direction, **others: Direction | None) -> tuple[Direction]:
        source = validate.direction(direction)
        given = [
            lifted(validate.direction(others.get(name), name), source.space)
            for name in CONDITION_INPUTS
            if others.get(name) is not None or name == CONDITION_INPUTS[0]
        ]
        for other in given:
            require_same_space(
                source.space,
                other.space,
                f"Condition Direction: directions '{source.name}' and '{other.name}'",
            )
        device = source.vector.device
        stack = torch.cat([_as_batch(other).to(device) for other in given])
        with validate.explained(f"Condition Direction: '{source.name}'"):
            vector = latent_ops.condition(
                source.vector, stack, latent_dims=source.space.latent_dims
            )
        names = ", ".join(other.name for other in given)
        return (
            replace(
                source,
                vector=vector,
                name=f"{source.name} without {names}",
                # What was measured on the original direction does not hold for this one.
                accuracy=None,
                method=f"{source.method or 'direction'}; made independent of {names}",
            ),
        )


class DirectionBetween:
    """mean(to) - mean(from)."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "The direction that leads from one group of faces to another: for example from faces "
        "without glasses to faces with glasses. Strength 1 is the whole way between their means."
    )
    SEARCH_ALIASES = [
        "difference",
        "class means",
        "make direction",
        "fit direction",
        "subtract",
        "attribute vector",
    ]
    RETURN_TYPES = (widgets.FACE_DIRECTION,)
    RETURN_NAMES = ("direction",)
    OUTPUT_TOOLTIPS = ("Mean of the second group minus mean of the first.",)
    FUNCTION = "between"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "from_faces": widgets.wire(
                    widgets.FACE_LATENT, "Where the direction starts: one face or many."
                ),
                "to_faces": widgets.wire(
                    widgets.FACE_LATENT, "Where the direction ends: one face or many."
                ),
                "name": widgets.text("my direction", "What the direction is called."),
            }
        }

    def between(self, from_faces: FaceLatent, to_faces: FaceLatent, name: str) -> tuple[Direction]:
        start = validate.face_latent(from_faces, "from_faces")
        end = validate.face_latent(to_faces, "to_faces")
        require_same_space(
            start.space, end.space, "Direction Between: inputs from_faces and to_faces"
        )
        step = latent_ops.subtract(
            _mean(end), _mean(start).to(end.samples.device), latent_dims=start.space.latent_dims
        )
        if not bool(step.any()):
            raise FaceLatentsError(
                "Direction Between: both inputs have the same mean, so there is no direction "
                "between them. Connect different faces."
            )
        return (
            Direction(
                vector=step.float(),
                space=start.space,
                name=name.strip() or "my direction",
                unit="the whole way from the first group's mean to the second's",
                safe_range=(-1.5, 1.5),
                accuracy=None,
                method=f"difference of means, {len(start)} and {len(end)} faces",
            ),
        )


def _mean(latent: FaceLatent) -> Tensor:
    codes = latent.samples.to(torch.promote_types(latent.samples.dtype, torch.float32))
    return latent_ops.weighted_mean(codes)


def _as_batch(direction: Direction) -> Tensor:
    batched = direction.vector.ndim > direction.space.latent_dims
    return direction.vector if batched else direction.vector.unsqueeze(0)


NODES = {
    "FaceLatentsScaleDirection": (ScaleDirection, "Scale Direction"),
    "FaceLatentsConditionDirection": (ConditionDirection, "Condition Direction"),
    "FaceLatentsDirectionBetween": (DirectionBetween, "Direction Between"),
}

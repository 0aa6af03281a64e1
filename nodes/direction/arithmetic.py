"""Making new directions out of others: Scale, Condition, Direction Between."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.layers import lift_direction
from ...models.space import require_same_space
from ...models.values import Direction, FaceLatent
from .. import validate, widgets
from ..registry import node

FIXED = tuple(f"independent_of_{number}" for number in range(1, 7))
FIXED_TOOLTIP = "An attribute that has to stay as it is (same model)."


@node("FaceLatentsScaleDirection", "Scale Direction", widgets.DIRECTION)
class ScaleDirection:
    """Makes a direction longer, shorter or opposite. Useful to bring several directions to one
    slider, or to turn 'older' into 'younger' with a factor of -1.
    """

    ALIASES = "multiply direction, invert direction, negate, opposite, gain, weaker, stronger"
    OUTPUTS = widgets.output_direction("The scaled direction; its safe range is adapted.")
    INPUTS = {
        "direction": widgets.direction("The direction to scale."),
        "factor": widgets.slider(
            (1.0, -10.0, 10.0, 0.05), "Times how much: 2 doubles the effect, -1 reverses it."
        ),
    }

    def execute(self, direction: Direction, factor: float) -> tuple[Direction]:
        if factor == 1:
            return (direction,)
        vector = latent_ops.scale(direction.vector, factor, latent_dims=direction.space.latent_dims)
        low, high = direction.safe_range
        if factor != 0:
            low, high = sorted((low / factor, high / factor))
        unit = f"{factor:g} x {direction.unit}" if direction.unit else ""
        return (replace(direction, vector=vector, safe_range=(low, high), unit=unit),)


@node("FaceLatentsConditionDirection", "Condition Direction", widgets.DIRECTION)
class ConditionDirection:
    """Makes a direction independent of others: for example a smile that does not change the age.
    All connected directions are taken into account at once.
    """

    ALIASES = (
        "orthogonalise, orthogonalize, disentangle, independent, gram-schmidt, interfacegan, "
        "keep identity, keep age"
    )
    OUTPUTS = widgets.output_direction(
        "The direction without what it shared with the others, as long as before."
    )
    INPUTS = {
        "direction": widgets.direction("The direction to clean."),
        **widgets.directions(FIXED[:1], FIXED_TOOLTIP),
    }
    OPTIONAL = widgets.directions(FIXED[1:], FIXED_TOOLTIP)

    def execute(self, direction: Direction, **others: Direction | None) -> tuple[Direction]:
        given = [
            lift_direction(other, direction.space) for other in others.values() if other is not None
        ]
        for other in given:
            require_same_space(
                direction.space,
                other.space,
                f"Condition Direction: directions '{direction.name}' and '{other.name}'",
            )
        device = direction.vector.device
        stack = torch.cat([_as_batch(other).to(device) for other in given])
        with validate.explain_errors(f"Condition Direction: '{direction.name}'"):
            vector = latent_ops.condition(
                direction.vector, stack, latent_dims=direction.space.latent_dims
            )
        names = ", ".join(other.name for other in given)
        result = replace(
            direction,
            vector=vector,
            name=f"{direction.name} without {names}",
            # What was measured on the original direction does not hold for this one.
            accuracy=None,
            method=f"{direction.method or 'direction'}; made independent of {names}",
        )
        return (result,)


@node("FaceLatentsDirectionBetween", "Direction Between", widgets.DIRECTION)
class DirectionBetween:
    """The direction that leads from one group of faces to another: for example from faces without
    glasses to faces with glasses. Strength 1 is the whole way between their means.
    """

    ALIASES = (
        "difference, class means, before and after, make direction, fit direction, own direction, "
        "subtract, attribute vector"
    )
    OUTPUTS = widgets.output_direction("Mean of the second group minus mean of the first.")
    INPUTS = {
        "from_faces": widgets.faces("Where the direction starts: one face or many."),
        "to_faces": widgets.faces("Where the direction ends: one face or many."),
        "name": widgets.direction_name(),
    }

    def execute(self, from_faces: FaceLatent, to_faces: FaceLatent, name: str) -> tuple[Direction]:
        require_same_space(
            from_faces.space, to_faces.space, "Direction Between: inputs from_faces and to_faces"
        )
        step = latent_ops.subtract(
            _mean(to_faces),
            _mean(from_faces).to(to_faces.samples.device),
            latent_dims=from_faces.space.latent_dims,
        )
        if not bool(step.any()):
            raise FaceLatentsError(
                "Direction Between: both inputs have the same mean, so there is no direction "
                "between them. Connect different faces."
            )
        result = Direction(
            vector=step.float(),
            space=from_faces.space,
            name=name.strip() or widgets.MY_DIRECTION,
            unit="the whole way from the first group's mean to the second's",
            safe_range=(-1.5, 1.5),
            accuracy=None,
            method=f"difference of means, {len(from_faces)} and {len(to_faces)} faces",
        )
        return (result,)


def _mean(latent: FaceLatent) -> Tensor:
    codes = latent.samples.to(torch.promote_types(latent.samples.dtype, torch.float32))
    return latent_ops.weighted_mean(codes)


def _as_batch(direction: Direction) -> Tensor:
    batched = direction.vector.ndim > direction.space.latent_dims
    return direction.vector if batched else direction.vector.unsqueeze(0)

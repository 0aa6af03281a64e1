"""Copy Expression: one face takes over the expression of another, and the turn of its head."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import both_faces, pair
from ..registry import node

EXPRESSION, WITH_POSE, POSE, MOUTH, EYES = PARTS = (
    "expression", "expression and pose", "pose", "mouth", "eyes and brows",
)  # fmt: skip
TURNS = "pose"  # group of directions
# Landmarks see expressions a little too small. Over 20 pairs of people, both ways, the expression
# came about as near to the other photo's at this strength as at 1.25, and people stayed more alike.
STRENGTH = 1.1


@node("FaceLatentsCopyExpression", "Copy Expression", widgets.EDIT)
class CopyExpression:
    """Gives a face the expression of another one: of a photo, of a frame, or of a face that you
    saved. The turn of the head comes along if you want. The person stays who it is.
    """

    ALIASES = (
        "copy smile, transfer expression, facial expression, mimic, same expression, reenact, "
        "live portrait, expression editor, blendshapes, copy pose, head pose, wink, laugh"
    )
    OUTPUTS = widgets.output_faces("The faces with the other expression.")
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to edit."),
        "expression_of": widgets.face_latent(
            "Whose expression: as many faces as face_latent holds, or one for all. For a library "
            "of expressions, keep faces with Save Face Latent and load them here."
        ),
        "face_model": widgets.face_model(),
        "parts": widgets.choice(
            PARTS,
            "What is taken over. expression: eyes, brows and mouth. expression and pose: the head "
            "turns and nods as well. pose: only that. mouth, eyes and brows: one half of the "
            "expression.",
        ),
        "strength": widgets.slider(
            (STRENGTH, -3.0, 3.0, 0.05),
            "How much of it: 0 changes nothing, 1 is what the model measures in the other photo, "
            "more exaggerates. The pose is taken over once at most, and no further than looks "
            "natural.",
        ),
    }

    def execute(
        self,
        face_latent: FaceLatent,
        expression_of: FaceLatent,
        face_model: FaceModel,
        parts: str,
        strength: float,
    ) -> tuple[FaceLatent]:
        validate.same_model(face_model, face_latent.space, "Copy Expression")
        codes, source = pair(
            face_latent, expression_of, "Copy Expression", ("face_latent", "expression_of")
        )
        codes, source = torch.broadcast_tensors(codes, source.to(codes.dtype))
        dims, samples = face_latent.space.latent_dims, codes
        if parts != POSE:
            change = _expression_change(face_model, codes, source, parts).to(codes.dtype)
            samples = latent_ops.add(samples, change, strength, latent_dims=dims)
        if parts in (WITH_POSE, POSE):
            change, once = _pose_change(face_model, codes, source), max(-1.0, min(1.0, strength))
            samples = latent_ops.add(samples, change, once, latent_dims=dims)
        faces = [both_faces(face_latent, expression_of, i) for i in range(len(codes))]
        seen = torch.tensor(faces, device=codes.device).view(-1, *[1] * dims)
        return (face_latent.with_samples(torch.where(seen, samples, codes)),)


def _expression_change(model: FaceModel, codes: Tensor, source: Tensor, parts: str) -> Tensor:
    if model.expressions is None:
        raise FaceLatentsError(
            f"Copy Expression: model '{model.name}' does not say how its codes show expressions. "
            "Use the bundled face model (Load Face Model)."
        )
    return model.expressions.change(codes, source, eyes=parts != MOUTH, mouth=parts != EYES)


def _pose_change(model: FaceModel, codes: Tensor, source: Tensor) -> Tensor:
    """What turns heads as those of others are turned, as far as that looks natural."""
    change, known = torch.zeros_like(codes), False
    for direction in model.directions.values():
        reading, vector = direction.reading, direction.vector.to(codes)
        if direction.group != TURNS or reading is None:
            continue
        gained = reading.change(vector[None])
        steps = (reading.of(source) - reading.of(codes)) / gained
        change = change + steps.clamp(*direction.safe_range)[:, None].to(codes) * vector
        known = True
    if known:
        return change
    raise FaceLatentsError(
        f"Copy Expression: model '{model.name}' does not tell the pose apart from the rest of a "
        "code. Choose the part 'expression', or use the bundled face model."
    )

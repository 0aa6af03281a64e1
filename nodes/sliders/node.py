"""Attribute Sliders: one slider for each direction of a model, with a live preview."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.space import require_same_space
from ...models.values import Direction, FaceLatent
from .. import host, validate, widgets
from ..compute import decode_codes
from ..draw import save_preview
from .move import FARTHEST, describe, move, parse_strengths, place, warnings
from .panel import Panel, panel_of, state_of_files
from .preview.sessions import session_of, sessions

EXTRA_INPUTS = ("extra_1", "extra_2", "extra_3")
DRIVEN = "set_"  # set_smile: a FLOAT wire that sets the slider "smile"


class AttributeSliders:
    """v + sum of strength * direction, the strengths dragged on the node itself."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "One slider for each direction of the model, zero in the middle. After the first run a "
        "preview on the node follows the sliders at once; queue to get the edited faces. With all "
        "sliders at zero the faces stay exactly as they are."
    )
    SEARCH_ALIASES = [
        "portrait sliders",
        "live preview",
        "edit face",
        "smile",
        "age",
        "attributes",
        "photo editor",
    ]
    RETURN_TYPES = (widgets.FACE_LATENT, "IMAGE", "STRING")
    RETURN_NAMES = ("face_latent", "image", "info")
    OUTPUT_TOOLTIPS = (
        "The moved faces, for Paste Back or Decode Face.",
        "The moved faces as the model draws them, one picture per face.",
        "What was moved and by how much; what is missing or out of its natural range.",
    )
    FUNCTION = "move"
    OUTPUT_NODE = True  # shows its preview with nothing connected to it

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL,
                    "The model the faces were encoded with (Load Face Model); its directions "
                    "become the sliders.",
                ),
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to edit."),
                "strengths": widgets.text(
                    "{}",
                    'The sliders as JSON, for example {"smile": 1.5, "age": -1}: how far each '
                    "direction is followed, in its own unit. The sliders write it; on the command "
                    "line or by wire it can be given as text.",
                    advanced=True,  # the canvas keeps it folded away
                ),
                "keep_others": widgets.switch(
                    False,
                    "Keep the others still: makes each moved direction independent of all the "
                    "other ones, so that a smile does not make older.",
                ),
            },
            "optional": {
                name: widgets.wire(
                    widgets.FACE_DIRECTION,
                    "A direction of your own as a further slider (Fit Direction, Direction "
                    "Between, Load Direction). Saved ones get a slider by themselves.",
                )
                for name in EXTRA_INPUTS
            },
        }

    def move(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        strengths: str = "{}",
        keep_others: bool = False,
        **wires: Direction | float | None,
    ) -> dict[str, Any]:
        model = validate.face_model(face_model)
        latent = validate.face_latent(face_latent)
        require_same_space(
            model.space,
            latent.space,
            f"Attribute Sliders: model '{model.name}' and the face latent",
        )
        panel = panel_of(
            model,
            [
                (name, validate.direction(wires[name], name))
                for name in EXTRA_INPUTS
                if wires.get(name) is not None
            ],
        )
        driven = _driven(wires)
        positions = place(panel, {**parse_strengths(strengths), **driven}, bool(keep_others))
        moved = latent.with_samples(move(panel, latent.samples, positions))
        pictures = decode_codes(model, moved.samples, "Decoding moved faces").clamp(0, 1)
        info = describe(panel, positions)
        ui: dict[str, list[Any]] = {"text": [info]}
        if host.present():
            shown = _show(model, panel, latent, positions.strengths, positions.keep_others, driven)
            ui["face_latents_sliders"] = [{**shown, "warnings": warnings(panel, positions)}]
        return {
            "ui": ui,
            "result": (moved, pictures.permute(0, 2, 3, 1).contiguous(), info),
        }

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> str:
        return state_of_files()


def _show(
    model: FaceModel,
    panel: Panel,
    latent: FaceLatent,
    strengths: Mapping[str, float],
    keep_others: bool,
    driven: dict[str, float],
) -> dict[str, Any]:
    """Draw the preview, and keep its faces for the moves that follow without a run."""
    session = session_of(model, panel, latent, driven)
    picture = session.render(strengths, keep_others)
    return {
        "id": sessions.add(session),
        "picture": save_preview(picture, "face_latents_sliders"),
        "directions": panel.rows(),
        "strengths": strengths,
        "driven": driven,
        "keep_others": keep_others,
    }


def _driven(wires: dict[str, Any]) -> dict[str, float]:
    """Strengths that came by wire, by slider name."""
    found = {}
    for socket, value in wires.items():
        if not socket.startswith(DRIVEN) or value is None:
            continue
        number = validate.finite(value, socket)
        if abs(number) > FARTHEST:
            raise FaceLatentsError(
                f"Attribute Sliders: input '{socket}' is {number:g}; strengths lie from "
                f"{-FARTHEST:g} to {FARTHEST:g}."
            )
        found[socket.removeprefix(DRIVEN)] = number
    return found


NODES = {"FaceLatentsSliders": (AttributeSliders, "Attribute Sliders")}

"""Attribute Sliders: one slider for each direction of a model, with a live preview."""

from __future__ import annotations

from typing import Any

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import host, validate, widgets
from ..compute import decode_codes
from ..draw import save_preview
from ..registry import node
from .move import FARTHEST, Positions, describe, move, parse_strengths, place, warnings
from .panel import panel_of, state_of_files
from .preview.sessions import Session, session_of, sessions

EXTRA_INPUTS = ("extra_1", "extra_2", "extra_3")
DRIVEN = "set_"  # set_smile: a FLOAT wire that sets the slider "smile"


@node("FaceLatentsSliders", "Attribute Sliders", widgets.EDIT)
class AttributeSliders:
    """One slider for each direction of the model, zero in the middle. After the first run a preview
    on the node follows the sliders at once; queue to get the edited faces. With all sliders at zero
    the faces stay exactly as they are.
    """

    ALIASES = (
        "portrait sliders, face sliders, face editor, edit face, photo editor, live preview, "
        "attributes, expression, expression editor, smile slider, laugh, age slider, "
        "face age, older, younger, grow older, de-age, rejuvenate, glasses, eyeglasses, beard, "
        "gender, masculine, feminine, mouth open, brightness, light, head turn, pose, retouch"
    )
    OUTPUTS = {
        "face_latent": (widgets.FACE_LATENT, "The moved faces, for Paste Back or Decode Face."),
        "image": ("IMAGE", "The moved faces as the model draws them, one picture per face."),
        "info": (
            "STRING",
            "What was moved and by how much; what is missing or out of its natural range.",
        ),
    }
    OUTPUT_NODE = True  # shows its preview with nothing connected to it
    INPUTS = {
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "The model the faces were encoded with (Load Face Model); its directions become the "
            "sliders.",
        ),
        "face_latent": widgets.face_latent("The faces to edit."),
        "strengths": widgets.text(
            "{}",
            'The sliders as JSON, for example {"smile": 1.5, "age": -1}: how far each direction '
            "is followed, in its own unit. The sliders write it; on the command line or by wire "
            "it can be given as text.",
            advanced=True,  # the canvas keeps it folded away
        ),
        "keep_others": widgets.switch(
            False,
            "Keep the others still: makes each moved direction independent of all the other "
            "ones, so that a smile does not make older.",
        ),
    }
    OPTIONAL = widgets.directions(
        EXTRA_INPUTS,
        "A direction of your own as a further slider (Fit Direction, Direction Between, Load "
        "Direction). Saved ones get a slider by themselves.",
    )

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        strengths: str,
        keep_others: bool,
        **wires: Any,
    ) -> dict[str, Any]:
        validate.same_model(face_model, face_latent.space, "Attribute Sliders")
        extras = {name: wires.pop(name) for name in EXTRA_INPUTS}
        panel = panel_of(face_model, {name: e for name, e in extras.items() if e is not None})
        driven = _read_wires(wires)
        positions = place(panel, {**parse_strengths(strengths), **driven}, keep_others)
        moved = face_latent.with_samples(move(panel, face_latent.samples, positions))
        pictures = decode_codes(face_model, moved.samples, "Decoding moved faces").clamp(0, 1)
        info = describe(panel, positions)
        ui: dict[str, list[Any]] = {"text": [info]}
        if host.present():
            session = session_of(face_model, panel, face_latent, driven)
            ui["face_latents_sliders"] = [_start_preview(session, positions)]
        return {"ui": ui, "result": (moved, pictures.permute(0, 2, 3, 1).contiguous(), info)}

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> str:
        return f"{state_of_files()} {sessions.missed}"


def _start_preview(session: Session, positions: Positions) -> dict[str, Any]:
    """Draw the preview, and keep its faces for the moves that follow without a run."""
    picture = session.render(positions.strengths, positions.keep_others)
    return {
        "id": sessions.add(session),
        "picture": save_preview(picture, "face_latents_sliders"),
        "directions": session.panel.rows(),
        "strengths": positions.strengths,
        "driven": session.driven,
        "keep_others": positions.keep_others,
        "warnings": warnings(session.panel, positions),
    }


def _read_wires(wires: dict[str, Any]) -> dict[str, float]:
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

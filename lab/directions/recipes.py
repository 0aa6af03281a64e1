"""The directions of the face model: what each of them changes, and what users are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

POSE, EXPRESSION, FACE_SHAPE, LOOK, LIGHT = "pose", "expression", "face shape", "look", "light"
CLOSING = {"left_lids": -1.5, "right_lids": -1.5}
BLINK = {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6}
BROWS_UP = {"left_brow": 0.7, "right_brow": 0.7}
RIGHT = "towards the picture's right"


@dataclass(frozen=True)
class Recipe:
    """What strength 1 of a direction changes.

    Attributes:
        name: of the direction.
        group: where users look for it.
        plus: what positive strengths do.
        pose: index of a pose number, and degrees.
        measures: changes of measures of the shape (`measures.py`) in standard deviations; others
            stay. In the group "expression" the appearance changes as it goes with them.
        scores: changes of a teacher's scores of expressions, in [0, 1]; the shape changes as it
            does with them in faces. Their "left" is that of the person seen.
        label: one of `labels.LABELS`, and its change.
        pairs: share of the mean change between photos of the same people, neutral and smiling.
        typical: a label whose faces are grouped by their looks; the most distinct group is shown.
        side: only this side of the face changes its shape: the viewer's left (-1) or right (1).
        parity: what the mirrored face does: the same (1), the opposite (-1), or neither (0).
    """

    name: str
    group: str
    plus: str
    pose: tuple[int, float] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    label: tuple[str, float] | None = None
    pairs: float = 0.0
    typical: tuple[str, float] | None = None
    side: int = 0
    parity: int = 1


def _expression(name: str, plus: str, parity: int = 1, /, **measures: float) -> Recipe:
    return Recipe(name, EXPRESSION, plus, measures=measures, parity=parity)


def _shape(name: str, plus: str, **measures: float) -> Recipe:
    return Recipe(name, FACE_SHAPE, plus, measures=measures)


def _scored(
    name: str, plus: str, scores: Mapping[str, float], parity: int = 1, side: int = 0
) -> Recipe:
    return Recipe(name, EXPRESSION, plus, scores=scores, side=side, parity=parity)


def _one_brow(name: str, plus: str, side: int) -> Recipe:
    return Recipe(name, EXPRESSION, plus, measures=BROWS_UP, side=side, parity=0)


RECIPES: tuple[Recipe, ...] = (
    Recipe("smile", EXPRESSION, "a broader smile; 1.5 is a usual one, with teeth", pairs=0.7),
    _expression("closed_smile", "smiling lips that stay closed", mouth_lift=0.5, mouth_width=0.5),
    _expression("mouth_open", "mouth wider open", mouth_gap=0.8),
    _expression("mouth_corners", "corners of the mouth up", mouth_lift=0.6),
    _expression("lips_wide", "lips drawn wide", mouth_width=0.6),
    _expression("lips_pucker", "lips pursed", mouth_width=-0.6, mouth_forward=0.6),
    _scored("lips_pressed", "lips pressed together",
            {"mouthRollLower": 0.28, "mouthRollUpper": 0.28}),
    _scored("mouth_left_right", f"mouth {RIGHT}", {"mouthLeft": 0.18, "mouthRight": -0.18}, -1),
    _scored("blink", "eyes closing; 2 closes most", BLINK),
    _scored("wink_left", "the eye at the picture's left closing", BLINK, 0, -1),
    _scored("wink_right", "the eye at the picture's right closing", BLINK, 0, 1),
    _expression("gaze_left_right", f"looking {RIGHT}", -1, gaze_x=1.0),
    _expression("gaze_up_down", "looking down", gaze_y=2.2),
    _expression("brows", "eyebrows up", **BROWS_UP),
    _one_brow("brow_left", "the eyebrow at the picture's left up", -1),
    _one_brow("brow_right", "the eyebrow at the picture's right up", 1),
    _scored("brows_inner", "inner ends of the eyebrows up, as in worry",
            {"browInnerUp": 0.3, "browOuterUpLeft": -0.15, "browOuterUpRight": -0.15}),
    Recipe("head_turn", POSE, f"the nose {RIGHT}, by 5 degrees", pose=(0, 5.0), parity=-1),
    Recipe("head_nod", POSE, "the nose down, by 4 degrees", pose=(1, 4.0)),
    Recipe("head_tilt", POSE, "clockwise, by 4 degrees", pose=(2, 4.0), parity=-1),
    _shape("eye_size", "larger eyes", left_lids=0.5, right_lids=0.5, eye_width=0.5),
    _shape("eye_distance", "eyes farther apart", eye_distance=0.6),
    _shape("eye_tilt", "outer corners of the eyes up", eye_tilt=0.6),
    _shape("nose_width", "a wider nose", nose_width=0.6),
    _shape("nose_length", "a longer nose", nose_length=0.6),
    _shape("upper_lip", "a fuller upper lip", upper_lip=0.6),
    _shape("lower_lip", "a fuller lower lip", lower_lip=0.6),
    _shape("mouth_width", "a wider mouth", mouth_width=0.5),
    _shape("mouth_height", "the mouth lower", mouth_height=0.6),
    _shape("chin_length", "a longer chin", chin_length=0.6),
    _shape("jaw_width", "a wider jaw", jaw_width=0.6),
    _shape("face_width", "a wider face", face_width=0.6),
    _shape("forehead_height", "a higher forehead", forehead_height=0.6),
    Recipe("age", LOOK, "older", label=("age", 30.0)),
    Recipe("gender_expression", LOOK, "more masculine; minus: more feminine",
           label=("gender", 0.7)),
    Recipe("beard", LOOK, "a beard", typical=("beard", 0.5)),
    Recipe("glasses", LOOK, "glasses on", typical=("glasses", 0.5)),
    Recipe("light_left_right", LIGHT, "light from the picture's right", label=("light", 0.12),
           parity=-1),
    Recipe("brightness", LIGHT, "brighter", label=("brightness", 0.08)),
)  # fmt: skip

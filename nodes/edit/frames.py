"""Strengths over time: draw a curve, and move a face along a direction frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import THEMES, line_chart
from ...models.errors import FaceLatentsError
from ...models.values import Direction, FaceLatent, join_latents
from .. import validate, widgets
from ..combine import vector_for
from ..draw import shown
from ..mix.morph import EASING_TOOLTIP, MOST_FRAMES
from ..number_text import curve_points

ADD, CURVE = "Add Direction over Frames", "Strength Curve"


class StrengthCurve:
    """Numbers over frames, from a few points."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "Makes a strength for each frame from a few points you type, with easing in between, and "
        "draws the curve. Connect it to Add Direction over Frames, or to any other number of any "
        "node, which then runs once per frame."
    )
    SEARCH_ALIASES = ["keyframes", "schedule", "animation curve", "float list", "easing", "tween"]
    RETURN_TYPES = ("FLOAT", "IMAGE")
    RETURN_NAMES = ("strengths", "image")
    OUTPUT_IS_LIST = (True, False)
    OUTPUT_TOOLTIPS = ("A list of numbers, one per frame.", "The curve as a picture.")
    FUNCTION = "make"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "points": widgets.text(
                    "0, 2, 0",
                    "Strengths such as 0, 2, 0, spread evenly over the frames; or frame: strength, "
                    "such as 0: 0, 12: 2, 23: 0 (the first frame is 0).",
                    multiline=True,
                ),
                "frames": widgets.integer(24, 1, MOST_FRAMES, "How many frames in all."),
                "easing": widgets.choice(latent_ops.EASINGS, EASING_TOOLTIP),
            },
            "optional": {"theme": widgets.theme()},
        }

    def make(self, points: str, frames: int, easing: str, theme: str = THEMES[0]) -> dict[str, Any]:
        count = validate.whole(frames, "frames", 1, MOST_FRAMES)
        speed = validate.one_of(easing, latent_ops.EASINGS, "easing")
        colours = validate.one_of(theme, THEMES, "theme")
        at, values = curve_points(points, count, CURVE)
        strengths = _along_curve(at, values, count, speed)
        curve = {"strength": (range(count), strengths)}
        chart = line_chart(curve, "", "frame", "strength", theme=colours)
        result = shown(chart, "face_latents_curve")
        return {"ui": result["ui"], "result": (strengths, *result["result"])}


class AddDirectionFrames:
    """v + strength * direction, with a strength per frame."""

    CATEGORY = widgets.EDIT
    DESCRIPTION = (
        "Moves a face along a direction by a strength of its own in every frame: a list of N "
        "numbers makes N frames of one face, or edits each frame of a morph. The list may come "
        "from Strength Curve, from a node that listens to audio, or from any list of numbers."
    )
    SEARCH_ALIASES = ["animate direction", "audio reactive", "float list", "schedule", "keyframes"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("One face per frame, for Decode Face or Paste Back.",)
    FUNCTION = "add"
    # Both kinds of list arrive: the host's own, and a Python list on a single FLOAT wire.
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        strengths, settings = widgets.number(
            0.0,
            -1e6,
            1e6,
            0.05,
            "A list of numbers, one per frame: from Strength Curve, audio or another node. 0 "
            "leaves a frame as it is.",
        )
        return {
            "required": {
                "face_latent": widgets.wire(
                    widgets.FACE_LATENT,
                    "One face, which every frame begins with, or as many faces as numbers (the "
                    "frames of a morph).",
                ),
                "direction": widgets.wire(
                    widgets.FACE_DIRECTION,
                    "Where to go, from the same model (Load Direction, Direction Between).",
                ),
                "strengths": (strengths, {**settings, "forceInput": True}),
                "scale": widgets.number(
                    1.0, -1000.0, 1000.0, 0.05, "Each number is multiplied by this."
                ),
                "offset": widgets.number(
                    0.0, -1000.0, 1000.0, 0.05, "This is added to each number, after scale."
                ),
                "smooth": widgets.integer(
                    0,
                    0,
                    240,
                    "Averages each number with so many neighbours on either side, against flicker "
                    "from audio. 0 leaves the numbers as they are.",
                ),
            }
        }

    def add(
        self,
        face_latent: Sequence[FaceLatent],
        direction: Sequence[Direction],
        strengths: Sequence[object],
        scale: Sequence[float],
        offset: Sequence[float],
        smooth: Sequence[int],
    ) -> tuple[FaceLatent]:
        latent = join_latents([validate.face_latent(item) for item in face_latent])
        if len(direction) != 1:
            raise FaceLatentsError(f"{ADD} takes one direction; {len(direction)} arrived.")
        found = validate.direction(direction[0])
        values = [validate.finite(value, "strengths") for value in _flat(strengths)]
        if not values:
            raise FaceLatentsError(f"{ADD}: the list of strengths is empty: there are no frames.")
        if len(values) > MOST_FRAMES:
            raise FaceLatentsError(
                f"{ADD} makes up to {MOST_FRAMES} frames; the list holds {len(values)} numbers."
            )
        if len(latent) not in (1, len(values)) and len(values) != 1:
            raise FaceLatentsError(
                f"{ADD}: there are {len(values)} strengths for {len(latent)} faces. Give one face "
                "(Select Face Latent takes one out), or one strength per face."
            )
        amounts = _smoothed(
            torch.tensor(values, dtype=torch.float64),
            validate.whole(_only(smooth, "smooth"), "smooth", 0, 240),
        )
        amounts = amounts * validate.finite(_only(scale, "scale"), "scale")
        amounts = amounts + validate.finite(_only(offset, "offset"), "offset")
        with validate.explained(ADD):
            vector = vector_for(latent, found, ADD)
            if vector.ndim > latent.space.latent_dims:
                raise FaceLatentsError(
                    f"{ADD} takes one direction; '{found.name}' is a batch of {len(vector)}."
                )
            samples = latent_ops.add(
                latent.samples,
                vector,
                amounts.to(latent.samples),
                latent_dims=latent.space.latent_dims,
            )
        return (latent.with_samples(samples),)


def _along_curve(
    at: Sequence[float], values: Sequence[float], frames: int, easing: str
) -> list[float]:
    """The value at each frame; constant before the first point and after the last."""
    knots = torch.tensor(at, dtype=torch.float64)
    heights = torch.tensor(values, dtype=torch.float64)
    frame = torch.arange(frames, dtype=torch.float64).clamp(at[0], at[-1])
    if len(at) == 1 or at[0] == at[-1]:
        return heights[:1].expand(frames).tolist()
    after = torch.searchsorted(knots, frame, right=True).clamp(1, len(at) - 1)
    share = (frame - knots[after - 1]) / (knots[after] - knots[after - 1])
    # The weights keep both ends exact.
    part = latent_ops.ease(share.clamp(0, 1), easing)
    return ((1 - part) * heights[after - 1] + part * heights[after]).tolist()


def _smoothed(values: Tensor, reach: int) -> Tensor:
    """The mean of each number ``(N,)`` and `reach` neighbours on either side, the ends repeated."""
    if reach == 0 or len(values) == 1:
        return values
    before, after = values[:1].expand(reach), values[-1:].expand(reach)
    return torch.cat([before, values, after]).unfold(0, 2 * reach + 1, 1).mean(1)


def _flat(values: object) -> Iterable[object]:
    """The numbers in lists of numbers, lists of lists and tensors, in order."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if hasattr(values, "tolist") and not isinstance(values, (list, tuple)):
        values = values.tolist()  # NumPy, which audio nodes like
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flat(value)
    else:
        yield values


def _only(values: Sequence[Any], name: str) -> Any:
    if len(values) != 1:
        raise FaceLatentsError(f"{ADD}: {name} takes one number; a list of {len(values)} arrived.")
    return values[0]


NODES = {
    "FaceLatentsStrengthCurve": (StrengthCurve, CURVE),
    "FaceLatentsAddDirectionFrames": (AddDirectionFrames, ADD),
}

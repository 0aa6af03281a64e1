"""Strengths over time: draw a curve, and move a face along a direction frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import line_chart
from ...models.errors import FaceLatentsError
from ...models.values import Direction, FaceLatent, join_latents
from .. import validate, widgets
from ..combine import vector_for
from ..draw import Chart, preview, stack_charts
from ..registry import node

ADD, CURVE = "Add Direction over Frames", "Strength Curve"
MOST_NEIGHBOURS = 240  # on either side: ten seconds at 24 frames a second


@node("FaceLatentsStrengthCurve", CURVE, widgets.EDIT)
class StrengthCurve(Chart):
    """Makes a strength for each frame from a few points you type, with easing in between, and draws
    the curve. Connect it to Add Direction over Frames, or to any other number of any node, which
    then runs once per frame.
    """

    ALIASES = "keyframes, schedule, animation curve, float list, easing, tween, timeline, video"
    OUTPUTS = {
        "strengths": ("FLOAT", "A list of numbers, one per frame."),
        "image": ("IMAGE", "The curve as a picture."),
    }
    OUTPUT_IS_LIST = (True, False)
    INPUTS = {
        "points": widgets.text(
            "0, 2, 0",
            "Strengths such as 0, 2, 0, spread evenly over the frames; or frame: strength, such "
            "as 0: 0, 12: 2, 23: 0 (the first frame is 0).",
            multiline=True,
        ),
        "frames": widgets.frames("How many frames in all."),
        "easing": widgets.easing(),
    }
    OPTIONAL = {"theme": widgets.theme()}

    def execute(self, points: str, frames: int, easing: str, theme: str) -> dict[str, Any]:
        at, values = _curve_points(points, frames)
        strengths = _evaluate_curve(at, values, frames, easing)
        curve = {"strength": (range(frames), strengths)}
        image = stack_charts(line_chart(curve, "", "frame", "strength", theme=theme))
        return {"ui": preview(image, "face_latents_curve"), "result": (strengths, image)}


@node("FaceLatentsAddDirectionFrames", ADD, widgets.EDIT)
class AddDirectionFrames:
    """Moves a face along a direction by a strength of its own in every frame: a list of N numbers
    makes N frames of one face, or edits each frame of a morph. The list may come from Strength
    Curve, from a node that listens to audio, or from any list of numbers.
    """

    ALIASES = (
        "animate direction, animate face, animate smile, video, audio reactive, float list, "
        "schedule, keyframes, age over time"
    )
    OUTPUTS = widgets.output_faces("One face per frame, for Decode Face or Paste Back.")
    # Both kinds of list arrive: the host's own, and a Python list on a single FLOAT wire.
    INPUT_IS_LIST = True
    INPUTS = {
        "face_latent": widgets.face_latent(
            "One face, which every frame begins with, or as many faces or photos as numbers (the "
            "frames of a morph or of a clip)."
        ),
        "direction": widgets.direction(
            "Where to go, from the same model (Load Direction, Direction Between)."
        ),
        "strengths": widgets.number(
            (0.0, -1e6, 1e6, 0.05),
            "A list of numbers, one per frame: from Strength Curve, audio or another node. 0 "
            "leaves a frame as it is.",
            forceInput=True,
        ),
        "scale": widgets.number((1.0, -1000.0, 1000.0, 0.05), "Each number is multiplied by this."),
        "offset": widgets.number(
            (0.0, -1000.0, 1000.0, 0.05), "This is added to each number, after scale."
        ),
        "smooth": widgets.integer(
            (0, 0, MOST_NEIGHBOURS),
            "Averages each number with so many neighbours on either side, against flicker from "
            "audio. 0 leaves the numbers as they are.",
        ),
    }

    def execute(
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
        values = [validate.finite(value, "strengths") for value in _flatten(strengths)]
        if not values:
            raise FaceLatentsError(f"{ADD}: the list of strengths is empty: there are no frames.")
        if len(values) > widgets.MOST_FRAMES:
            raise FaceLatentsError(
                f"{ADD} makes up to {widgets.MOST_FRAMES} frames; the list holds {len(values)} "
                "numbers."
            )
        frames = _frames_of(latent, len(values))
        reach = validate.whole(_single(smooth, "smooth"), "smooth", 0, MOST_NEIGHBOURS)
        amounts = _smooth(torch.tensor(values, dtype=torch.float64), reach)
        amounts = amounts * validate.finite(_single(scale, "scale"), "scale")
        amounts = amounts + validate.finite(_single(offset, "offset"), "offset")
        with validate.explain_errors(ADD):
            vector = vector_for(latent, found, ADD)
            if vector.ndim > latent.space.latent_dims:
                raise FaceLatentsError(
                    f"{ADD} takes one direction; '{found.name}' is a batch of {len(vector)}."
                )
            samples = latent_ops.add(
                latent.samples,
                vector,
                amounts[frames].to(latent.samples),
                latent_dims=latent.space.latent_dims,
            )
        return (latent.with_samples(samples),)


def _frames_of(latent: FaceLatent, count: int) -> list[int]:
    """Which of `count` strengths each face gets, or, for one face, those of all frames.

    Raises:
        FaceLatentsError: there are neither as many faces as strengths, nor as many photos.
    """
    if count == 1:
        return [0] * len(latent)
    if len(latent) in (1, count):
        return [*range(count)]
    keys = [context.photo_key for context in latent.contexts if context is not None]
    photos = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    if len(keys) < len(latent) or len(photos) != count:
        raise FaceLatentsError(
            f"{ADD}: there are {count} strengths for {len(latent)} faces"
            f"{f' in {len(photos)} photos' if photos else ''}. Give one face (Select Face Latent "
            "takes one out), or one strength per face or per photo."
        )
    return [photos[key] for key in keys]


def _curve_points(text: str, frames: int) -> tuple[list[float], list[float]]:
    """Frames (ascending, from 0) and values of a curve.

    Args:
        text: `0, 2, 0` (values, evenly spread from the first to the last frame) or
            `0: 0, 12: 2, 23: 0` (frame: value).
        frames: how many frames there are.

    Raises:
        FaceLatentsError: no points, no numbers, frames that do not rise or lie outside.
    """
    if ":" not in text:
        values = validate.numbers_in(text, CURVE, "points", "0, 2, 0")
        if not values:
            raise FaceLatentsError(f"{CURVE}: points is empty. Type values such as 0, 2, 0.")
        last = max(frames - 1, 0)
        return [last * i / max(len(values) - 1, 1) for i in range(len(values))], values
    pairs = text.replace(";", ",").replace("\n", ",").split(",")
    at: list[float] = []
    values = []
    for pair in filter(str.strip, pairs):
        frame, _, value = pair.partition(":")
        found = validate.numbers_in(frame, CURVE, "frames", "12: 2")
        found += validate.numbers_in(value, CURVE, "points", "12: 2")
        if len(found) != 2:
            raise FaceLatentsError(
                f"{CURVE}: {pair.strip()!r} is not a frame and its value. Write points as "
                "0: 0, 12: 2, 23: 0, or only values, as 0, 2, 0."
            )
        at.append(found[0])
        values.append(found[1])
    if any(later <= earlier for earlier, later in pairwise(at)):
        raise FaceLatentsError(f"{CURVE}: the frames of the points must rise; got {text!r}.")
    if at[0] < 0 or at[-1] > frames - 1:
        raise FaceLatentsError(
            f"{CURVE}: the points lie at frames {at[0]:g} to {at[-1]:g}, but there are frames 0 to "
            f"{frames - 1} only. Raise frames, or move the points."
        )
    return at, values


def _evaluate_curve(
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


def _smooth(values: Tensor, reach: int) -> Tensor:
    """The mean of each number `(N,)` and `reach` neighbours on either side, the ends repeated."""
    if reach == 0 or len(values) == 1:
        return values
    before, after = values[:1].expand(reach), values[-1:].expand(reach)
    return torch.cat([before, values, after]).unfold(0, 2 * reach + 1, 1).mean(1)


def _flatten(values: object) -> Iterable[object]:
    """The numbers in lists of numbers, lists of lists and tensors, in order."""
    if isinstance(values, Tensor):
        values = values.tolist()
    if hasattr(values, "tolist") and not isinstance(values, (list, tuple)):
        values = values.tolist()  # NumPy, which audio nodes like
    if isinstance(values, (list, tuple)):
        for value in values:
            yield from _flatten(value)
    else:
        yield values


def _single(values: Sequence[Any], name: str) -> Any:
    if len(values) != 1:
        raise FaceLatentsError(f"{ADD}: {name} takes one number; a list of {len(values)} arrived.")
    return values[0]

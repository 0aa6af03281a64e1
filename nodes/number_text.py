"""Numbers that a person types into a text field."""

from __future__ import annotations

import math
from itertools import pairwise

from ..models.errors import FaceLatentsError


def numbers(text: object, node: str, name: str, example: str) -> list[float]:
    """The numbers in `text`, separated by commas, semicolons, spaces or lines; none where empty.

    Raises:
        FaceLatentsError: a word that is not a finite number.
    """
    words = str(text).replace(",", " ").replace(";", " ").split()
    try:
        found = [float(word) for word in words]
    except ValueError as error:
        raise FaceLatentsError(
            f"{node}: {name} must be numbers separated by commas, such as {example}; got "
            f"{str(text)!r}."
        ) from error
    if not all(math.isfinite(number) for number in found):
        raise FaceLatentsError(f"{node}: {name} must be finite numbers; got {str(text)!r}.")
    return found


def curve_points(text: object, frames: int, node: str) -> tuple[list[float], list[float]]:
    """Frames (ascending, from 0) and values of a curve.

    Args:
        text: ``0, 2, 0`` (values, evenly spread from the first to the last frame) or
            ``0: 0, 12: 2, 23: 0`` (frame: value).
        frames: how many frames there are.
        node: for the messages.

    Raises:
        FaceLatentsError: no points, no numbers, frames that do not rise or lie outside.
    """
    if ":" not in str(text):
        values = numbers(text, node, "points", "0, 2, 0")
        if not values:
            raise FaceLatentsError(f"{node}: points is empty. Type values such as 0, 2, 0.")
        last = max(frames - 1, 0)
        return [last * i / max(len(values) - 1, 1) for i in range(len(values))], values
    pairs = str(text).replace(";", ",").replace("\n", ",").split(",")
    at: list[float] = []
    values = []
    for pair in filter(str.strip, pairs):
        frame, _, value = pair.partition(":")
        found = [*numbers(frame, node, "frames", "12: 2"), *numbers(value, node, "points", "12: 2")]
        if len(found) != 2:
            raise FaceLatentsError(
                f"{node}: {pair.strip()!r} is not a frame and its value. Write points as "
                "0: 0, 12: 2, 23: 0, or only values, as 0, 2, 0."
            )
        at.append(found[0])
        values.append(found[1])
    if any(later <= earlier for earlier, later in pairwise(at)):
        raise FaceLatentsError(f"{node}: the frames of the points must rise; got {str(text)!r}.")
    if at[0] < 0 or at[-1] > frames - 1:
        raise FaceLatentsError(
            f"{node}: the points lie at frames {at[0]:g} to {at[-1]:g}, but there are frames 0 to "
            f"{frames - 1} only. Raise frames, or move the points."
        )
    return at, values

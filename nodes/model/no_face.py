"""Photos without a face, or with one that cannot be edited well: what is said about them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby

from ...models.errors import NoFaceError
from ...models.values import PhotoContext
from .cut import PlacedFace

REFUSE, LEAVE = CHOICES = ("refuse", "leave the photo as it is")
MOST_LISTED = 12  # runs of numbers
# Pixels. Of a smaller face, the crop of the bundled model shows less than half the pixels it has.
SMALL_FACE = 60.0


def refuse(missing: Mapping[int, NoFaceError], count: int) -> NoFaceError:
    """The error for photos without the wanted face.

    Args:
        missing: why, by the number of the photo, from 0; not empty.
        count: photos in all.
    """
    first = next(iter(missing.values()))
    if count == 1:
        return first
    if len(missing) == 1:
        return NoFaceError(f"{first} To go on without it, set no_face to '{LEAVE}'.")
    return NoFaceError(
        f"{first} Photos {list_numbers(missing)} of {count} show no such face. To go on without "
        f"them, set no_face to '{LEAVE}'."
    )


def describe_left(missing: Iterable[int], count: int) -> list[str]:
    """What the artist is told of photos, by number from 0, that are left as they are."""
    numbers = list(missing)
    if not numbers:
        return []
    if count == 1:
        return ["No face was found: the photo is left as it is."]
    photos, are = ("photo", "it is") if len(numbers) == 1 else ("photos", "they are")
    return [f"No face in {photos} {list_numbers(numbers)} of {count}: left as {are}."]


def describe_small(placed: Iterable[PlacedFace]) -> list[str]:
    """What the artist is told of faces too small to edit well; of a photo, the smallest counts."""
    sizes: dict[int, float] = {}
    for face in placed:
        sizes[face.photo] = min(face.side, sizes.get(face.photo, math.inf))
    small = [number for number, size in sizes.items() if size < SMALL_FACE]
    if not small:
        return []
    smallest = round(min(sizes[number] for number in small))
    if len(sizes) == 1:
        begin = f"The face is only {smallest} pixels wide"
    elif len(small) == 1:
        begin = f"The face in photo {list_numbers(small)} is only {smallest} pixels wide"
    else:
        begin = (
            f"Faces in photos {list_numbers(small)} are under {SMALL_FACE:g} pixels wide, the "
            f"smallest {smallest}"
        )
    return [
        f"{begin}. Edits of so small a face are rough: use a larger photo of it where there is one."
    ]


def describe_cut(placed: Iterable[PlacedFace]) -> list[str]:
    """What the artist is told of faces whose eyes, nose or mouth lie beyond the photo's border."""
    faces = [face for face in placed if face.context.has_face]
    cut = sorted({face.photo for face in faces if _is_cut(face.context)})
    if not cut:
        return []
    if len({face.photo for face in faces}) == 1:
        begin = "A face is cut"
    else:
        begin = f"Faces in photo{'s' * (len(cut) > 1)} {list_numbers(cut)} are cut"
    return [
        f"{begin} by the border of the photo: what lies beyond it is made up, and an edit of that "
        "shows nothing. Use a photo with the whole face where there is one."
    ]


def _is_cut(context: PhotoContext) -> bool:
    height, width = context.photo.shape[:2]
    end = context.landmarks.new_tensor([width - 0.5, height - 0.5])
    return bool(((context.landmarks < -0.5) | (context.landmarks > end)).any())


def describe_doubts(doubts: Mapping[int, str]) -> list[str]:
    """A sentence for each reason why edits of faces will look wrong.

    Args:
        doubts: what the model sees, by the face's number from 0; "" where there is nothing.
    """
    found: dict[str, list[int]] = {}
    for number, doubt in doubts.items():
        if doubt:
            found.setdefault(doubt, []).append(number)
    return [
        f"{'Face' if len(numbers) == 1 else 'Faces'} {list_numbers(numbers)}: {doubt}."
        for doubt, numbers in found.items()
    ]


def list_numbers(numbers: Iterable[int]) -> str:
    """Numbers from 0, rising, as people count: `[1, 4, 5, 6]` is "2 and 5 to 7"."""
    runs = []
    for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        run = [number + 1 for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}")
    shown, more = runs[:MOST_LISTED], len(runs) - MOST_LISTED
    if more > 0:
        return f"{', '.join(shown)} and others"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

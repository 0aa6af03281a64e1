"""Photos without a face, or with one that cannot be edited well: what is said about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from ...models.errors import NoFaceError
from ...models.face_model import FaceModel

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
    return NoFaceError(
        f"{first} Of {count} photos, {list_numbers(missing)} show no such face. To go on without "
        f"{'it' if len(missing) == 1 else 'them'}, set no_face to '{LEAVE}'."
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


def describe_small(sizes: Mapping[int, float]) -> list[str]:
    """What the artist is told of faces too small to edit well.

    Args:
        sizes: of the smallest face of each photo, in pixels, by its number from 0.
    """
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


def describe_doubts(model: FaceModel, crops: Sequence[Tensor | None]) -> list[str]:
    """A sentence for each face whose edits will look wrong, as the model sees it.

    Args:
        model: that encodes them.
        crops: `(3, S, S)` of each face; None where a photo has none.
    """
    doubts = model.capabilities.doubts
    shown = [(number, crop) for number, crop in enumerate(crops) if crop is not None]
    if doubts is None or not shown:
        return []
    stacked = torch.stack([crop for _, crop in shown]).to(model.device)
    found: dict[str, list[int]] = {}
    for (number, _), doubt in zip(shown, doubts(stacked), strict=True):
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

"""Photos of a batch in which no face was found: what becomes of them, and what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from ...models.errors import NoFaceError

REFUSE, LEAVE = CHOICES = ("refuse", "leave the photo as it is")
MOST_LISTED = 12  # runs of numbers


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


def describe_left(missing: Iterable[int], count: int) -> str:
    """What the artist is told of photos, by number from 0, that are left as they are."""
    numbers = list(missing)
    if count == 1:
        return "No face was found: the photo is left as it is."
    photos, are = ("photo", "it is") if len(numbers) == 1 else ("photos", "they are")
    return f"No face in {photos} {list_numbers(numbers)} of {count}: left as {are}."


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

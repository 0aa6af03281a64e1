"""Whether edits work: the judge reads what Paste Back delivers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.judge import PROBABILITIES, Judge, read
from ....models.values import Direction
from ...measures import identity_percentile
from .recogniser import distance, measure_of
from .subjects import Subjects, median, share

STEP = 0.5  # strengths tried are multiples of it
TARGET_CHANGE = 0.5  # of the judge's probability, for an edit to count as a success
FEW = 5  # successes below which side effects are those of all faces tried


@dataclass(frozen=True, eq=False)
class Outcome:
    """One attribute, edited on every face.

    Attributes:
        done: `(N,)` where the edit succeeded.
        strength: `(N,)`, without sign: the least that succeeded, or the largest tried.
        readings: `(N, A)` of the pictures, in [0, 1].
        pictures: `(N, 3, S, S)`; the original where the attribute was not tried.
    """

    done: Tensor
    strength: Tensor
    readings: Tensor
    pictures: Tensor


def as_probability(readings: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> Tensor:
    """Readings `(N, A)` in [0, 1]: probabilities as they are, other values by their place in the
    normal distribution fitted to the unedited faces."""
    columns = []
    for name, values in readings.items():
        if name not in PROBABILITIES:
            spread = reference[name].std()
            values = torch.special.ndtr((values - reference[name].mean()) / spread)
        columns.append(values)
    return torch.stack(columns, 1)


def levels(limit: float) -> list[float]:
    """Strengths to try first: 1, 2, ... and the end of the safe range."""
    whole = [float(level) for level in range(1, int(limit + 1e-6) + 1)]
    return whole if whole and limit - whole[-1] < STEP - 1e-6 else [*whole, limit]


def find_strengths(
    subjects: Subjects,
    direction: Direction,
    column: int,
    start: Tensor,
    look: Callable[[Tensor], Tensor],
) -> Outcome:
    """Edit every face towards the other side of an attribute, as far as the safe range allows.

    Pasting is what takes time, so strengths 1, 2, ... and the end of the range are tried in this
    order until one succeeds; then half a step less, which is taken if it succeeds too. A face that
    succeeds at a half between two failures counts as a failure.

    Args:
        subjects: the faces.
        direction: what to add.
        column: of the attribute in the readings.
        start: `(N, A)`, readings of the unedited crops.
        look: pictures to readings `(B, A)` in [0, 1].
    """
    done = torch.zeros(len(subjects), dtype=torch.bool)
    strength, readings, pictures = torch.zeros(len(subjects)), start.clone(), subjects.crops.clone()

    def attempt(index: Tensor, sign: int, level: float, least: bool) -> Tensor:
        """Which faces succeed; `least` keeps only those, and what the others had before."""
        if not len(index):
            return index.bool()
        edited = subjects.edited(index, sign * level * direction.vector)
        found = look(edited)
        good = (found[:, column] - start[index, column]).abs() >= TARGET_CHANGE
        kept = good if least else torch.ones_like(good)
        strength[index[kept]] = level
        readings[index[kept]], pictures[index[kept]] = found[kept], edited[kept]
        return good

    tried = subjects.tried(direction.name)
    for sign, limit in ((1, direction.safe_range[1]), (-1, -direction.safe_range[0])):
        waiting = (tried & ((start[:, column] < 0.5) == (sign > 0))).nonzero().flatten()
        failed = 0.0
        for level in levels(limit):
            good = attempt(waiting, sign, level, least=False)
            done[waiting[good]] = True
            if level - STEP > failed + 1e-6:
                attempt(waiting[good], sign, level - STEP, least=True)
            waiting, failed = waiting[~good], level
    return Outcome(done, strength, readings, pictures)


def evaluate_edits(
    subjects: Subjects,
    judge: Judge,
    reference: Mapping[str, Tensor],
    progress: Callable[[str, int, int], None],
) -> tuple[dict[str, object], Tensor | None]:
    """Edit every attribute that the judge reads and any of the faces can have.

    Args:
        subjects: the faces.
        judge: reads attributes off pictures.
        reference: readings of unedited faces, whose spread makes values probabilities.
        progress: called with (stage, done, total).

    Returns:
        The figures, and `(N, directions)`: 1 for success, 0 for failure, NaN where not tried; None
        where there is no direction to try.
    """

    def look(pictures: Tensor) -> Tensor:
        return as_probability(read(judge, pictures, subjects.model.template), reference)

    names, start, known = list(reference), look(subjects.crops), subjects.embeddings
    directions = {
        name: direction
        for name, direction in subjects.model.directions.items()
        if name in names and subjects.tried(name).any()
    }
    by_attribute: dict[str, object] = {}
    if not directions:
        return {"by_attribute": by_attribute}, None
    successes, side_effects, percentiles = [], [], []
    for number, (name, direction) in enumerate(directions.items()):
        progress("edits", number, len(directions))
        column, tried = names.index(name), subjects.tried(name)
        outcome = find_strengths(subjects, direction, column, start, look)
        successes.append(torch.where(tried, outcome.done.float(), torch.nan))
        embedded, done = subjects.embed(outcome.pictures), outcome.done
        percentile = identity_percentile(embedded, known)[tried]
        percentiles.append(percentile)
        counted = done if int(done.sum()) >= FEW else tried
        change = (outcome.readings - start).abs()[counted].mean(0)
        change[column] = 0
        by_attribute[name] = {
            "faces": int(tried.sum()),
            "success_rate": share(done[tried]),
            "median_strength": median(outcome.strength[done]),
            "worst_side_effect": round(float(change.max()), 3),
            "worst_side_effect_on": names[int(change.argmax())],
            "identity": median(distance(embedded, known)[counted]),
            "identity_percentile": share(percentile >= 0.99),
        }
        side_effects.append(change.max())
    succeeded = torch.stack(successes, 1)
    figures: dict[str, object] = {
        "success_rate": share(succeeded),
        "worst_side_effect": round(float(torch.stack(side_effects).max()), 3),
        "identity_percentile": share(torch.cat(percentiles) >= 0.99),
        "identity_measure": measure_of(subjects.recogniser),
        "by_attribute": by_attribute,
    }
    return figures, succeeded

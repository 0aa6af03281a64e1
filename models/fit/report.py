"""What a fit found and how far to trust it, in words an artist can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

FEW = 30  # photos of a group below which a fit is mostly luck
GOOD = 100
WIDE = 0.2  # width of the confidence interval
LOPSIDED = 3.0  # ratio of the groups
_OVERLAPS_SHOWN = 5
_SAME = 0.5  # cosine from which two directions do much the same
_ALONG = 0.15  # cosine from which one is seen to move the other along


@dataclass(frozen=True, eq=False)
class FitReport:
    """How a direction was fitted and how well it works on photos it has not seen.

    Attributes:
        name: of the direction.
        counts: photos without and with the attribute; (all, 0) for a fit to scores.
        to_scores: fitted to scores instead of two groups.
        accuracy: held-out figure: mean share of each group told right, or correlation of scores;
            None where it could not be measured.
        interval: 95% confidence interval of it.
        folds: of the cross-validation.
        held_out: `(N,)` score of each photo along a direction fitted without it: -1 and +1 are
            the means of the groups; for scores, the prediction.
        targets: `(N,)` bool, with the attribute or not; for scores, the given ones.
        curve: accuracy by number of photos per group.
        rising: True where more photos would still help.
        overlaps: cosine with each direction of the model.
        kept_still: directions it was made independent of.
        left_out: directions of "all" it was not made independent of, as it does much the same.
        warnings: about the photos.
    """

    name: str
    counts: tuple[int, int]
    to_scores: bool
    accuracy: float | None
    interval: tuple[float, float]
    folds: int
    held_out: Tensor
    targets: Tensor
    curve: Mapping[int, float]
    rising: bool
    overlaps: Mapping[str, float]
    kept_still: tuple[str, ...]
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    def text(self) -> str:
        """The whole report, one fact a line."""
        lines = [f"{self.name}: {self._photos()}", self._figure()]
        if self.curve:
            points = ", ".join(f"{size}: {value:.0%}" for size, value in self.curve.items())
            lines.append(f"accuracy by photos per group: {points}")
        if self.overlaps:
            strongest = sorted(self.overlaps.items(), key=lambda item: -abs(item[1]))
            shown = ", ".join(f"{name} {value:+.2f}" for name, value in strongest[:_OVERLAPS_SHOWN])
            lines.append(f"overlap (cosine) with the model's directions: {shown}")
        if self.kept_still:
            lines.append(f"keeps still: {', '.join(self.kept_still)}")
        if self.left_out:
            lines.append(f"not kept still, as it does much the same: {', '.join(self.left_out)}")
        lines += [f"WARNING: {warning}" for warning in self.cautions()]
        lines += [f"ADVICE: {advice}" for advice in self.advice()]
        return "\n".join(lines)

    def cautions(self) -> tuple[str, ...]:
        """Why the result may be worth little; empty where nothing speaks for that."""
        found = list(self.warnings)
        fewest = self.counts[0] if self.to_scores else min(self.counts)
        if fewest < FEW:
            found.append(
                f"{fewest} photos are too few to trust the result. Take {FEW} or more"
                f"{'' if self.to_scores else ' of each group'}; {GOOD} work well."
            )
        if self.accuracy is not None and self.interval[0] <= (0.0 if self.to_scores else 0.5):
            found.append(
                "On photos it has not seen it may be no better than chance. Check that the photos "
                "are sorted correctly and that the groups differ in what you are after."
            )
        return tuple(found)

    def advice(self) -> tuple[str, ...]:
        """What would make the direction better; empty where nothing would."""
        found = []
        low, high = self.interval
        if self.accuracy is not None and high - low > WIDE:
            found.append(
                f"The true figure may be anywhere from {low:.0%} to {high:.0%}; more photos "
                "narrow this down."
            )
        if self.rising:
            found.append("The accuracy is still rising with the number of photos: add more.")
        twins = [name for name, value in self.overlaps.items() if abs(value) >= _SAME]
        if twins:
            found.append(
                f"It does much the same as {', '.join(twins)}. If that is not intended, the groups "
                "differ in that too: choose photos that do not, or name it in keep_still."
            )
        along = [name for name, value in self.overlaps.items() if _ALONG <= abs(value) < _SAME]
        if along:
            found.append(
                f"It also moves {', '.join(along)}. If that is not intended, write "
                f"{'it' if len(along) == 1 else 'them'} into keep_still."
            )
        return tuple(found)

    def _photos(self) -> str:
        without, with_ = self.counts
        if self.to_scores:
            return f"fitted to the scores of {without} photos"
        return f"{without} photos without, {with_} with"

    def _figure(self) -> str:
        if self.accuracy is None:
            return "held-out accuracy: not measured, there are too few photos"
        low, high = self.interval
        how = f"{self.folds}-fold cross-validation"
        if self.to_scores:
            return (
                f"held-out correlation: {self.accuracy:.2f} (95% interval {low:.2f} to {high:.2f}, "
                f"{how})"
            )
        return (
            f"held-out accuracy: {self.accuracy:.1%} (95% interval {low:.1%} to {high:.1%}, {how}; "
            "50% is chance)"
        )

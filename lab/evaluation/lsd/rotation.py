"""Turning one digit into another: does it become the target, and does the style survive?"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....latent_ops import lerp, rotate
from ...measures import correlation, slant, thickness
from .bases import OURS, PAPER, MeasuredBasis, Setup
from .model import Digits, Progress, balanced
from .paired import interval, resamples

STEPS = 9  # of 10 degrees
FALL = 0.05  # of the target's probability that a path may lose from one step to the next
PARTS = ("complement", "thickness", "slant")
BOOTSTRAP_SEED, DRAWS = 18, 1000
Move = Callable[[Tensor, int, int, float], Tensor]
"""Codes `(N, d)`, source label, target label and a share in [0, 1] of the way to moved codes."""


def moves(setup: Setup) -> dict[str, Move]:
    """The ways that are compared; the paper's operator has nothing between start and end."""

    def rotation_in(basis: MeasuredBasis) -> Move:
        def move(codes: Tensor, source: int, target: int, share: float) -> Tensor:
            a, b = basis.vectors[source], basis.vectors[target]
            return rotate(codes, a, b, share * math.pi / 2, basis.mean)

        return move

    def rank_one(codes: Tensor, source: int, target: int, share: float) -> Tensor:
        vectors = setup.bases[PAPER].vectors
        return codes @ rank_one_operator(vectors[source], vectors[target]).T

    def to_mean(codes: Tensor, source: int, target: int, share: float) -> Tensor:
        return lerp(codes, setup.means[target].expand_as(codes), share)

    return {
        "rotate": rotation_in(setup.bases[OURS]),
        "rotate_paper_basis": rotation_in(setup.bases[PAPER]),
        "paper_rank_1": rank_one,
        "lerp_to_mean": to_mean,
    }


def rank_one_operator(source: Tensor, target: Tensor) -> Tensor:
    """The paper's "rotation" from one vector to another: `r_t r_s^T` of unit vectors, `(d, d)`.

    It has rank 1: whatever goes in comes out parallel to the target, so nothing of the input but
    the size (and sign) of one coefficient survives.
    """
    return torch.outer(target / target.norm(), source / source.norm())


def rotation(
    setup: Setup,
    digits: Digits,
    *,
    per_label: int,
    per_path: int,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, dict[str, object]]:
    """Measure every move on all ordered pairs of labels.

    Args:
        setup: the model, the bases and the class means.
        digits: test digits; the first `per_label` of each label are changed into every other
            label, the first `per_path` of each followed along the way.
        per_label, per_path: see above.
        progress: called with (stage, done, total).

    Returns:
        By method: `success_rate`, the share of results that the classifier calls the target, with
        `pairs` (K x K, source by target, None on the diagonal) and `worst_pair`;
        `style_survival` in [0, 1], the mean of its three `style_parts`, each clipped at 0:
        `complement`, the correlation of the coefficients beyond the label vectors (ours) between
        the digit's code and the code of the decoded result, mean over digits; `thickness` and
        `slant`, the correlation of stroke thickness and slant before and after over the digits of
        a pair, mean over pairs; `complement_distance`, how far those coefficients moved over their
        length (0: nowhere; a correlation does not see that style fades); `monotonic_paths`, the
        share of paths in steps of 10 degrees along which the target's probability never falls by
        more than `FALL` (None: no path), and `successful_paths`, the share that is monotonic and
        ends at the target.
        `lerp_matched` is `lerp_to_mean` stopped where it is as successful as `rotate`, at
        `share`; `nothing` leaves the digit as its decode, the most style there is to keep;
        `exchange` puts another writer's digit of the target label there, the least. All but
        `rotate` have `against_rotate`: by how much `rotate` is ahead in success and in style, with
        the interval of a bootstrap over the digits.
    """
    pairs = _Pairs(setup, digits, per_label)
    figures: dict[str, dict[str, object]] = {}
    outcomes: dict[str, Outcome] = {}
    compared = moves(setup)

    def measure(name: str, move: Move, share: float = 1.0) -> None:
        outcomes[name] = pairs.outcome(move, share)
        figures[name] = outcomes[name].figures()
        if name != "rotate":
            ahead = differences(outcomes["rotate"], outcomes[name])
            figures[name]["against_rotate"] = ahead

    for number, (name, move) in enumerate(compared.items()):
        progress("rotate", number, len(compared))
        measure(name, move)
        if name == "paper_rank_1":
            figures[name] |= {"monotonic_paths": None, "successful_paths": None}
        else:
            figures[name] |= pairs.follow(move, min(per_path, per_label))
    lerping = compared["lerp_to_mean"]
    share = pairs.share_for(lerping, float(str(figures["rotate"]["success_rate"])))
    measure("lerp_matched", lerping, share)
    figures["lerp_matched"]["share"] = share
    measure("nothing", lambda codes, source, target, share: codes)
    measure("exchange", pairs.exchange)
    return figures


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of every digit on the way to every other label: `(K, K - 1, N)` each.

    The first index is the source label, the second the target in order, the third the digit.

    Attributes:
        right: whether the classifier calls it the target.
        complement, distance: see `rotation`.
        thickness, slant: of the result.
        before: the same two of the digits as they were written, `(K, N)` each.
    """

    right: Tensor
    complement: Tensor
    distance: Tensor
    thickness: Tensor
    slant: Tensor
    before: Mapping[str, Tensor]

    def style_parts(self, index: Tensor | None = None) -> dict[str, Tensor]:
        """The three parts of style survival.

        Args:
            index: digits of each source label, `(draws, K, N)`; None takes every digit once.

        Returns:
            Scalars, or `(draws,)`.
        """
        if index is None:
            index = torch.arange(self.right.shape[-1]).expand(1, len(self.right), -1)
            return {name: part[0] for name, part in self.style_parts(index).items()}
        parts = {"complement": _drawn(self.complement.mean(1), index).mean((1, 2))}
        for name in PARTS[1:]:
            sums = torch.zeros(len(index), dtype=torch.float64)
            for after in getattr(self, name).unbind(1):
                found = correlation(_drawn(after, index), _drawn(self.before[name], index))
                sums += found.mean(1)
            parts[name] = sums / self.right.shape[1]
        return parts

    def figures(self) -> dict[str, object]:
        """Success and style over all pairs, see `rotation`."""
        rates = self.right.double().mean(2)
        pairs: list[list[float | None]] = []
        for source, row in enumerate(rates.tolist()):
            pairs.append([*row[:source], None, *row[source:]])
        style = {name: float(part) for name, part in self.style_parts().items()}
        return {
            "success_rate": round(float(rates.mean()), 4),
            "worst_pair": round(float(rates.min()), 4),
            "style_survival": round(sum(max(0.0, part) for part in style.values()) / len(style), 4),
            "style_parts": {name: round(part, 4) for name, part in style.items()},
            "complement_distance": round(float(self.distance.mean()), 4),
            "pairs": [[None if rate is None else round(rate, 3) for rate in row] for row in pairs],
        }


def differences(first: Outcome, second: Outcome) -> dict[str, dict[str, float]]:
    """By how much the first way is ahead of the second on the same digits, with intervals of 95%.

    The bootstrap draws digits within each source label; a digit keeps all of its targets.
    """
    labels, each = len(first.right), first.right.shape[-1]
    groups = torch.arange(labels).repeat_interleave(each)
    index = resamples(groups, BOOTSTRAP_SEED, DRAWS).view(-1, labels, each) % each
    every = torch.arange(each).expand(1, labels, -1)

    def success(index: Tensor) -> Tensor:
        gain = (first.right.double() - second.right.double()).mean(1)
        return _drawn(gain, index).mean((1, 2))

    def style(index: Tensor) -> Tensor:
        mine, theirs = (
            torch.stack([one.style_parts(index)[name].clamp(min=0) for name in PARTS]).mean(0)
            for one in (first, second)
        )
        return mine - theirs

    return {
        name: interval(gain(every)[0], gain(index))
        for name, gain in (("success_rate", success), ("style_survival", style))
    }


def _drawn(values: Tensor, index: Tensor) -> Tensor:
    """Values `(K, N)` of the digits drawn, `(draws, K, N)` of such an index."""
    return values.double().expand(len(index), -1, -1).gather(2, index)


class _Pairs:
    """All ordered pairs of labels: the digits to change, and what is known of them beforehand."""

    def __init__(self, setup: Setup, digits: Digits, per_label: int) -> None:
        self.model, self.basis = setup.model, setup.bases[OURS]
        self.labels, self.per_label = len(setup.means), per_label
        chosen = digits[balanced(digits.labels, per_label, self.labels)]
        self.codes = self.model.encode(chosen.pictures).view(self.labels, per_label, -1)
        # of the pictures themselves, not of their decodes: what the writer wrote
        self.thickness = thickness(chosen.pictures).view(self.labels, per_label)
        self.slant = slant(chosen.pictures).view(self.labels, per_label)

    def targets(self, source: int) -> list[int]:
        return [label for label in range(self.labels) if label != source]

    def exchange(self, codes: Tensor, source: int, target: int, share: float) -> Tensor:
        """Other writers' digits of the target label, in place of the codes."""
        return self.codes[target, : len(codes)]

    def results(self, move: Move, share: float, source: int) -> tuple[Tensor, Tensor]:
        """Results of one source label, target by target, and whether they succeed.

        Returns:
            Decoded pictures `((K - 1) * N, 1, S, S)`, and truths `(K - 1, N)`.
        """
        targets, codes = self.targets(source), self.codes[source]
        moved = torch.cat([move(codes, source, target, share) for target in targets])
        pictures = self.model.decode(moved)
        found = self.model.labels(pictures).view(len(targets), self.per_label)
        return pictures, found == torch.tensor(targets)[:, None]

    def outcome(self, move: Move, share: float) -> Outcome:
        """What becomes of all digits at a share of the way."""
        parts: dict[str, list[Tensor]] = {}
        for source in range(self.labels):
            pictures, right = self.results(move, share, source)
            after = self.basis.coefficients(self.model.encode(pictures))[:, self.labels :]
            start = self.basis.coefficients(self.codes[source])[:, self.labels :]
            start = start.repeat(len(right), 1)
            distance = (after - start).norm(dim=1) / start.norm(dim=1).clamp(min=1e-12)
            found = {
                "right": right,
                "complement": correlation(after, start),
                "distance": distance,
                "thickness": thickness(pictures),
                "slant": slant(pictures),
            }
            for name, value in found.items():
                parts.setdefault(name, []).append(value.view(right.shape))
        before = {"thickness": self.thickness, "slant": self.slant}
        return Outcome(**{name: torch.stack(part) for name, part in parts.items()}, before=before)

    def follow(self, move: Move, count: int) -> dict[str, object]:
        """Monotonic paths over all pairs, from the first `count` digits of each label."""
        monotonic, successful = [], []
        for source in range(self.labels):
            codes = self.codes[source, :count]
            for target in self.targets(source):
                stages = [move(codes, source, target, i / STEPS) for i in range(STEPS + 1)]
                found = self.model.probabilities(self.model.decode(torch.cat(stages)))
                found = found.view(STEPS + 1, count, -1)
                rising = (found[..., target].diff(dim=0) >= -FALL).all(0)
                monotonic.append(rising)
                successful.append(rising & (found[-1].argmax(1) == target))
        return {
            "monotonic_paths": round(float(torch.cat(monotonic).double().mean()), 4),
            "successful_paths": round(float(torch.cat(successful).double().mean()), 4),
        }

    def share_for(self, move: Move, goal: float) -> float:
        """The smallest share, in steps of 1/40, at which a method is as successful as `goal`."""

        def success(step: int) -> float:
            found = [self.results(move, step / 40, source)[1] for source in range(self.labels)]
            return float(torch.stack(found).double().mean())

        # success rises along the way, so halving finds the place
        return bisect_left(range(40), goal, key=success) / 40

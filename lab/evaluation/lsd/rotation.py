"""Turning one digit into another: does it become the target, and does the style survive?"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ....latent_ops import lerp, rotate
from .basis import MeasuredBasis
from .bench import Bench, Digits, Progress, balanced
from .measures import correlation, slant, thickness
from .paper import rank_one_operator
from .settings import OURS, PAPER

STEPS = 9  # of 10 degrees
FALL = 0.05  # of the target's probability that a path may lose from one step to the next
PARTS = ("complement", "thickness", "slant")
Mover = Callable[[Tensor, int, int, float], Tensor]
"""Codes `(N, d)`, source label, target label and a share in [0, 1] of the way to moved codes."""


@dataclass(frozen=True)
class Method:
    """A way to change a digit; `path` is false where there is nothing between start and end."""

    move: Mover
    path: bool = True


def methods(bases: Mapping[str, MeasuredBasis], class_means: Tensor) -> dict[str, Method]:
    """The ways that are compared.

    Args:
        bases: OURS and PAPER.
        class_means: `(K, d)` mean codes of training digits.
    """

    def turned(basis: MeasuredBasis) -> Mover:
        def move(codes: Tensor, source: int, target: int, share: float) -> Tensor:
            a, b = basis.vectors[source], basis.vectors[target]
            return rotate(codes, a, b, share * math.pi / 2, basis.mean)

        return move

    def rank_one(codes: Tensor, source: int, target: int, share: float) -> Tensor:
        vectors = bases[PAPER].vectors
        return codes @ rank_one_operator(vectors[source], vectors[target]).T

    def to_mean(codes: Tensor, source: int, target: int, share: float) -> Tensor:
        return lerp(codes, class_means[target].expand_as(codes), share)

    return {
        "rotate": Method(turned(bases[OURS])),
        "rotate_paper_basis": Method(turned(bases[PAPER])),
        "paper_rank_1": Method(rank_one, path=False),
        "lerp_to_mean": Method(to_mean),
    }


def rotation(
    bench: Bench,
    bases: Mapping[str, MeasuredBasis],
    class_means: Tensor,
    digits: Digits,
    *,
    per_label: int = 40,
    per_path: int = 10,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, dict[str, object]]:
    """Measure every method on all ordered pairs of labels.

    Args:
        digits: test digits; the first `per_label` of each label are changed into every other
            label, the first `per_path` of each followed along the way.
        progress: called with (stage, done, total).

    Returns:
        By method: `success_rate`, the share of results that the judge calls the target, with
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
        `exchange` puts another writer's digit of the target label there, the least.
    """
    labels = len(class_means)
    chosen = digits[balanced(digits.labels, per_label, labels)]
    scene = _Scene(bench, bases[OURS], chosen, labels, per_label)
    figures: dict[str, dict[str, object]] = {}
    ways = methods(bases, class_means)
    for number, (name, method) in enumerate(ways.items()):
        progress("rotate", number, len(ways))
        figures[name] = scene.measure(method.move, 1.0)
        figures[name].update(scene.paths(method, per_path))
    goal = float(str(figures["rotate"]["success_rate"]))
    lerping = ways["lerp_to_mean"].move
    share = scene.share_for(lerping, goal)
    figures["lerp_matched"] = {**scene.measure(lerping, share), "share": share}
    figures["nothing"] = scene.measure(lambda codes, source, target, share: codes, 1.0)
    figures["exchange"] = scene.measure(scene.exchange, 1.0)
    return figures


class _Scene:
    """The digits to change, ordered by label, and what is known of them beforehand."""

    def __init__(
        self, bench: Bench, basis: MeasuredBasis, digits: Digits, labels: int, per_label: int
    ) -> None:
        self.bench, self.basis, self.labels, self.per_label = bench, basis, labels, per_label
        self.codes = bench.encode(digits.pictures)
        # of the pictures themselves, not of their decodes: what the writer wrote
        self.thickness = thickness(digits.pictures).view(labels, per_label)
        self.slant = slant(digits.pictures).view(labels, per_label)
        self.complement = basis.coefficients(self.codes)[:, labels:]

    def of(self, label: int, count: int) -> Tensor:
        """Codes `(count, d)` of the first digits of a label."""
        return self.codes[label * self.per_label :][:count]

    def results(self, move: Mover, share: float, source: int) -> Tensor:
        """Decoded results `((K - 1) * N, 1, S, S)` of one source label, target by target."""
        codes = self.of(source, self.per_label)
        moved = [move(codes, source, target, share) for target in self.targets(source)]
        return self.bench.decode(torch.cat(moved))

    def targets(self, source: int) -> list[int]:
        return [label for label in range(self.labels) if label != source]

    def exchange(self, codes: Tensor, source: int, target: int, share: float) -> Tensor:
        """Other writers' digits of the target label, in place of the codes."""
        return self.of(target, len(codes))

    def measure(self, move: Mover, share: float) -> dict[str, object]:
        """Success and style at a share of the way, over all pairs."""
        pairs: list[list[float | None]] = []
        parts: dict[str, list[Tensor]] = {name: [] for name in PARTS}
        distances = []
        for source in range(self.labels):
            targets = self.targets(source)
            pictures = self.results(move, share, source)
            wanted = torch.tensor(targets).repeat_interleave(self.per_label)
            right = (self.bench.labels(pictures) == wanted).double()
            row: list[float | None] = right.view(len(targets), -1).mean(1).tolist()
            row.insert(source, None)
            pairs.append(row)
            again = self.basis.coefficients(self.bench.encode(pictures))[:, self.labels :]
            own = self.complement[source * self.per_label :][: self.per_label]
            own = own.repeat(len(targets), 1)
            parts["complement"].append(correlation(again, own))
            distances.append((again - own).norm(dim=1) / own.norm(dim=1).clamp(min=1e-12))
            shape = (len(targets), self.per_label)
            parts["thickness"].append(
                correlation(thickness(pictures).view(shape), self.thickness[source])
            )
            parts["slant"].append(correlation(slant(pictures).view(shape), self.slant[source]))
        style = {name: float(torch.cat(found).mean()) for name, found in parts.items()}
        rates = [rate for row in pairs for rate in row if rate is not None]
        return {
            "success_rate": round(sum(rates) / len(rates), 4),
            "worst_pair": round(min(rates), 4),
            "style_survival": round(sum(max(0.0, part) for part in style.values()) / len(style), 4),
            "style_parts": {name: round(part, 4) for name, part in style.items()},
            "complement_distance": round(float(torch.cat(distances).mean()), 4),
            "pairs": [[None if rate is None else round(rate, 3) for rate in row] for row in pairs],
        }

    def paths(self, method: Method, count: int) -> dict[str, object]:
        """Monotonic paths over all pairs, from the first `count` digits of each label."""
        if not method.path:
            return {"monotonic_paths": None, "successful_paths": None}
        count = min(count, self.per_label)
        monotonic, successful = [], []
        for source in range(self.labels):
            codes = self.of(source, count)
            for target in self.targets(source):
                stages = [method.move(codes, source, target, i / STEPS) for i in range(STEPS + 1)]
                found = self.bench.probabilities(self.bench.decode(torch.cat(stages)))
                towards = found[:, target].view(STEPS + 1, count)
                rising = (towards.diff(dim=0) >= -FALL).all(0)
                there = found.view(STEPS + 1, count, -1)[-1].argmax(1) == target
                monotonic.append(rising)
                successful.append(rising & there)
        return {
            "monotonic_paths": round(float(torch.cat(monotonic).double().mean()), 4),
            "successful_paths": round(float(torch.cat(successful).double().mean()), 4),
        }

    def share_for(self, move: Mover, goal: float) -> float:
        """The smallest share, in steps of 1/40, at which a method is as successful as `goal`."""

        def success(step: int) -> float:
            rates = []
            for source in range(self.labels):
                found = self.bench.labels(self.results(move, step / 40, source))
                wanted = torch.tensor(self.targets(source)).repeat_interleave(self.per_label)
                rates.append(float((found == wanted).double().mean()))
            return sum(rates) / len(rates)

        # success rises along the way, so halving finds the place
        return bisect_left(range(40), goal, key=success) / 40

"""The figures of `evaluate lsd_paper` as Markdown: settings in columns, readings in rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ...results import markdown_table
from .bases import OURS_RANDOM, PCA
from .paper import BUNDLED, LABELS, RANDOM, RANKS, columns

Figures = Mapping[str, Any]
_GENERATORS = {"gan": "GAN", BUNDLED: "bundled model"}
_OF = {LABELS: "label vectors", RANDOM: "{} random directions", PCA: "{} principal axes"}
_READINGS = {
    "slots": "largest coefficient of all is one of the first {}",
    **{f"rank {r}": f"true label's coefficient among the {r} largest of all" for r in RANKS},
    "accuracy": "true label has the largest of {} coefficients",
    "energy": "share of squared length within the {}",
    "alone accuracy": "read right, the rest set to zero",
    "alone psnr": "PSNR to the digit, the rest set to zero",
    "stretched accuracy": "read right, the rest zero, length restored",
    "stretched psnr": "PSNR to the digit, the rest zero, length restored",
}
_NOTES = (
    "GAN: trained on MNIST without labels, codes z ~ N(0, I) of 100 numbers. Its encoders were "
    "trained with the generator and a classifier frozen. 'published': the loss of the paper's "
    "public code (hinge of the pixels, their mean; 100 times the cross-entropy; the KL divergence "
    "of a digit's codes from N(0, I)). 'paper': the same sum read so that pixels count (squared "
    "error summed over the pixels; 100 times the cross-entropy; KL / 25). 'plain': as 'paper', "
    "without the cross-entropy, so without labels. 'bundled': the bundled digits model, trained "
    "with labels.",
    "paper's basis: the paper's construction on codes drawn by the stochastic encoder, which is "
    "also what is read; a label that the judge sees in no decode is given the codes of its own "
    "digits. Our basis: symmetric orthogonalisation of the mean codes by label, "
    "principal completion; the encoder's mean codes are read.",
    "random directions, principal axes: of the same codes; each label is given the direction of "
    "the ten that suits training digits best. Chance: what a code of independent equal numbers "
    "gives, and a guess of the label.",
    "judge: a classifier that took no part in any training labels decodes and measures every "
    "accuracy, against the digit's true label. (not 0): that vector decodes to its own label in "
    "no seed or not in all.",
    "readings: coefficients are compared without their signs, over the whole code unless ten are "
    "named. Squared length is that from the origin: the mean that all codes share counts for label "
    "vectors, not for principal axes, which are centred on it. 'Length restored': what is left is "
    "stretched to the length of the whole code. PSNR in dB. A number without ± does not depend on "
    "what is drawn. The deviation of a drawn number is the encoder's noise over the prior's.",
    "random digits: coverage is the share of test digits that have a generated one nearer than "
    "their fifth nearest test digit, in the judge's features (Naeem et al. 2020; higher is "
    "better); Fréchet distance in the same features (lower is nearer).",
)


def report(figures: Figures) -> str:
    """All tables, with what they hold.

    Args:
        figures: of `evaluate_paper`.
    """
    counts = figures["counts"]
    head = (
        f"{counts['readings']} test digits for the readings of codes, {counts['decoded']} of them "
        f"where codes are decoded; {counts['codes']} training digits for the bases. Mean and "
        f"spread over the seeds {list(counts['seeds'])}; {figures['seconds']:.0f} s. A share of "
        f"{counts['decoded']} digits has a standard deviation of at most "
        f"{0.5 / math.sqrt(counts['decoded']):.3f}."
    )
    notes = "\n".join(f"- {note}" for note in _NOTES)
    return "\n\n".join([head, notes, _table(figures), "Random digits:", _generators(figures)])


def _table(figures: Figures) -> str:
    count, size = figures["labels"], figures["size"]
    places = list(columns(figures))
    rows = [("label vectors that decode to their label", *_one_to_one(figures, places), str(count))]
    chances = {
        "slots": count / size,
        **{f"rank {r}": r / size for r in RANKS},
        "accuracy": 1 / count,
        "energy": count / size,
        "alone accuracy": 1 / count,
        "stretched accuracy": 1 / count,
    }
    for reading, title in _READINGS.items():
        digits = 1 if reading.endswith("psnr") else 3
        for of in (LABELS, OURS_RANDOM, RANDOM, PCA):
            if of == OURS_RANDOM and reading != "slots":
                continue
            name = _OF.get(of, "label vectors, completed at random").format(count)
            cells = _cells(figures, places, of, reading, digits)
            chance = f"{chances[reading]:.2f}" if reading in chances else ""
            rows.append((f"{title.format(count)}: {name}", *cells, chance))
    rows += _whole(figures, places)
    bases = {"paper": "paper's basis", "ours": "our basis"}
    head = [f"{encoder}, {bases[side]}" for encoder, side in places]
    return markdown_table(("reading", *head, "chance"), rows)


def _cells(
    figures: Figures, places: list[tuple[str, str]], of: str, reading: str, digits: int
) -> list[str]:
    cells = []
    for encoder, side in places:
        found = figures["settings"][encoder][side].get(of, {}).get(reading)
        cells.append("" if found is None else _cell(found, digits))
    return cells


def _cell(found: Figures, digits: int) -> str:
    spread = f" ± {found['spread']:.{digits}f}" if found["spread"] else ""
    return f"{found['mean']:.{digits}f}{spread}"


def _one_to_one(figures: Figures, places: list[tuple[str, str]]) -> list[str]:
    """How many, and which do not in every seed."""
    cells = []
    for encoder, side in places:
        found = figures["settings"][encoder][side]["one_to_one"]
        total = sum(each["mean"] for each in found.values())
        missed = [label for label, each in found.items() if each["mean"] < 1]
        cells.append(f"{total:.3g}" + (f" (not {', '.join(missed)})" if missed else ""))
    return cells


def _whole(figures: Figures, places: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    """What the whole code gives, for comparison."""

    def row(title: str, cell: Callable[[Figures, str], str]) -> tuple[str, ...]:
        found = (cell(figures["settings"][encoder], side) for encoder, side in places)
        return (title, *found, "")

    def decode(measure: str, digits: int) -> Callable[[Figures, str], str]:
        def cell(found: Figures, side: str) -> str:
            kind = "drawn code" if side == "paper" else "mean code"
            return _cell(found["decode"][kind][measure], digits)

        return cell

    return [
        row("read right, whole code decoded", decode("accuracy", 3)),
        row("PSNR to the digit, whole code decoded", decode("psnr", 1)),
        row("deviation of a drawn number (1: as without the digit)",
            lambda found, side: f"{found['deviation']:.3f}"),
    ]  # fmt: skip


def _generators(figures: Figures) -> str:
    rows = []
    for key, title in _GENERATORS.items():
        found = figures["generators"][key]
        kinds = [(title, "generated")]
        if key == "gan":
            kinds.append(("training digits, as a yardstick", "reference"))
        for name, kind in kinds:
            one = found[kind]
            rows.append(
                (
                    name,
                    f"{one['confidence']:.3f}",
                    f"{min(one['classes']):.3f} to {max(one['classes']):.3f}",
                    f"{one['coverage']:.3f}",
                    f"{one['frechet']:.1f}",
                )
            )
    head = ("random digits", "confidence of the judge", "share of a class", "coverage", "Fréchet")
    return markdown_table(head, rows)

"""What latent spectral decomposition is claimed to do, held against the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REFERENCES = ("decode", "pca_top_k", "random_top_k")
PSNR_LOSS = 1.0  # dB that the best LSD mode may lie below the best of the references
FROM_SIGMA = 0.5


def claims(figures: Mapping[str, Any], labels: int, size: int) -> list[dict[str, object]]:
    """Every claim with its aim, the figure, and whether it holds.

    Where methods are compared by accuracy, `seeds_ahead` says in how many seeds ours was ahead of
    all three references.

    Args:
        figures: of `evaluate_lsd`.
        labels: number of labels K.
        size: numbers in a code d.
    """
    basis, readings = figures["basis"], figures["readings"]
    turned, erased = figures["rotation"]["rotate"], figures["rotation"]["paper_rank_1"]
    style, other = turned["style_survival"], erased["style_survival"]
    gaussian = figures["denoise"].get("gaussian", {})
    slots = readings["in_label_slots"]
    found = [
        _at_least(
            "label vectors that decode to their label", basis["labels_one_to_one"]["ours"], labels
        ),
        _at_least("rank of the basis", basis["rank"]["ours"], size),
        _at_most("condition of the orthonormal basis", basis["condition"]["ours"], 1 + 1e-4),
        _at_most(
            "relative error of a full reconstruction", basis["reconstruction_error"]["ours"], 1e-5
        ),
        _at_least("digits in a label slot (1 - gibberish)", slots["ours"], 0.98),
        _at_least("the same, label vectors completed at random", slots["ours_random"], 0.98),
        _at_least(
            "accuracy of the basis as a classifier", readings["classifier_accuracy"]["ours"], 0.95
        ),
    ]
    for level, methods in gaussian.items():
        if float(level) >= FROM_SIGMA:
            found += _denoising(level, methods)
    if "0.5" in gaussian:
        accuracy = gaussian["0.5"]["lsd"]["accuracy"]
        found.append(_at_least("accuracy of LSD at sigma 0.5, absolute", accuracy, 0.93))
    return [
        *found,
        _at_least("pairs that succeed at 90 degrees", turned["success_rate"], 0.9),
        _claim(
            "style that survives a rotation",
            f"> {other} + 0.1 (rank-1 operator)",
            style,
            style > other + 0.1,
        ),
    ]


def _denoising(level: str, methods: Mapping[str, Any]) -> list[dict[str, object]]:
    lsd = methods["lsd"]
    rival, clearest = (
        max(methods[name][measure] for name in REFERENCES) for measure in ("accuracy", "psnr")
    )
    # digits and noise are the same for all methods of a seed, so seeds can be compared one by one
    rivals = zip(*(methods[name]["by_seed"]["accuracy"] for name in REFERENCES), strict=True)
    by_seed = lsd["by_seed"]["accuracy"]
    ahead = sum(mine > max(others) for mine, others in zip(by_seed, rivals, strict=True))
    return [
        {
            **_claim(
                f"accuracy of LSD at sigma {level}",
                f"> {rival} (best of decode, PCA, random at equal k)",
                lsd["accuracy"],
                lsd["accuracy"] > rival,
            ),
            "seeds_ahead": f"{ahead} of {len(by_seed)}",
        },
        _claim(
            f"PSNR of LSD at sigma {level}",
            f">= {clearest - PSNR_LOSS:.2f} (best of the same, less 1 dB)",
            lsd["psnr"],
            lsd["psnr"] >= clearest - PSNR_LOSS,
        ),
    ]


def _at_least(what: str, figure: float, aim: float) -> dict[str, object]:
    return _claim(what, f">= {aim:g}", figure, figure >= aim)


def _at_most(what: str, figure: float, aim: float) -> dict[str, object]:
    return _claim(what, f"<= {aim:g}", figure, figure <= aim)


def _claim(what: str, aim: str, figure: float, met: bool) -> dict[str, object]:
    return {"claim": what, "aim": aim, "figure": figure, "met": bool(met)}

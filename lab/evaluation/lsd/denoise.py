"""Denoising digits: latent spectral decomposition against filters and against other bases."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...measures import psnr
from .basis import MeasuredBasis, random_basis
from .bench import Bench, Digits, Progress
from .measures import ssim
from .noise import NOISES, Noise
from .settings import OURS, PCA, RANDOM, Setting, apply_setting
from .tuning import TUNING_SEED, Tuned, Tuning

MEASURES = ("psnr", "ssim", "accuracy")
BY_K = (1, 2, 3, 4, 10, 20, 40)


@dataclass(frozen=True)
class Counts:
    """How many digits are used for what.

    Attributes:
        test: test digits that are denoised, drawn anew for every seed.
        slow: of these, for filters computed picture by picture.
        tune: training digits on which settings are chosen.
        tune_slow: of these, for the slow filters.
        by_k: test digits for the figures against k.
    """

    test: int = 1000
    slow: int = 250
    tune: int = 250
    tune_slow: int = 60
    by_k: int = 250


def denoise(
    bench: Bench,
    bases: Mapping[str, MeasuredBasis],
    tune: Digits,
    test: Digits,
    *,
    seeds: Sequence[int],
    counts: Counts,
    noises: Sequence[Noise] = NOISES,
    brief: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[dict[str, object], dict[Noise, dict[str, Tuned]]]:
    """Measure every method on every noise.

    Args:
        bench: encodes, decodes, reads.
        bases: OURS, PAPER and PCA; RANDOM is drawn anew for every seed.
        tune: training digits on which every method's setting is chosen, per noise and level.
        test: digits on which the figures are measured.
        seeds: of the noise and of the random bases.
        counts: how many of both are used.
        noises: kinds and levels.
        brief: only the noisy input, the decode, LSD, and PCA and random at equal k.
        progress: called with (stage, done, total).

    Returns:
        The figures, and every method with its setting by noise. The figures are
        `denoise.<noise>.<level>.<method>`: psnr (dB), ssim, accuracy (of the judge), means over
        digits and seeds; `spread`, their sample standard deviation over the seeds; `by_seed`;
        `digits_per_seed`; the chosen `setting`. `denoise_best.<noise>.<level>.<measure>`: the
        method with the best figure. `denoise_one_setting`: the setting of LSD that does best over
        all noises. `denoise_by_k`, `denoise_clipping`: see the functions.
    """
    tune = tune[: counts.tune]
    random = random_basis(bases[OURS], TUNING_SEED)
    tuning = Tuning(bench, {**bases, RANDOM: random}, tune, counts.tune_slow, brief)
    chosen: dict[Noise, dict[str, Tuned]] = {}
    for number, noise in enumerate(noises):
        progress("choose settings", number, len(noises))
        chosen[noise] = tuning.choose(noise)
    overall = tuning.overall()
    for methods in chosen.values():
        methods["lsd_one_setting"] = overall
    figures: dict[str, dict[str, dict[str, object]]] = {}
    best: dict[str, dict[str, dict[str, str]]] = {}
    clipping: dict[str, dict[str, object]] = {}
    for number, noise in enumerate(noises):
        progress("denoise", number, len(noises))
        found = _measure(bench, bases, test, noise, seeds, chosen[noise], counts)
        figures.setdefault(noise.kind, {})[noise.level] = found
        best.setdefault(noise.kind, {})[noise.level] = best_methods(found)
        if noise.kind == "gaussian":
            clipping[noise.level] = _clipping(bench, test[: counts.test], noise, seeds[0])
    if brief:
        return {"denoise": figures}, chosen
    result = {
        "denoise": figures,
        "denoise_best": best,
        "denoise_one_setting": overall.text,
        "denoise_by_k": by_k(bench, bases, test[: counts.by_k], noises, seeds[0]),
        "denoise_clipping": clipping,
    }
    return result, chosen


def _measure(
    bench: Bench,
    bases: Mapping[str, MeasuredBasis],
    test: Digits,
    noise: Noise,
    seeds: Sequence[int],
    settings: Mapping[str, Tuned],
    counts: Counts,
) -> dict[str, object]:
    rounds: dict[str, list[dict[str, float]]] = {}
    used: dict[str, int] = {}
    for seed in seeds:
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
        digits = test[order[: counts.test]]
        damaged = noise(digits.pictures, seed)
        codes = bench.encode(damaged)
        drawn = {**bases, RANDOM: random_basis(bases[OURS], seed)}
        done: dict[Tuned, dict[str, float]] = {}  # several names may have chosen the same
        for name, tuned in settings.items():
            used[name] = min(counts.slow, len(digits)) if tuned.slow else len(digits)
            if tuned not in done:
                part = slice(0, used[name])
                pictures = tuned.apply(bench, damaged[part], codes[part], drawn)
                done[tuned] = likeness(bench, pictures, digits[part])
            rounds.setdefault(name, []).append(done[tuned])
    return {
        name: {
            **{key: _mean(found, key) for key in MEASURES},
            "spread": {key: _spread(found, key) for key in MEASURES},
            "by_seed": {key: [round(one[key], 4) for one in found] for key in MEASURES},
            "digits_per_seed": used[name],
            "setting": settings[name].text,
        }
        for name, found in rounds.items()
    }


def likeness(bench: Bench, pictures: Tensor, digits: Digits) -> dict[str, float]:
    """PSNR (dB) and SSIM to the clean digits, and the judge's accuracy, means over the digits."""
    return {
        "psnr": float(psnr(pictures, digits.pictures).mean()),
        "ssim": float(ssim(pictures, digits.pictures).mean()),
        "accuracy": float((bench.labels(pictures) == digits.labels).double().mean()),
    }


def best_methods(found: Mapping[str, object]) -> dict[str, str]:
    """The method with the highest figure, by measure."""
    return {
        key: max(found, key=lambda name: found[name][key])  # type: ignore[index]
        for key in MEASURES
    }


def by_k(
    bench: Bench,
    bases: Mapping[str, MeasuredBasis],
    test: Digits,
    noises: Sequence[Noise],
    seed: int,
) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Test figures against k for each mode that has one, length restored, one seed.

    Returns:
        `{noise: {method: {k: figures}}}` for Gaussian noise of sigma 0.5 and 1.0.
    """
    result: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    drawn = {**bases, RANDOM: random_basis(bases[OURS], seed)}
    modes = {
        "lsd_top_k": (OURS, "top_k"),
        "lsd_one_label": (OURS, "one_label"),
        "pca_top_k": (PCA, "top_k"),
        "pca_leading_k": (PCA, "leading"),
        "random_top_k": (RANDOM, "top_k"),
    }
    for noise in (n for n in noises if n.kind == "gaussian" and n.level in ("0.5", "1.0")):
        codes = bench.encode(noise(test.pictures, seed))
        result[f"gaussian {noise.level}"] = {
            name: {
                str(k): _rounded(
                    likeness(
                        bench,
                        bench.decode(apply_setting(codes, Setting(basis, mode, k), drawn)),
                        test,
                    )
                )
                for k in _counts(mode, codes.shape[1], bases[OURS].labels)
            }
            for name, (basis, mode) in modes.items()
        }
    return result


def _counts(mode: str, size: int, labels: int) -> list[int]:
    """The numbers of coefficients to show, the largest that a mode knows included."""
    most = size - labels + 1 if mode == "one_label" else size
    return [*(k for k in BY_K if k < most), most]


def _clipping(bench: Bench, test: Digits, noise: Noise, seed: int) -> dict[str, object]:
    """What clipping the noise to [0, 1] changes: figures of the input with and without it."""
    return {
        name: _rounded(likeness(bench, noise(test.pictures, seed, clipped=clipped), test))
        for name, clipped in (("clipped", True), ("not_clipped", False))
    }


def _mean(found: Sequence[Mapping[str, float]], key: str) -> float:
    return round(statistics.fmean(one[key] for one in found), 4)


def _spread(found: Sequence[Mapping[str, float]], key: str) -> float:
    return round(statistics.stdev(one[key] for one in found), 4) if len(found) > 1 else 0.0


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 4) for key, value in figures.items()}

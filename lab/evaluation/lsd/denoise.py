"""Denoising digits: latent spectral decomposition against filters and against other bases."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...measures import psnr, ssim
from .bases import OURS, PCA, RANDOM, Setup
from .methods import Method, Setting, Tuning
from .model import Digits, MeasuredModel, Progress
from .noise import NOISES, Noise
from .paired import mcnemar, mean_interval

MEASURES = ("psnr", "ssim", "accuracy")
BY_K = (1, 2, 3, 4, 10, 20, 40)
BOOTSTRAP_SEED = 17


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
    setup: Setup,
    tune: Digits,
    test: Digits,
    *,
    seeds: Sequence[int],
    counts: Counts,
    brief: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> tuple[dict[str, object], dict[Noise, dict[str, Method]]]:
    """Measure every method on every noise.

    Args:
        setup: the model and the bases; a random basis is drawn anew for every seed.
        tune: training digits on which every method's setting is chosen, per noise and level.
        test: digits on which the figures are measured.
        seeds: of the noise and of the random bases.
        counts: how many of both are used.
        brief: only the noisy input, the decode, LSD, and PCA and random at equal k.
        progress: called with (stage, done, total).

    Returns:
        The figures, and every method with its setting by noise. The figures are
        `denoise.<noise>.<level>.<method>`: psnr (dB), ssim, accuracy (of the classifier), means
        over digits and seeds; `spread`, their sample standard deviation over the seeds; `by_seed`;
        `digits_per_seed`; the chosen `setting`; `against_lsd`, see `against_lsd`. Unless brief also
        `denoise_best.<noise>.<level>.<measure>`: the method with the best figure;
        `denoise_one_setting`: the setting of LSD that does best over all noises; `denoise_by_k`,
        `denoise_clipping`: see the functions.
    """
    tuning = Tuning(setup, tune[: counts.tune], counts.tune_slow, brief)
    chosen: dict[Noise, dict[str, Method]] = {}
    for number, noise in enumerate(NOISES):
        progress("choose settings", number, len(NOISES))
        chosen[noise] = tuning.choose(noise)
    overall = tuning.overall()
    figures: dict[str, dict[str, dict[str, object]]] = {}
    for number, (noise, methods) in enumerate(chosen.items()):
        progress("denoise", number, len(NOISES))
        methods["lsd_one_setting"] = overall
        found = _measure(setup, test, noise, seeds, methods, counts)
        figures.setdefault(noise.kind, {})[noise.level] = found
    if brief:
        return {"denoise": figures}, chosen
    result = {
        "denoise": figures,
        "denoise_best": {
            kind: {level: best_methods(found) for level, found in levels.items()}
            for kind, levels in figures.items()
        },
        "denoise_one_setting": overall.text,
        "denoise_by_k": by_k(setup, test[: counts.by_k], seeds[0]),
        "denoise_clipping": clipping(setup.model, test[: counts.test], seeds[0]),
    }
    return result, chosen


def _measure(
    setup: Setup,
    test: Digits,
    noise: Noise,
    seeds: Sequence[int],
    methods: Mapping[str, Method],
    counts: Counts,
) -> dict[str, object]:
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    cases: dict[str, list[Tensor]] = {name: [] for name in methods}
    used: dict[str, int] = {}
    for seed in seeds:
        order = torch.randperm(len(test), generator=torch.Generator().manual_seed(seed))
        digits = test[order[: counts.test]]
        damaged = noise(digits.pictures, seed)
        codes = setup.model.encode(damaged)
        bases = setup.with_random(seed)
        done: dict[Method, Tensor] = {}  # several names may have chosen the same
        for name, method in methods.items():
            used[name] = min(counts.slow, len(digits)) if method.slow else len(digits)
            if method not in done:
                part = slice(0, used[name])
                pictures = method.denoise(setup.model, damaged[part], codes[part], bases)
                done[method] = each_likeness(setup.model, pictures, digits[part])
            cases[name].append(done[method])
            rounds[name].append(_means(done[method]))
    return {
        name: {
            **{key: _rounded(statistics.fmean(one[key] for one in found)) for key in MEASURES},
            "spread": {key: _spread([one[key] for one in found]) for key in MEASURES},
            "by_seed": {key: [_rounded(one[key]) for one in found] for key in MEASURES},
            "digits_per_seed": used[name],
            "setting": methods[name].text,
            "against_lsd": against_lsd(cases["lsd"], cases[name]),
        }
        for name, found in rounds.items()
    }


def against_lsd(lsd: Sequence[Tensor], other: Sequence[Tensor]) -> dict[str, object]:
    """What parts LSD from another method on the digits that both were given.

    The digits of all seeds count as cases; one in ten is drawn by two seeds, with other noise.

    Args:
        lsd, other: of every seed, see `each_likeness`; a slow method has fewer digits.

    Returns:
        `accuracy`: McNemar's test, LSD being the first; `psnr`: LSD's figure less the other's, in
        dB, with the bootstrap's interval.
    """
    mine = torch.cat([a[:, : b.shape[1]] for a, b in zip(lsd, other, strict=True)], 1)
    theirs = torch.cat(list(other), 1)
    right = MEASURES.index("accuracy")
    return {
        "accuracy": mcnemar(mine[right] > 0.5, theirs[right] > 0.5),
        "psnr": mean_interval((mine - theirs)[MEASURES.index("psnr")], BOOTSTRAP_SEED),
    }


def each_likeness(model: MeasuredModel, pictures: Tensor, digits: Digits) -> Tensor:
    """`(3, N)` by `MEASURES` and digit: PSNR (dB) and SSIM to the clean digit, 1 where the label
    is right.
    """
    right = model.labels(pictures) == digits.labels
    values = [psnr(pictures, digits.pictures), ssim(pictures, digits.pictures), right.double()]
    return torch.stack([value.double() for value in values])


def likeness(model: MeasuredModel, pictures: Tensor, digits: Digits) -> dict[str, float]:
    """PSNR (dB) and SSIM to the clean digits, and the classifier's accuracy, means over digits."""
    return _means(each_likeness(model, pictures, digits))


def _means(found: Tensor) -> dict[str, float]:
    return dict(zip(MEASURES, found.mean(1).tolist(), strict=True))


def best_methods(found: Mapping[str, Any]) -> dict[str, str]:
    """The method with the highest figure, by measure."""
    return {key: max(found, key=lambda name: found[name][key]) for key in MEASURES}


def by_k(setup: Setup, test: Digits, seed: int) -> dict[str, dict[str, dict[str, object]]]:
    """Test figures against k for each mode that has one, length restored, one seed.

    Returns:
        `{noise: {method: {k: figures}}}` for Gaussian noise of sigma 0.5 and 1.0.
    """
    result: dict[str, dict[str, dict[str, object]]] = {}
    bases = setup.with_random(seed)
    size, labels = bases[OURS].vectors.shape[1], bases[OURS].labels
    modes = {
        "lsd_top_k": (OURS, "top_k"),
        "lsd_one_label": (OURS, "one_label"),
        "pca_top_k": (PCA, "top_k"),
        "pca_leading_k": (PCA, "leading"),
        "random_top_k": (RANDOM, "top_k"),
    }
    for noise in (n for n in NOISES if n.kind == "gaussian" and n.level in ("0.5", "1.0")):
        codes = setup.model.encode(noise(test.pictures, seed))
        methods = result.setdefault(f"gaussian {noise.level}", {})
        for name, (basis, mode) in modes.items():
            most = size - labels + 1 if mode == "one_label" else size
            methods[name] = {
                str(k): _likeness_rounded(
                    setup.model,
                    setup.model.decode(Setting(basis, mode, k).truncate(codes, bases)),
                    test,
                )
                for k in (*(k for k in BY_K if k < most), most)
            }
    return result


def clipping(model: MeasuredModel, test: Digits, seed: int) -> dict[str, dict[str, object]]:
    """What clipping Gaussian noise to [0, 1] changes: figures of the input with and without it."""
    return {
        noise.level: {
            name: _likeness_rounded(model, noise(test.pictures, seed, clipped=clipped), test)
            for name, clipped in (("clipped", True), ("not_clipped", False))
        }
        for noise in NOISES
        if noise.kind == "gaussian"
    }


def _likeness_rounded(model: MeasuredModel, pictures: Tensor, digits: Digits) -> dict[str, float]:
    return {key: _rounded(value) for key, value in likeness(model, pictures, digits).items()}


def _spread(values: Sequence[float]) -> float:
    return _rounded(statistics.stdev(values)) if len(values) > 1 else 0.0


def _rounded(value: float) -> float:
    return round(value, 4)

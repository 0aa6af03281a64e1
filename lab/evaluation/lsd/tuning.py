"""Choosing every method's setting on training digits, so that test digits only measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...measures import psnr
from .basis import MeasuredBasis
from .bench import Bench, Digits
from .filters import FILTERS, Filter
from .noise import Noise
from .settings import (
    OURS,
    PAPER,
    PAPER_TOP_K,
    PCA,
    RANDOM,
    Setting,
    apply_setting,
    choose,
    kept_count,
    spectral_settings,
    top_k_settings,
)

TUNING_SEED = 1_000_003  # of noise and random basis: none of the seeds of the measurement


@dataclass(frozen=True)
class Tuned:
    """A method with its setting fixed.

    Attributes:
        setting: of the codes; None leaves the codes as they are.
        filter: a filter of pictures with its parameter, instead of the model.
        plain: give the damaged pictures back.
        text: the setting for the report.
    """

    setting: Setting | None = None
    filter: tuple[Filter, float] | None = None
    plain: bool = False
    text: str = ""

    @property
    def slow(self) -> bool:
        """Whether it is to be measured on fewer digits."""
        return self.filter is not None and self.filter[0].slow

    def apply(
        self, bench: Bench, damaged: Tensor, codes: Tensor, bases: Mapping[str, MeasuredBasis]
    ) -> Tensor:
        """Denoised pictures `(N, 1, H, W)` of damaged ones and their codes `(N, d)`."""
        if self.plain:
            return damaged
        if self.filter is not None:
            family, value = self.filter
            return family.apply(damaged, value)
        if self.setting is None:
            return bench.decode(codes)
        return bench.decode(apply_setting(codes, self.setting, bases))


class Tuning:
    """Tries settings on damaged training digits and remembers how they did."""

    def __init__(
        self,
        bench: Bench,
        bases: Mapping[str, MeasuredBasis],
        digits: Digits,
        slow: int,
        brief: bool = False,
    ) -> None:
        self.brief = brief
        self.bench, self.bases, self.digits, self.slow = bench, bases, digits, slow
        size = bases[OURS].vectors.shape[0]
        self.families: dict[str, Sequence[Setting]] = {
            "lsd": spectral_settings(size, bases[OURS].labels)
        }
        others = {
            "pca_best_k": top_k_settings(PCA, size),
            "random_best_k": top_k_settings(RANDOM, size),
            "paper_top_k": [
                Setting(PAPER, "top_k", k, 0.0, False) for k in PAPER_TOP_K if k < size
            ],
        }
        if not brief:
            self.families.update(others)
        self._lsd_scores: list[tuple[Tensor, Tensor]] = []

    def choose(self, noise: Noise) -> dict[str, Tuned]:
        """Every method for one noise, its setting chosen; by name, in the order of the tables."""
        damaged = noise(self.digits.pictures, TUNING_SEED)
        codes = self.bench.encode(damaged)
        methods = {"noisy": Tuned(plain=True)}
        for family in () if self.brief else FILTERS:
            methods[family.name] = self._filter(family, damaged)
        methods["decode"] = Tuned()
        best = {}
        for name, settings in self.families.items():
            tried = [self._score(apply_setting(codes, s, self.bases)) for s in settings]
            quality, accuracy = torch.tensor(tried).T
            best[name] = settings[choose(settings, quality, accuracy)]
            if name == "lsd":
                self._lsd_scores.append((quality, accuracy))
        lsd = best["lsd"]
        k, restored = kept_count(codes, lsd, self.bases), lsd.restore_norm
        equal = {
            "pca_top_k": Setting(PCA, "top_k", k, 0.0, restored),
            "random_top_k": Setting(RANDOM, "top_k", k, 0.0, restored),
        }
        if not self.brief:
            equal["pca_leading_k"] = Setting(PCA, "leading", k, 0.0, restored)
        for name, setting in {**equal, **best}.items():
            methods[name] = Tuned(setting, text=setting.describe())
        methods["lsd"] = methods.pop("lsd")  # last, as what the others are held against
        return methods

    def overall(self) -> Tuned:
        """The one setting of our basis that does best over all noises tried so far."""
        quality, accuracy = (
            torch.stack(column).mean(0) for column in zip(*self._lsd_scores, strict=True)
        )
        settings = self.families["lsd"]
        setting = settings[choose(settings, quality, accuracy)]
        return Tuned(setting, text=setting.describe())

    def _score(self, codes: Tensor) -> tuple[float, float]:
        return self._quality(self.bench.decode(codes), self.digits)

    def _quality(self, pictures: Tensor, digits: Digits) -> tuple[float, float]:
        right = self.bench.labels(pictures) == digits.labels
        return float(psnr(pictures, digits.pictures).mean()), float(right.double().mean())

    def _filter(self, family: Filter, damaged: Tensor) -> Tuned:
        part = slice(0, self.slow if family.slow else len(self.digits))
        tried = [
            self._quality(family.apply(damaged[part], value), self.digits[part])
            for value in family.settings
        ]
        quality, accuracy = torch.tensor(tried).T
        value = family.settings[choose(family.settings, quality, accuracy)]
        return Tuned(filter=(family, value), text=f"{family.parameter} {value:g}")

"""Ways to denoise, and choosing their settings on training digits: test digits only measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....latent_ops import spectral_denoise, truncate_spectrum
from ...measures import psnr
from .bases import OURS, PAPER, PCA, RANDOM, MeasuredBasis, Setup
from .filters import FILTERS, Filter
from .model import Digits, MeasuredModel
from .noise import Noise

TOP_K = (4, 10, 20, 40)
PAPER_TOP_K = (1, 2, 3, 4, 10)  # those of the paper
ENERGY = (0.8, 0.9, 0.95)
KEPT_IN_HAND = 0.9  # dB below the best PSNR of a method's settings that the choice may give up
TUNING_SEED = 1_000_003  # of noise and random basis: none of the seeds of the measurement


@dataclass(frozen=True)
class Setting:
    """One way to truncate codes.

    Attributes:
        basis: OURS, PAPER, PCA or RANDOM.
        mode: a mode of `truncate_spectrum`, or "leading": the first k coefficients.
        k: how many coefficients are kept, by the modes that count.
        energy: the share of the squared length, by mode "energy".
        restore_norm: whether the code gets its own length back.
    """

    basis: str
    mode: str
    k: int = 0
    energy: float = 0.0
    restore_norm: bool = True

    def describe(self) -> str:
        """For people: `one_label k=91, length restored`."""
        amount = {"labels": "", "energy": f" {self.energy:g}"}.get(self.mode, f" k={self.k}")
        return f"{self.mode}{amount}, length {'restored' if self.restore_norm else 'as it falls'}"

    def truncate(self, codes: Tensor, bases: Mapping[str, MeasuredBasis]) -> Tensor:
        """Truncated codes `(N, d)`."""
        basis = bases[self.basis]
        mode, vectors, labels = self.mode, basis.vectors, basis.labels
        if mode == "leading":  # the label mode of a basis that ends there
            mode, vectors, labels = "labels", vectors[: self.k], self.k
        return spectral_denoise(
            codes,
            vectors,
            mode,
            k=self.k or None,
            labels=labels,
            energy=self.energy or None,
            restore_norm=self.restore_norm,
            mean=basis.mean,
        )

    def kept_count(self, codes: Tensor, bases: Mapping[str, MeasuredBasis]) -> int:
        """How many coefficients are kept, on average over codes `(N, d)`."""
        basis = bases[self.basis]
        if self.mode == "labels":
            return basis.labels
        if self.mode != "energy":
            return self.k
        kept = truncate_spectrum(basis.coefficients(codes), "energy", energy=self.energy)
        return max(1, round(float((kept != 0).sum(1).double().mean())))


def spectral_settings(size: int, labels: int) -> list[Setting]:
    """The settings of latent spectral decomposition to choose from, for a basis of `size`."""
    others = size - labels + 1  # one label and everything that is not a label
    settings = [
        *(Setting(OURS, "top_k", k) for k in TOP_K if k < size),
        *(Setting(OURS, "one_label", k) for k in (*(k for k in TOP_K if k < others), others)),
        Setting(OURS, "labels"),
        *(Setting(OURS, "energy", energy=share) for share in ENERGY),
    ]
    return [replace(s, restore_norm=restore) for s in settings for restore in (True, False)]


def top_k_settings(basis: str, size: int) -> list[Setting]:
    """Top-k settings of another basis; the paper restores no length."""
    counts, lengths = (PAPER_TOP_K, (False,)) if basis == PAPER else (TOP_K, (True, False))
    return [
        Setting(basis, "top_k", k, restore_norm=restore)
        for k in counts
        if k < size
        for restore in lengths
    ]


def choose(settings: Sequence[object], psnr: Tensor, accuracy: Tensor) -> int:
    """Index of the setting with the best accuracy among those whose PSNR is close to the best.

    The same rule for every method that has a setting: at most `KEPT_IN_HAND` dB below the best
    PSNR of its own settings; equal accuracies are parted by PSNR.

    Args:
        settings: the settings, S of them.
        psnr, accuracy: `(S,)`, measured on training digits.
    """
    if len(settings) != len(psnr) or len(psnr) != len(accuracy):
        raise ValueError(f"{len(settings)} settings, {len(psnr)} and {len(accuracy)} figures.")
    allowed = psnr >= psnr.max() - KEPT_IN_HAND
    score = accuracy.double() + 1e-6 * psnr.double()
    return int(torch.where(allowed, score, -torch.inf).argmax())


@dataclass(frozen=True)
class Method:
    """A way to denoise, its setting fixed.

    Attributes:
        setting: of the codes; None leaves the codes as they are.
        filter: a filter of pictures with its parameter, instead of the model.
        unchanged: give the damaged pictures back.
    """

    setting: Setting | None = None
    filter: tuple[Filter, float] | None = None
    unchanged: bool = False

    @property
    def slow(self) -> bool:
        """Whether it is to be measured on fewer digits."""
        return self.filter is not None and self.filter[0].slow

    @property
    def text(self) -> str:
        """The setting, for the report."""
        if self.filter is not None:
            return f"{self.filter[0].parameter} {self.filter[1]:g}"
        return "" if self.setting is None else self.setting.describe()

    def denoise(
        self,
        model: MeasuredModel,
        damaged: Tensor,
        codes: Tensor,
        bases: Mapping[str, MeasuredBasis],
    ) -> Tensor:
        """Denoised pictures `(N, 1, H, W)` of damaged ones and their codes `(N, d)`."""
        if self.unchanged:
            return damaged
        if self.filter is not None:
            return self.filter[0].apply(damaged, self.filter[1])
        if self.setting is not None:
            codes = self.setting.truncate(codes, bases)
        return model.decode(codes)


class Tuning:
    """Tries settings on damaged training digits and remembers how those of LSD did.

    Args:
        setup: the model and the bases.
        digits: training digits.
        slow: on how many of them slow filters are tried.
        brief: only LSD, and what has no setting of its own.
    """

    def __init__(self, setup: Setup, digits: Digits, slow: int, brief: bool) -> None:
        self.model, self.bases = setup.model, setup.with_random(TUNING_SEED)
        self.digits, self.slow, self.brief = digits, slow, brief
        size, labels = len(self.bases[OURS].vectors), self.bases[OURS].labels
        self.families = {"lsd": spectral_settings(size, labels)}
        if not brief:
            for name, basis in (
                ("pca_best_k", PCA),
                ("random_best_k", RANDOM),
                ("paper_top_k", PAPER),
            ):
                self.families[name] = top_k_settings(basis, size)
        self._lsd_scores: list[Tensor] = []

    def choose(self, noise: Noise) -> dict[str, Method]:
        """Every method for one noise, its setting chosen; by name, in the order of the tables."""
        damaged = noise(self.digits.pictures, TUNING_SEED)
        codes = self.model.encode(damaged)
        methods = {"noisy": Method(unchanged=True)}
        for family in () if self.brief else FILTERS:
            ways = [Method(filter=(family, value)) for value in family.settings]
            part = slice(0, self.slow if family.slow else len(self.digits))
            methods[family.name] = ways[choose(ways, *self._scores(ways, damaged, codes, part))]
        methods["decode"] = Method()
        best = {}
        for name, settings in self.families.items():
            ways = [Method(setting) for setting in settings]
            scores = self._scores(ways, damaged, codes, slice(None))
            best[name] = settings[choose(settings, *scores)]
            if name == "lsd":
                self._lsd_scores.append(scores)
        k, restored = best["lsd"].kept_count(codes, self.bases), best["lsd"].restore_norm
        equal = {"pca_top_k": (PCA, "top_k"), "random_top_k": (RANDOM, "top_k")}
        if not self.brief:
            equal["pca_leading_k"] = (PCA, "leading")
        for name, (basis, mode) in equal.items():
            methods[name] = Method(Setting(basis, mode, k, restore_norm=restored))
        methods |= {name: Method(setting) for name, setting in best.items()}
        methods["lsd"] = methods.pop("lsd")  # last, as what the others are held against
        return methods

    def overall(self) -> Method:
        """The one setting of our basis that does best over all noises tried so far."""
        settings = self.families["lsd"]
        return Method(settings[choose(settings, *torch.stack(self._lsd_scores).mean(0))])

    def _scores(
        self, ways: Sequence[Method], damaged: Tensor, codes: Tensor, part: slice
    ) -> Tensor:
        """PSNR and accuracy of each way on a part of the digits, `(2, len(ways))`."""
        digits, found = self.digits[part], []
        for way in ways:
            pictures = way.denoise(self.model, damaged[part], codes[part], self.bases)
            right = self.model.labels(pictures) == digits.labels
            quality = float(psnr(pictures, digits.pictures).mean())
            found.append((quality, float(right.double().mean())))
        return torch.tensor(found).T

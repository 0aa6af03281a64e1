"""Ways to truncate codes, and the rule by which one is chosen on training digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ....latent_ops import spectral_denoise, truncate_spectrum
from .basis import MeasuredBasis

OURS, PAPER, PCA, RANDOM = "ours", "paper", "pca", "random"
OURS_RANDOM = "ours_random"  # the label vectors of ours, completed at random
TOP_K = (4, 10, 20, 40)
PAPER_TOP_K = (1, 2, 3, 4, 10)  # those of the paper
ENERGY = (0.8, 0.9, 0.95)
KEPT_IN_HAND = 0.9  # dB below the best PSNR of a method's settings that the choice may give up


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


def apply_setting(codes: Tensor, setting: Setting, bases: Mapping[str, MeasuredBasis]) -> Tensor:
    """Truncated codes `(N, d)`."""
    basis = bases[setting.basis]
    mode, vectors, labels = setting.mode, basis.vectors, basis.labels
    if mode == "leading":  # the label mode of a basis that ends there
        mode, vectors, labels = "labels", vectors[: setting.k], setting.k
    return spectral_denoise(
        codes,
        vectors,
        mode,
        k=setting.k or None,
        labels=labels,
        energy=setting.energy or None,
        restore_norm=setting.restore_norm,
        mean=basis.mean,
    )


def kept_count(codes: Tensor, setting: Setting, bases: Mapping[str, MeasuredBasis]) -> int:
    """How many coefficients a setting keeps, on average over codes `(N, d)`."""
    basis = bases[setting.basis]
    if setting.mode == "labels":
        return basis.labels
    if setting.mode != "energy":
        return setting.k
    kept = truncate_spectrum(basis.coefficients(codes), "energy", energy=setting.energy)
    return max(1, round(float((kept != 0).sum(1).double().mean())))


def spectral_settings(size: int, labels: int) -> list[Setting]:
    """The settings of latent spectral decomposition to choose from, for a basis of `size`."""
    counts = [k for k in TOP_K if k < size]
    others = size - labels + 1  # one label and everything that is not a label
    one = [k for k in TOP_K if k < others] + [others]
    settings = [
        *(Setting(OURS, "top_k", k) for k in counts),
        *(Setting(OURS, "one_label", k) for k in one),
        Setting(OURS, "labels"),
        *(Setting(OURS, "energy", energy=share) for share in ENERGY),
    ]
    return [replace(s, restore_norm=restore) for s in settings for restore in (True, False)]


def top_k_settings(basis: str, size: int) -> list[Setting]:
    """Top-k settings of another basis, with and without restored length."""
    counts = [k for k in TOP_K if k < size]
    return [Setting(basis, "top_k", k, 0.0, restore) for k in counts for restore in (True, False)]


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

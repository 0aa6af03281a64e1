"""Evaluating latent spectral decomposition on digits: basis, readings, denoising, rotation."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ....models.spectral.basis import LatentBasis
from ....models.spectral.basis_file import bundled_basis_path, load_basis
from ..digits.classifier import load_digit_classifier
from ..digits.encoders import load_clean_digits
from ..digits.gan_encoders import MAIN, load_gan_encoders
from .bases import OURS, OURS_RANDOM, PAPER, Setup, prepare
from .claims import claims
from .denoise import Counts, denoise
from .filters import require_skimage
from .methods import Method
from .model import Digits, MeasuredModel, Progress, load_digits
from .noise import Noise
from .pictures import draw_pictures
from .readings import basis_facts, readings, side_by_side
from .rotation import rotation

SIDES = (PAPER, OURS, OURS_RANDOM)
FACT_CODES = 1000  # test codes that are decomposed and put together again
NOTES = {
    "judge": "a classifier that took no part in training the model; it labels decodes for the "
    "paper's construction and measures every accuracy",
    "paper": "eta_1..K: mean codes of training digits by the judge's label of their decode; the "
    "others: class means of z ~ N(0, I) by the label of their decode; modified Gram-Schmidt in "
    "that order; nothing centred. The codes are an encoder's mean codes; the paper draws them from "
    "a stochastic encoder",
    "noise": "pixels in [0, 1], clipped to [0, 1] after damage as in a picture file; "
    "denoise_clipping has the figures of the input with and without clipping; occlusion is a black "
    "square whose centre lies on ink",
    "settings": "every method with a setting gets it per noise and level on training digits by one "
    "rule: the best accuracy among settings at most 0.9 dB below the method's own best PSNR; "
    "lsd_one_setting is the one setting chosen over all noises together. The model was trained on "
    "those digits too, so what is chosen there need not be best on test digits",
    "top_k": "pca_top_k, pca_leading_k and random_top_k keep as many coefficients as lsd and treat "
    "the length as lsd does; pca_best_k and random_best_k have their own best k",
    "style_survival": "mean of three correlations before and after, each clipped at 0: "
    "coefficients beyond the label vectors after decoding and encoding again, stroke thickness, "
    "slant; 'nothing' (the digit's own decode) and 'exchange' (another writer's digit of the "
    "target) are its upper and lower ends",
}


BUNDLED_NOTE = (
    "the bundled digits model was trained with labels, which shaped its code space; the "
    "paper's GAN was not. High readings say that a basis finds the label directions of this space, "
    "not that every space has them. Its codes are ten Gaussians, where N(0, I) is the prior of the "
    "paper's GAN"
)
BUNDLED_ENCODERS = {
    "": "the bundled encoder, trained on damaged digits too",
    "clean_encoder": "the encoder of clean digits only",
}


@dataclass(frozen=True)
class Sizes:
    """How many digits each part uses; the whole takes some minutes on two cores.

    Attributes:
        codes: training digits whose codes give the paper's basis, PCA and class means.
        draws: random codes per repetition of the paper's construction.
        readings: test digits for the readings.
        denoise, clean: for denoising with the model's own encoder and with each other one.
        per_label, per_path: test digits of each label that are rotated, and followed on the way.
    """

    codes: int = 10_000
    draws: int = 1000
    readings: int = 10_000
    denoise: Counts = field(default_factory=Counts)
    clean: Counts = field(default_factory=lambda: Counts(test=250, tune=120))
    per_label: int = 25
    per_path: int = 6

    def limited(self, limit: int | None) -> Sizes:
        """The same with no part above `limit` digits; at least two per label are rotated.

        Raises:
            FaceLatentsError: a limit below 1.
        """
        if limit is None:
            return self
        if limit < 1:
            raise FaceLatentsError(f"The limit must be 1 digit or more, got {limit}.")

        def cut(counts: Counts) -> Counts:
            return Counts(*(min(limit, value) for value in vars(counts).values()))

        return replace(
            self,
            readings=min(limit, self.readings),
            denoise=cut(self.denoise),
            clean=cut(self.clean),
            per_label=max(2, min(limit // 10, self.per_label)),
            per_path=max(1, min(limit // 40, self.per_path)),
        )


@dataclass(frozen=True)
class LsdEvaluation:
    """How many digits are measured, and how often."""

    seeds: Annotated[tuple[int, ...], "of noise, digits and random bases"] = (0, 1, 2)
    limit: Annotated[int | None, "at most so many digits in every part; null: see `Sizes`"] = None
    pictures: Annotated[Path | None, "folder for the figures as PNG"] = None
    encoders: Annotated[Path | None, "file of more encoders of --model, by train digits-gan"] = None


def evaluate_lsd(
    data_dir: str | Path,
    settings: LsdEvaluation,
    *,
    model: FaceModel | None = None,
    others: Mapping[str, FaceModel] | None = None,
    classifier: nn.Module | None = None,
    sizes: Sizes | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure latent spectral decomposition on MNIST, the paper's construction beside ours.

    Args:
        data_dir: folder of the digits, see `load_digits`; nothing is downloaded.
        settings: see there.
        model: None takes the bundled digits model, whose encoder was trained on damaged digits,
            with the bundled basis and clean encoder; of another one a basis is built.
        others: by key, the same model with other encoders; None takes those of the settings.
        classifier: held out, `(B, 1, S, S)` to logits; None takes the bundled one.
        sizes: how many digits each part uses.
        progress: called with (stage, done, total).

    Returns:
        `basis` and `readings`, each figure for `paper`, `ours` and `ours_random` (the label vectors
        of ours, completed at random: some readings depend on the completion); `denoise` with its
        companions (see `denoise`), `rotation` (see `rotation`), `claims`, `counts`, `notes`,
        `seconds`, `encoders` (what they are, by key; "" is the model's own); of each other
        encoder also `readings_KEY`, `denoise_KEY` and `rotation_KEY`.

    Raises:
        FaceLatentsError: no digits, no scikit-image, no seeds, or a basis of another model.
    """
    started = time.perf_counter()
    require_skimage()
    if not settings.seeds:
        raise FaceLatentsError("At least one seed is needed, for example seeds=[0,1,2].")
    sizes, seeds = (sizes or Sizes()).limited(settings.limit), settings.seeds
    train, test = load_digits(data_dir, train=True), load_digits(data_dir, train=False)
    basis, about, notes = None, {"": "the model's own encoder"}, dict(NOTES)
    if model is None:
        model = load_face_model(bundled_digits_model_path())
        others, basis = {"clean_encoder": load_clean_digits(model)}, _bundled_basis()
        about, notes = BUNDLED_ENCODERS, {"model": BUNDLED_NOTE, **NOTES}
    elif others is None:
        others = other_encoders(settings.encoders, model)
    about |= {key: key.replace("_", " ") for key in others if key not in about}
    classifier = classifier or load_digit_classifier()
    side, known = test.pictures.shape[-1], train[: sizes.codes]
    with torch.inference_mode():
        progress("codes of training digits", 0, 1 + len(others))
        setup = prepare(MeasuredModel(model, classifier, side), known, basis, sizes.draws)
        result, chosen = _figures(setup, train, test, seeds, sizes, progress)
        for number, (key, each) in enumerate(others.items()):
            progress("codes of training digits", 1 + number, 1 + len(others))
            other = prepare(MeasuredModel(each, classifier, side), known, basis, sizes.draws)
            result |= _other_figures(other, train, test, seeds, sizes, progress, key)
        labels, size = setup.bases[OURS].labels, math.prod(model.space.shape)
        result["claims"] = claims(result, labels, size)
        if settings.pictures is not None:
            progress("draw", 0, 1)
            draw_pictures(settings.pictures, setup, test, result, chosen)
    return {
        **result,
        "counts": {**vars(sizes), "denoise": vars(sizes.denoise), "clean": vars(sizes.clean)},
        "seeds": list(seeds),
        "basis_used": setup.name,
        "encoders": about,
        "notes": notes,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _bundled_basis() -> LatentBasis:
    return load_basis(bundled_basis_path("digits"))


def other_encoders(path: Path | None, model: FaceModel) -> dict[str, FaceModel]:
    """The encoders of a file that are not the model's own, by key, see `load_gan_encoders`."""
    if path is None:
        return {}
    found = load_gan_encoders(path, model)
    return {f"{name}_encoder": each.model for name, each in found.items() if name != MAIN}


def _figures(
    setup: Setup,
    train: Digits,
    test: Digits,
    seeds: Sequence[int],
    sizes: Sizes,
    progress: Progress,
) -> tuple[dict[str, Any], dict[Noise, dict[str, Method]]]:
    codes = setup.model.encode(test[: sizes.readings].pictures)
    facts, read = _basis_facts(setup, codes), _readings(setup, test, codes)
    found, chosen = denoise(
        setup,
        _last(train, sizes.denoise.tune),
        test,
        seeds=seeds,
        counts=sizes.denoise,
        progress=progress,
    )
    turned = rotation(
        setup, test, per_label=sizes.per_label, per_path=sizes.per_path, progress=progress
    )
    return {"basis": facts, "readings": read, **found, "rotation": turned}, chosen


def _other_figures(
    setup: Setup,
    train: Digits,
    test: Digits,
    seeds: Sequence[int],
    sizes: Sizes,
    progress: Progress,
    key: str,
) -> dict[str, Any]:
    def told(stage: str, done: int, total: int) -> None:
        progress(f"{stage}, {key.replace('_', ' ')}", done, total)

    tune = _last(train, sizes.clean.tune)
    found, _ = denoise(
        setup, tune, test, seeds=seeds, counts=sizes.clean, brief=True, progress=told
    )
    codes = setup.model.encode(test[: sizes.readings].pictures)
    turned = rotation(
        setup, test, per_label=sizes.per_label, per_path=sizes.per_path, progress=told
    )
    return {
        f"readings_{key}": _readings(setup, test, codes),
        f"denoise_{key}": found["denoise"],
        f"rotation_{key}": turned,
    }


def _basis_facts(setup: Setup, codes: Tensor) -> dict[str, Any]:
    """Facts of every basis; label vectors are decoded as long as codes are, the paper's sqrt(d)."""
    mean = setup.bases[OURS].mean
    length = float((codes if mean is None else codes - mean).norm(dim=1).median())
    lengths = {PAPER: math.sqrt(codes.shape[1]), OURS: length, OURS_RANDOM: length}
    return side_by_side(
        {
            side: basis_facts(setup.bases[side], setup.model, codes[:FACT_CODES], lengths[side])
            for side in SIDES
        }
    )


def _readings(setup: Setup, test: Digits, codes: Tensor) -> dict[str, Any]:
    labels = test.labels[: len(codes)]
    return side_by_side({side: readings(setup.bases[side], codes, labels) for side in SIDES})


def _last(train: Digits, count: int) -> Digits:
    """The last training digits: the first ones gave the bases."""
    return train[slice(len(train) - min(count, len(train)), len(train))]

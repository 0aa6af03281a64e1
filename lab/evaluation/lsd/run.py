"""Evaluating latent spectral decomposition on digits: basis, readings, denoising, rotation."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import nn

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel, bundled_digits_model_path, load_face_model
from ....models.spectral.basis import LatentBasis
from ....models.spectral.basis_file import bundled_basis_path, load_basis
from ..digits.encoders import load_clean_digits
from ..digits.judge import load_digit_judge
from .basis import basis_facts, readings, side_by_side
from .bench import Bench, Digits, Progress, load_digits
from .claims import claims
from .denoise import denoise
from .figures import draw_figures
from .filters import require_skimage
from .noise import Noise
from .rotation import rotation
from .scene import Scene, Sizes, prepare
from .settings import OURS, OURS_RANDOM, PAPER
from .tuning import Tuned

SIDES = (PAPER, OURS, OURS_RANDOM)
FACT_CODES = 1000  # test codes that are decomposed and put together again
NOTES = {
    "judge": "a classifier that took no part in training the model; it labels decodes for the "
    "paper's construction and measures every accuracy",
    "model": "the bundled digits model was trained with labels, which shaped its code space; the "
    "paper's GAN was not. High readings say that a basis finds the label directions of this space, "
    "not that every space has them",
    "paper": "eta_1..K: mean codes of training digits by the judge's label of their decode; the "
    "others: class means of z ~ N(0, I) by the label of their decode; modified Gram-Schmidt in "
    "that order; nothing centred. Two things differ from the paper: its encoder is stochastic, and "
    "N(0, I) is the prior of its GAN, while the codes of the bundled model are ten Gaussians",
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


@dataclass(frozen=True)
class LsdEvaluation:
    """How many digits are measured, and how often."""

    seeds: Annotated[tuple[int, ...], "of noise, digits and random bases"] = (0, 1, 2)
    limit: Annotated[int | None, "at most so many digits in every part; null: see `Sizes`"] = None
    pictures: Annotated[Path | None, "folder for the figures as PNG"] = None


def evaluate_lsd(
    data_dir: str | Path,
    settings: LsdEvaluation,
    *,
    model: FaceModel | None = None,
    clean: FaceModel | None = None,
    basis: LatentBasis | None = None,
    judge: nn.Module | None = None,
    sizes: Sizes | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure latent spectral decomposition on MNIST, the paper's construction beside ours.

    Args:
        data_dir: folder of the digits, see `load_digits`; nothing is downloaded.
        settings: see there.
        model: None takes the bundled digits model, whose encoder was trained on damaged digits.
        clean: the same model with an encoder trained on clean digits only; None takes the bundled
            one where `model` is None too, else leaves that part out.
        basis: None takes the bundled basis where `model` is None too, else builds one.
        judge: the held-out classifier `(B, 1, S, S)` to logits; None takes the bundled one.
        sizes: how many digits each part uses.
        progress: called with (stage, done, total).

    Returns:
        `basis` and `readings`, each figure for `paper`, `ours` and `ours_random` (the label vectors
        of ours, completed at random: some readings depend on the completion); `denoise` with its
        companions (see `denoise`), `rotation` (see `rotation`), `claims`, `counts`, `notes`,
        `seconds`; with a clean encoder also `readings_clean_encoder` and `denoise_clean_encoder`.

    Raises:
        FaceLatentsError: no digits, no scikit-image, no seeds, or a basis of another model.
    """
    started = time.perf_counter()
    require_skimage()
    seeds = settings.seeds
    if not seeds:
        raise FaceLatentsError("At least one seed is needed, for example seeds=[0,1,2].")
    sizes = (sizes or Sizes()).limited(settings.limit)
    train, test = load_digits(data_dir, train=True), load_digits(data_dir, train=False)
    if model is None:
        model, clean, basis = _bundled(clean, basis)
    judge = judge or load_digit_judge()
    with torch.inference_mode():
        scene = prepare(Bench(model, judge), train, basis, sizes, progress)
        result, chosen = _of_scene(scene, train, test, seeds, sizes, progress)
        if clean is not None:
            other = prepare(Bench(clean, judge), train, basis, sizes, progress)
            result.update(_of_clean(other, train, test, seeds, sizes, progress))
        result["claims"] = claims(result, scene.bases[OURS].labels, model.space.shape[0])
        if settings.pictures is not None:
            progress("draw", 0, 1)
            draw_figures(settings.pictures, scene, test, result, chosen)
    return {
        **result,
        "counts": {**vars(sizes), "denoise": vars(sizes.denoise), "clean": vars(sizes.clean)},
        "seeds": list(seeds),
        "basis_used": scene.name,
        "notes": NOTES,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _of_scene(
    scene: Scene,
    train: Digits,
    test: Digits,
    seeds: Sequence[int],
    sizes: Sizes,
    progress: Progress,
) -> tuple[dict[str, object], dict[Noise, dict[str, Tuned]]]:
    read = test[: sizes.readings]
    progress("readings", 0, 1)
    codes = scene.bench.encode(read.pictures)
    ours = scene.bases[OURS]
    offset = codes if ours.mean is None else codes - ours.mean
    length = float(offset.norm(dim=1).median())
    lengths = {PAPER: math.sqrt(codes.shape[1]), OURS: length, OURS_RANDOM: length}
    facts = {
        side: basis_facts(scene.bases[side], scene.bench, codes[:FACT_CODES], lengths[side])
        for side in SIDES
    }
    found, chosen = denoise(
        scene.bench,
        scene.bases,
        _last(train, sizes.denoise.tune),
        test,
        seeds=seeds,
        counts=sizes.denoise,
        progress=progress,
    )
    turned = rotation(
        scene.bench,
        scene.bases,
        scene.means,
        test,
        per_label=sizes.per_label,
        per_path=sizes.per_path,
        progress=progress,
    )
    result = {
        "basis": side_by_side(facts),
        "readings": _readings(scene, read, codes),
        **found,
        "rotation": turned,
    }
    return result, chosen


def _of_clean(
    scene: Scene,
    train: Digits,
    test: Digits,
    seeds: Sequence[int],
    sizes: Sizes,
    progress: Progress,
) -> dict[str, object]:
    read = test[: sizes.readings]
    found, _ = denoise(
        scene.bench,
        scene.bases,
        _last(train, sizes.clean.tune),
        test,
        seeds=seeds,
        counts=sizes.clean,
        brief=True,
        progress=lambda stage, done, total: progress(f"{stage}, clean encoder", done, total),
    )
    return {
        "readings_clean_encoder": _readings(scene, read, scene.bench.encode(read.pictures)),
        "denoise_clean_encoder": found["denoise"],
    }


def _readings(scene: Scene, digits: Digits, codes: torch.Tensor) -> dict[str, dict[str, object]]:
    sides = {}
    for side in SIDES:
        basis = scene.bases[side]
        sides[side] = readings(basis.coefficients(codes), digits.labels, basis.labels, basis.signed)
    return side_by_side(sides)


def _bundled(
    clean: FaceModel | None, basis: LatentBasis | None
) -> tuple[FaceModel, FaceModel, LatentBasis]:
    """The bundled digits model with its basis and its clean encoder, unless others are given."""
    model = load_face_model(bundled_digits_model_path())
    return (
        model,
        clean or load_clean_digits(model),
        basis or load_basis(bundled_basis_path("digits")),
    )


def _last(train: Digits, count: int) -> Digits:
    """The last training digits: the first ones gave the bases."""
    return train[slice(len(train) - min(count, len(train)), len(train))]

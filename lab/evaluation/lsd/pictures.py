"""The evaluation of latent spectral decomposition as pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ....latent_ops import rotate
from ....models.charts import bar_chart, line_chart, picture_grid
from .bases import OURS, PAPER, Setup
from .methods import Method
from .model import Digits, balanced
from .noise import NOISES, Noise
from .readings import signed_codes

THEME = "light"
CELL = 56  # pixels: every pixel of a digit becomes 2 x 2
SPECTRA = 3  # digits
SEED = 0
NAMES = {  # short enough for a legend, unlike those of the report
    "noisy": "damaged",
    "median": "median",
    "total_variation": "total variation",
    "non_local_means": "non-local means",
    "decode": "plain decode",
    "pca_top_k": "PCA, equal k",
    "random_top_k": "random, equal k",
    "pca_leading_k": "PCA, first k",
    "pca_best_k": "PCA, best k",
    "random_best_k": "random, best k",
    "paper_top_k": "paper",
    "lsd": "LSD",
    "lsd_one_setting": "LSD, one setting",
}
# seven curves can be told apart; total variation, close to non-local means, is in the tables
CURVES = ("noisy", "median", "non_local_means", "decode", "pca_top_k", "random_top_k", "lsd")


def draw_pictures(
    folder: Path,
    setup: Setup,
    digits: Digits,
    figures: Mapping[str, Any],
    chosen: Mapping[Noise, Mapping[str, Method]],
) -> None:
    """Write the figures of `evaluate_lsd` as PNG.

    Args:
        folder: made where missing.
        setup: what was measured.
        digits: test digits; the first of every label is shown.
        figures: the result of the evaluation.
        chosen: every method with its setting, by noise.
    """
    shown = digits[balanced(digits.labels, 1, setup.bases[OURS].labels)]
    pictures = {
        "spectra": spectra(setup, shown[:SPECTRA]),
        "one_to_one": one_to_one(setup),
        "rank_curves": rank_curves(figures["readings"]["rank_cumulative"]),
        "rotation_grid": rotation_grid(setup, shown),
        "rotation_paths": rotation_paths(setup, shown),
    }
    for measure, title in (("accuracy", "accuracy"), ("psnr", "PSNR in dB"), ("ssim", "SSIM")):
        pictures[f"gaussian_{measure}"] = sigma_curves(figures["denoise"], measure, title)
    for noise, methods in chosen.items():
        name = f"denoise_{noise.kind}_{noise.level.rstrip('%')}"
        pictures[name] = denoise_grid(setup, shown, noise, methods)
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.save(folder / f"{name}.png")


def spectra(setup: Setup, digits: Digits) -> Image.Image:
    """Coefficients of some digits, clean and with Gaussian noise of sigma 0.5, as bars."""
    basis = setup.bases[OURS]
    names = [str(i) if i < basis.labels else f"axis {i + 1}" for i in range(len(basis.vectors))]
    noise = next(n for n in NOISES if (n.kind, n.level) == ("gaussian", "0.5"))
    rows = []
    for kind, pictures in (("clean", digits.pictures), ("sigma 0.5", noise(digits.pictures, SEED))):
        found = basis.coefficients(setup.model.encode(pictures)).tolist()
        titles = [f"A {label}, {kind}: coefficients" for label in digits.labels.tolist()]
        marked = range(basis.labels)
        rows.append(
            [
                bar_chart(coefficients, names, title, highlight=marked, theme=THEME)
                for coefficients, title in zip(found, titles, strict=True)
            ]
        )
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)))
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet.paste(picture, (c * width, r * height))
    return sheet


def one_to_one(setup: Setup) -> Image.Image:
    """Decodes of plus and minus every label vector, ours and the paper's."""
    rows = {}
    for side in (OURS, PAPER):
        basis = setup.bases[side]
        decoded = setup.model.decode(signed_codes(basis, math.sqrt(basis.vectors.shape[1])))
        rows[f"{side} +"], rows[f"{side} -"] = decoded.chunk(2)
    columns = [str(label) for label in range(setup.bases[OURS].labels)]
    return _grid(rows, columns, "Label vectors, decoded")


def rank_curves(curves: Mapping[str, Sequence[float]]) -> Image.Image:
    """Share of digits whose label is among the r largest coefficients, the first 20 ranks."""
    series = {
        side.replace("_", ", "): (range(1, len(curve[:20]) + 1), curve[:20])
        for side, curve in curves.items()
    }
    title = "Rank of the label's coefficient"
    return line_chart(series, title, "among the r largest of all", "share of digits", theme=THEME)


def rotation_grid(setup: Setup, digits: Digits) -> Image.Image:
    """One digit of every label (rows), rotated by 90 degrees to every label (columns)."""
    labels = range(setup.bases[OURS].labels)
    rows = {}
    for source, code in enumerate(setup.model.encode(digits.pictures)):
        codes = [_rotated(setup, code, source, target, math.pi / 2) for target in labels]
        decoded = setup.model.decode(torch.stack(codes))
        rows[str(source)] = torch.cat([digits.pictures[source : source + 1], decoded])
    columns = ["digit", *(f"to {label}" for label in labels)]
    return _grid(rows, columns, "Rotation by 90 degrees (diagonal: plain decode)")


def rotation_paths(setup: Setup, digits: Digits) -> Image.Image:
    """Every digit on its way to the next one in steps of 15 degrees."""
    angles = range(0, 91, 15)
    rows = {}
    for source, code in enumerate(setup.model.encode(digits.pictures)):
        target = (source + 1) % setup.bases[OURS].labels
        codes = [_rotated(setup, code, source, target, math.radians(angle)) for angle in angles]
        rows[f"{source} to {target}"] = setup.model.decode(torch.stack(codes))
    return _grid(rows, [f"{angle} deg" for angle in angles], "Rotation in steps")


def denoise_grid(
    setup: Setup, digits: Digits, noise: Noise, methods: Mapping[str, Method]
) -> Image.Image:
    """Digits, damaged and denoised by every method (rows)."""
    damaged, bases = noise(digits.pictures, SEED), setup.with_random(SEED)
    codes = setup.model.encode(damaged)
    rows = {"clean": digits.pictures}
    for name, method in methods.items():
        rows[NAMES[name]] = method.denoise(setup.model, damaged, codes, bases)
    title = f"{noise.kind.replace('_', ' ').capitalize()} {noise.level}; {methods['lsd'].text}"
    return _grid(rows, [], title)


def sigma_curves(denoised: Mapping[str, Any], measure: str, title: str) -> Image.Image:
    """A measure of the methods against the strength of Gaussian noise."""
    levels = denoised["gaussian"]
    sigmas = [float(level) for level in levels]
    series = {
        NAMES[name]: (sigmas, [methods[name][measure] for methods in levels.values()])
        for name in CURVES
    }
    title, x = f"Gaussian noise: {title}", "sigma of the noise"
    return line_chart(series, title, x, title.partition(": ")[2], theme=THEME)


def _rotated(setup: Setup, code: Tensor, source: int, target: int, angle: float) -> Tensor:
    basis = setup.bases[OURS]
    if source == target:
        return code
    return rotate(code, basis.vectors[source], basis.vectors[target], angle, basis.mean)


def _grid(rows: Mapping[str, Tensor], columns: Sequence[str], title: str) -> Image.Image:
    """Rows of grey pictures by name."""
    pictures = [row.expand(-1, 3, -1, -1) for row in rows.values()]
    return picture_grid(pictures, list(rows), columns, title, theme=THEME, cell=CELL)

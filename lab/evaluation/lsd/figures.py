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
from .basis import random_basis, signed_codes
from .bench import Digits, balanced
from .noise import NOISES, Noise
from .scene import Scene
from .settings import OURS, PAPER, RANDOM
from .tuning import Tuned

THEME = "light"
CELL = 56  # pixels: every pixel of a digit becomes 2 x 2
SPECTRA = 3  # digits
SEED = 0
NAMES = {
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


def draw_figures(
    folder: Path,
    scene: Scene,
    digits: Digits,
    figures: Mapping[str, Any],
    chosen: Mapping[Noise, Mapping[str, Tuned]],
) -> list[Path]:
    """Write the figures of `evaluate_lsd` as PNG.

    Args:
        folder: made where missing.
        scene: what was measured.
        digits: test digits; the first of every label is shown.
        figures: the result of the evaluation.
        chosen: every method with its setting, by noise.

    Returns:
        The files written.
    """
    labels = scene.bases[OURS].labels
    shown = digits[balanced(digits.labels, 1, labels)]
    drawn = {
        "spectra": spectra(scene, shown[:SPECTRA]),
        "one_to_one": one_to_one(scene),
        "rank_curves": rank_curves(figures["readings"]["rank_cumulative"]),
        "rotation_grid": rotation_grid(scene, shown),
        "rotation_paths": rotation_paths(scene, shown),
    }
    for measure, name in (("accuracy", "accuracy"), ("psnr", "PSNR in dB"), ("ssim", "SSIM")):
        curves = _against_sigma(figures["denoise"].get("gaussian", {}), measure)
        if curves:
            drawn[f"gaussian_{measure}"] = line_chart(
                curves, f"Gaussian noise: {name}", "sigma of the noise", name, theme=THEME
            )
    for noise, methods in chosen.items():
        drawn[f"denoise_{noise.kind}_{noise.level.rstrip('%')}"] = denoise_grid(
            scene, shown, noise, methods
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.png" for name in drawn]
    for file, picture in zip(files, drawn.values(), strict=True):
        picture.save(file)
    return files


def spectra(scene: Scene, digits: Digits) -> Image.Image:
    """Coefficients of some digits, clean and with Gaussian noise of sigma 0.5, as bars."""
    basis = scene.bases[OURS]
    names = [str(i) if i < basis.labels else f"axis {i + 1}" for i in range(len(basis.vectors))]
    noise = next(n for n in NOISES if (n.kind, n.level) == ("gaussian", "0.5"))
    rows = []
    for title, pictures in (
        ("clean", digits.pictures),
        ("sigma 0.5", noise(digits.pictures, SEED)),
    ):
        found = basis.coefficients(scene.bench.encode(pictures))
        rows.append(
            [
                bar_chart(
                    one.tolist(),
                    names,
                    f"A {label}, {title}: coefficients",
                    highlight=range(basis.labels),
                    theme=THEME,
                )
                for one, label in zip(found, digits.labels.tolist(), strict=True)
            ]
        )
    return _tiled(rows)


def one_to_one(scene: Scene) -> Image.Image:
    """Decodes of plus and minus every label vector, ours and the paper's."""
    rows, names = [], []
    for side in (OURS, PAPER):
        basis = scene.bases[side]
        codes = signed_codes(basis, math.sqrt(basis.vectors.shape[1]))
        for sign, part in zip("+-", scene.bench.decode(codes).chunk(2), strict=True):
            rows.append(_grey(part))
            names.append(f"{side} {sign}")
    columns = [str(label) for label in range(scene.bases[OURS].labels)]
    return picture_grid(rows, names, columns, "Label vectors, decoded", theme=THEME, cell=CELL)


def rank_curves(curves: Mapping[str, Sequence[float]]) -> Image.Image:
    """Share of digits whose label is among the r largest coefficients, the first 20 ranks."""
    series = {
        side.replace("_", ", "): (range(1, len(curve[:20]) + 1), curve[:20])
        for side, curve in curves.items()
    }
    return line_chart(
        series,
        "Rank of the label's coefficient",
        "among the r largest of all",
        "share of digits",
        theme=THEME,
    )


def rotation_grid(scene: Scene, digits: Digits) -> Image.Image:
    """One digit of every label (rows), rotated by 90 degrees to every label (columns)."""
    basis = scene.bases[OURS]
    codes = scene.bench.encode(digits.pictures)
    rows = []
    for source, code in enumerate(codes):
        turned = [
            code
            if source == target
            else rotate(code, basis.vectors[source], basis.vectors[target], math.pi / 2, basis.mean)
            for target in range(basis.labels)
        ]
        decoded = scene.bench.decode(torch.stack(turned))
        rows.append(_grey(torch.cat([digits.pictures[source : source + 1], decoded])))
    names = [str(label) for label in digits.labels.tolist()]
    return picture_grid(
        rows,
        names,
        ["digit", *(f"to {name}" for name in names)],
        "Rotation by 90 degrees (diagonal: plain decode)",
        theme=THEME,
        cell=CELL,
    )


def rotation_paths(scene: Scene, digits: Digits) -> Image.Image:
    """Every digit on its way to the next one in steps of 15 degrees."""
    basis = scene.bases[OURS]
    codes = scene.bench.encode(digits.pictures)
    angles = torch.arange(0, 91, 15)
    rows, names = [], []
    for source, code in enumerate(codes):
        target = (source + 1) % basis.labels
        path = rotate(
            code.expand(len(angles), -1),
            basis.vectors[source],
            basis.vectors[target],
            torch.deg2rad(angles.float()),
            basis.mean,
        )
        rows.append(_grey(scene.bench.decode(path)))
        names.append(f"{source} to {target}")
    columns = [f"{angle} deg" for angle in angles.tolist()]
    return picture_grid(rows, names, columns, "Rotation in steps", theme=THEME, cell=CELL)


def denoise_grid(
    scene: Scene, digits: Digits, noise: Noise, methods: Mapping[str, Tuned]
) -> Image.Image:
    """Digits, damaged and denoised by every method (rows)."""
    damaged = noise(digits.pictures, SEED)
    codes = scene.bench.encode(damaged)
    bases = {**scene.bases, RANDOM: random_basis(scene.bases[OURS], SEED)}
    rows = {"clean": digits.pictures}
    for name, tuned in methods.items():
        rows[NAMES[name]] = tuned.apply(scene.bench, damaged, codes, bases)
    title = f"{noise.kind.replace('_', ' ').capitalize()} {noise.level}; {methods['lsd'].text}"
    return picture_grid(
        [_grey(row) for row in rows.values()], list(rows), [], title, theme=THEME, cell=CELL
    )


def _against_sigma(
    levels: Mapping[str, Mapping[str, Any]], measure: str
) -> dict[str, tuple[list[float], list[float]]]:
    sigmas = [float(level) for level in levels]
    return {
        NAMES[name]: (sigmas, [methods[name][measure] for methods in levels.values()])
        for name in CURVES
        if levels and all(name in methods for methods in levels.values())
    }


def _grey(pictures: Tensor) -> Tensor:
    return pictures.expand(-1, 3, -1, -1)


def _tiled(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)))
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            sheet.paste(picture, (c * width, r * height))
    return sheet

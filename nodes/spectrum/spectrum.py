"""LSD Spectrum: the coefficients of codes, drawn and as text."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from ... import latent_ops
from ...models.charts import bar_chart
from ...models.errors import FaceLatentsError
from ...models.spectral.basis import LatentBasis
from ...models.values import FaceLatent
from .. import validate, widgets
from ..draw import Chart, preview, stack_charts
from ..registry import node
from .common import Spectra, join_basis

PER_FACE, SHEET = LAYOUTS = ("one picture per face", "one sheet")
MOST_FACES = 64
_COLUMNS = 3  # of a sheet
_SIZE, _SMALL = (768, 480), (512, 320)


@node("FaceLatentsLSDSpectrum", "LSD Spectrum", widgets.SPECTRUM)
class LSDSpectrum(Chart):
    """Draws how much of each basis vector a code holds: first the labels, then the other vectors.
    Shows the picture on the node. For digits the predicted label is marked; face attributes are
    read as a signed scale.
    """

    ALIASES = "lsd, coefficients, plot, bar chart, classify, quasi-eigenvectors"
    OUTPUTS = {
        "image": ("IMAGE", "The spectra as pictures."),
        "text": ("STRING", "Coefficients of the labels and share of energy, as text."),
        "label": (
            "STRING",
            "The label of each face, one per line: the one with the largest coefficient.",
        ),
    }
    INPUTS = {
        "face_latent": widgets.faces("The codes to look into."),
        "basis": widgets.basis(),
        "show": widgets.integer(
            (24, 0, 1024), "How many vectors to draw, labels first; 0 draws the labels only."
        ),
        "layout": widgets.choice(LAYOUTS, "A picture for each face, or all of them on one sheet."),
    }
    OPTIONAL = {"theme": widgets.theme()}

    def execute(
        self, face_latent: FaceLatent, basis: LatentBasis, show: int, layout: str, theme: str
    ) -> dict[str, Any]:
        given = join_basis(face_latent, basis, "LSD Spectrum")
        if len(given.latent) > MOST_FACES:
            raise FaceLatentsError(
                f"LSD Spectrum draws up to {MOST_FACES} faces; this batch has "
                f"{len(given.latent)}. Select fewer."
            )
        with validate.explain_errors("LSD Spectrum"):
            coefficients = given.coefficients()
            found = latent_ops.classify(coefficients, len(given.basis.labels)).tolist()
        coefficients = coefficients.double().cpu()
        small = layout == SHEET and len(given.latent) > 1
        size = _SMALL if small else _SIZE
        charts = [
            _chart(given.basis, row.tolist(), label, number, show, theme, size)
            for number, (row, label) in enumerate(zip(coefficients, found, strict=True))
        ]
        images = stack_charts(*([_arrange(charts)] if small else charts))
        labels = "\n".join(given.basis.labels[index] for index in found)
        text = _describe(given, coefficients, found)
        return {"ui": preview(images, "face_latents_spectrum"), "result": (images, text, labels)}


def _chart(
    basis: LatentBasis,
    values: list[float],
    label: int,
    number: int,
    bars: int,
    theme: str,
    size: tuple[int, int],
) -> Image.Image:
    count = len(basis.labels)
    shown = min(max(count, bars), len(values))
    names = [basis.vector_name(index) for index in range(shown)]
    title = f"face {number + 1}"
    if basis.exclusive:
        title += f": label {basis.labels[label]}"
    marked = range(count)
    return bar_chart(values[:shown], names, title, highlight=marked, theme=theme, size=size)


def _arrange(charts: list[Image.Image]) -> Image.Image:
    """All charts in rows; the free places have the charts' own background."""
    width, height = charts[0].size
    columns = min(_COLUMNS, len(charts))
    rows = -(-len(charts) // columns)
    background = charts[0].getpixel((0, 0))
    sheet = Image.new("RGB", (columns * width, rows * height), background)
    for index, chart in enumerate(charts):
        sheet.paste(chart, (index % columns * width, index // columns * height))
    return sheet


def _describe(given: Spectra, coefficients: torch.Tensor, found: list[int]) -> str:
    basis = given.basis
    count = len(basis.labels)
    codes = given.latent.samples.double().cpu()
    offset = codes if basis.mean is None else codes - basis.mean.double().cpu()
    energy = offset.flatten(1).square().sum(1).clamp(min=1e-30)
    in_labels = coefficients[:, :count].square().sum(1) / energy
    in_basis = coefficients.square().sum(1) / energy
    blocks = []
    for number, row in enumerate(coefficients):
        title = f"face {number + 1}"
        if basis.exclusive:
            title += f": label {basis.labels[found[number]]}"
        lines = [f"{title}; {in_labels[number]:.1%} of the energy is in the labels"]
        if not basis.complete:
            lines[0] += f", {in_basis[number]:.1%} in the basis"
        lines += [
            f"  {label}: {value:+.3f}"
            for label, value in zip(basis.labels, row.tolist(), strict=False)
        ]
        blocks.append("\n".join(lines))
    return "\n".join(blocks)

"""Pictures that show how the digits model's training went."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ....latent_ops import quasi_eigenvectors, rotate
from ....models.charts import line_chart, picture_grid
from ....models.face_model import FaceModel
from ...data.digits import damaged

_CURVES = ("rebuild", "style", "read", "cycle", "critic")
_SHOWN = 12


def draw_curve(table: Path, picture: Path) -> None:
    """The generator's losses over its steps, as powers of ten."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "generator"]
    if len(rows) < 2:
        return
    steps = [float(row["step"]) for row in rows]
    series = {
        name: (steps, [math.log10(max(float(row[name]), 1e-4)) for row in rows]) for name in _CURVES
    }
    line_chart(series, "Digits model: losses", "step", "log10", theme="light").save(picture)


def draw_digits(model: FaceModel, pictures: Tensor, labels: Tensor, seed: int = 0) -> Image.Image:
    """A sheet: digits and their decodes, random digits, turns by 90 degrees, damaged digits.

    Args:
        model: the digits model.
        pictures: (N, 1, 28, 28) uint8, every digit among them, N >= 12.
        labels: (N,) int64.
    """
    generator = torch.Generator().manual_seed(seed)
    clean = (pictures.float() / 255).expand(-1, 3, -1, -1)
    codes = model.encode(clean).cpu()
    means = torch.stack([codes[labels == k].mean(0) for k in range(10)])
    axes = quasi_eigenvectors(means)
    shown, source, first = codes[:_SHOWN], labels[:_SHOWN], clean[:_SHOWN]
    rows = [first, model.decode(shown), model.decode(model.sample(_SHOWN, seed))]
    names = ["digits", "decoded", "random"]
    for shift in (1, 3, 5, 7):
        target = (source + shift) % 10
        turned = torch.cat(
            [
                rotate(code[None], axes[a], axes[b], math.pi / 2)
                for code, a, b in zip(shown, source.tolist(), target.tolist(), strict=True)
            ]
        )
        rows.append(model.decode(turned))
        names.append(f"label + {shift}")
    for code, a in zip(shown[:4], source.tolist(), strict=False):
        path = [
            rotate(code[None], axes[a], axes[(a + 4) % 10], math.radians(90 * i / (_SHOWN - 1)))
            for i in range(_SHOWN)
        ]
        rows.append(model.decode(torch.cat(path)))
        names.append("turning")
    for sigma in (0.5, 1.0):
        noisy = first[:, :1] + sigma * torch.randn(first[:, :1].shape, generator=generator)
        noisy = noisy.clamp(0, 1).expand(-1, 3, -1, -1)
        rows += [noisy, model.decode(model.encode(noisy).cpu())]
        names += [f"noise {sigma}", "decoded"]
    hurt = damaged(first[:, :1], generator).clamp(0, 1).expand(-1, 3, -1, -1)
    rows += [hurt, model.decode(model.encode(hurt).cpu())]
    names += ["damaged", "decoded"]
    return picture_grid([row.cpu() for row in rows], names, [], "Digits model", cell=56)

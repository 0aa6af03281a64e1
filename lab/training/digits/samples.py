"""A sheet of pictures that shows what the digits model has learnt."""

from __future__ import annotations

import math

import torch
from PIL import Image
from torch import Tensor

from ....latent_ops import quasi_eigenvectors, rotate
from ....models.charts import picture_grid
from ....models.face_model import FaceModel
from ...data.digits import damage_pictures

_SHOWN = 12


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
    hurt = damage_pictures(first[:, :1], generator).clamp(0, 1).expand(-1, 3, -1, -1)
    rows += [hurt, model.decode(model.encode(hurt).cpu())]
    names += ["damaged", "decoded"]
    return picture_grid([row.cpu() for row in rows], names, [], "Digits model", cell=56)

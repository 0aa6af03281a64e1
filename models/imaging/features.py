"""Fixed, untrained descriptors of what pictures show."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .light import luminance

SIDE = 128  # pixels that pictures are shrunk to: finer ones tell no more


def gradient_descriptor(crops: Tensor, cell: int = 8, bins: int = 8) -> Tensor:
    """Histograms of gradient orientation in cells, normalised (after Dalal & Triggs 2005).

    Fixed and untrained, so nothing here can have been fitted to please it. Shape
    `(B, bins * (S / cell)^2)`, unit length.
    """
    gray = F.avg_pool2d(luminance(crops.clamp(0, 1)), 2)
    across = F.pad(gray, (1, 1, 0, 0), mode="replicate")
    down = F.pad(gray, (0, 0, 1, 1), mode="replicate")
    dx, dy = across[..., 2:] - across[..., :-2], down[:, :, 2:] - down[:, :, :-2]
    angle = torch.atan2(dy, dx)
    strength = (dx.square() + dy.square() + 1e-12).sqrt()
    place = angle / (2 * math.pi) * bins
    layers = []
    for b in range(bins):
        away = (place - b + bins / 2) % bins - bins / 2
        layers.append(strength * (1 - away.abs()).clamp(min=0))
    cells = F.avg_pool2d(torch.cat(layers, 1), cell, stride=cell // 2)
    local = cells / (cells.square().sum(1, keepdim=True) + 1e-5).sqrt()
    return F.normalize(local.flatten(1), dim=1)


def features(crops: Tensor) -> Tensor:
    """What pictures show, `(B, F)`: gradient histograms, coarse luminance and colour; untrained."""
    crops = crops.clamp(0, 1)
    if crops.shape[-1] > SIDE:
        crops = F.interpolate(crops, size=(SIDE, SIDE), mode="area")
    small = F.interpolate(crops, size=(16, 16), mode="area")
    light = luminance(small)
    light = light - light.mean((2, 3), keepdim=True)
    light = light / (light.square().mean((2, 3), keepdim=True).sqrt() + 0.02)
    colour = F.avg_pool2d(small, 2)
    colour = colour[:, [0, 2]] - colour[:, 1:2]
    return torch.cat([30 * gradient_descriptor(crops), light.flatten(1), colour.flatten(1)], 1)

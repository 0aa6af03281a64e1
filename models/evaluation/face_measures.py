"""Measures of faces: fidelity, sharpness, and fixed descriptors that tell people apart."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..light import luminance


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair in dB, `(B,)`, peak 1; 99 for equal pictures."""
    error = (a.double() - b.double()).square().mean((1, 2, 3))
    return (-10 * error.clamp(min=10**-9.9).log10()).float()


def sharpness(crops: Tensor) -> Tensor:
    """Variance of the 4-neighbour Laplacian of 8-bit luminance, `(B,)`."""
    kernel = crops.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    response = F.conv2d(luminance(crops.clamp(0, 1)) * 255, kernel[None, None])
    return response.flatten(1).var(1)


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
    small = F.interpolate(crops, size=(16, 16), mode="area")
    light = luminance(small)
    light = light - light.mean((2, 3), keepdim=True)
    light = light / (light.square().mean((2, 3), keepdim=True).sqrt() + 0.02)
    colour = F.avg_pool2d(small, 2)
    colour = colour[:, [0, 2]] - colour[:, 1:2]
    return torch.cat([30 * gradient_descriptor(crops), light.flatten(1), colour.flatten(1)], 1)


def own_percentile(edited: Tensor, originals: Tensor) -> Tensor:
    """How surely each edited face is still itself: `(N,)` in [0, 1].

    Args:
        edited: descriptors `(N, D)` of the edited faces.
        originals: descriptors `(N, D)` of the same people unedited, in the same order.

    Returns:
        The share of the other people who are farther from the edited face than its own original.
    """
    distance = torch.cdist(edited, originals)
    own = distance.diagonal()[:, None]
    others = len(originals) - 1
    return (distance > own).sum(1).float() / max(others, 1)

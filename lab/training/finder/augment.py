"""Photographic defects for training pictures: light, colour, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def soft_noise(count: int, size: int, generator: torch.Generator) -> Tensor:
    """(count, 1, size, size) smooth noise in about [-1, 1], a few cells across."""
    cells = int(torch.randint(3, 9, (), generator=generator))
    coarse = torch.rand(count, 1, cells, cells, generator=generator) * 2 - 1
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)


def augment(images: Tensor, generator: torch.Generator, damage: float = 1.0) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> the same with random defects; a new tensor.

    `damage` scales how many of the pictures lose detail to blur, noise and JPEG.
    """

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(images), *shape, generator=generator)

    def some(share: float) -> Tensor:
        return torch.rand(len(images), 1, 1, 1, generator=generator) < share

    x = images.clamp(0, 1)
    x = torch.where(some(0.5), x.clamp_min(1e-4).pow(torch.exp(draw(-0.6, 0.6, 1, 1, 1))), x)
    gain = torch.where(some(0.5), draw(0.65, 1.35, 1, 1, 1), torch.tensor(1.0))
    tint = torch.where(some(0.4), draw(0.8, 1.2, 3, 1, 1), torch.tensor(1.0))
    lift = torch.where(some(0.4), draw(-0.15, 0.15, 1, 1, 1), torch.tensor(0.0))
    light = soft_noise(len(x), x.shape[-1], generator) * draw(0.0, 0.4, 1, 1, 1)
    light = torch.where(some(0.3), light, torch.tensor(0.0))
    x = x * gain * tint * (1 + light) + lift
    grey = x.mean(1, keepdim=True).expand_as(x)
    colour = torch.where(some(0.15), torch.tensor(0.0), draw(0.6, 1.25, 1, 1, 1))
    x = (grey + (x - grey) * colour).clamp(0, 1)
    x = _blur(x, generator, 0.25 * damage)
    noise = torch.randn(x.shape, generator=generator) * draw(0.0, 0.07, 1, 1, 1)
    x = torch.where(some(0.4 * damage), x + noise, x).clamp(0, 1)
    return _jpeg(x, generator, 0.2 * damage)


def _blur(x: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """A share of the batch through one Gaussian."""
    chosen = (torch.rand(len(x), generator=generator) < share).nonzero().squeeze(1)
    if not len(chosen):
        return x
    sigma = 0.4 + 1.2 * float(torch.rand((), generator=generator))
    radius = int(2 * sigma + 1)
    axis = torch.arange(-radius, radius + 1).float()
    kernel = torch.exp(-(axis**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    part = F.pad(x[chosen], (radius,) * 4, mode="replicate").flatten(0, 1).unsqueeze(1)
    part = F.conv2d(F.conv2d(part, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))
    result = x.clone()
    result[chosen] = part.reshape(len(chosen), *x.shape[1:])
    return result


def _jpeg(x: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """A share of the batch through JPEG at quality 25 to 85."""
    result = x.clone()
    for row in (torch.rand(len(x), generator=generator) < share).nonzero().squeeze(1).tolist():
        quality = int(torch.randint(25, 86, (), generator=generator))
        pixels = (x[row].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as coded:
            array = np.asarray(coded.convert("RGB")).copy()
        result[row] = torch.from_numpy(array).permute(2, 0, 1).float() / 255
    return result

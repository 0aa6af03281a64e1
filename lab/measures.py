"""Measures of faces: fidelity, sharpness, and whether an edited face is still itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.imaging.light import luminance


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair in dB, `(B,)`, peak 1; 99 for equal pictures."""
    error = (a.double() - b.double()).square().mean((1, 2, 3))
    return (-10 * error.clamp(min=10**-9.9).log10()).float()


def sharpness(crops: Tensor) -> Tensor:
    """Variance of the 4-neighbour Laplacian of 8-bit luminance, `(B,)`."""
    kernel = crops.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    response = F.conv2d(luminance(crops.clamp(0, 1)) * 255, kernel[None, None])
    return response.flatten(1).var(1)


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

"""The code space of the digits model: ten Gaussians around rotated axes, and points drawn from it.

A supervised Wasserstein autoencoder (Makhzani et al. 2015, Tolstikhin et al. 2018): the encoder's
codes are matched to this prior, so that the label is one direction of ten and the writer's style
is independent of it. All functions here work in the *frame*: label coordinates first, style after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LATENT = 100
CLASSES = 10
STYLE = LATENT - CLASSES
RADIUS = 6.0  # distance of a class's centre from the origin
STYLE_STD = (1.4, 0.4)  # of the first and of the last style axis, geometric in between
FRAME_SEED = 20


@dataclass(frozen=True, eq=False)
class Prior:
    """rotation (100, 100) orthonormal rows: 10 label axes, then 90 style axes; std (90,)."""

    rotation: Tensor
    std: Tensor

    def to_frame(self, codes: Tensor) -> Tensor:
        """(*, 100) codes -> (*, 100) frame coordinates."""
        return codes @ self.rotation.T

    def to_codes(self, frame: Tensor) -> Tensor:
        """The inverse of `to_frame`."""
        return frame @ self.rotation


def make_prior(seed: int = FRAME_SEED) -> Prior:
    """The prior with a seeded random rotation, so that no label lies on an axis of the code."""
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(LATENT, LATENT, generator=generator, dtype=torch.float64)
    rotation, triangle = torch.linalg.qr(matrix)
    rotation = rotation * triangle.diagonal().sign()
    first, last = STYLE_STD
    std = first * (last / first) ** (torch.arange(STYLE) / (STYLE - 1))
    return Prior(rotation.T.float().contiguous(), std)


def draw_points(prior: Prior, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Frame points (N, 100) of the prior for labels (N,)."""
    style = torch.randn(len(labels), STYLE, generator=generator) * prior.std
    return torch.cat([RADIUS * one_hot(labels), style], 1)


def turn_labels(frame: Tensor, source: Tensor, target: Tensor, angle: Tensor) -> Tensor:
    """Frame points (N, 100) rotated in the plane of the label axes source -> target (N,) each."""
    rows = torch.arange(len(frame))
    p, q = frame[rows, source], frame[rows, target]
    cos, sin = angle.cos(), angle.sin()
    result = frame.clone()
    result[rows, source] = cos * p - sin * q
    result[rows, target] = sin * p + cos * q
    return result


def truncate_style(frame: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """One label coordinate and a random number of the largest style coordinates, length kept."""
    keep = torch.randint(0, STYLE + 1, (len(frame), 1), generator=generator)
    style = frame[:, CLASSES:]
    order = style.abs().argsort(1, descending=True).argsort(1)
    rows = torch.arange(len(frame))
    label = one_hot(labels) * frame[rows, labels].unsqueeze(1)
    result = torch.cat([label, style * (order < keep)], 1)
    scaled: Tensor = result * (frame.norm(dim=1) / result.norm(dim=1).clamp_min(1e-6)).unsqueeze(1)
    return scaled


def one_hot(labels: Tensor) -> Tensor:
    """(N,) -> (N, 10) float."""
    return torch.nn.functional.one_hot(labels, CLASSES).float()


def style_loss(style: Tensor, std: Tensor, generator: torch.Generator) -> Tensor:
    """How far style codes are from N(0, diag(std^2)), in each class and over all.

    Sliced Wasserstein distance (Kolouri et al. 2018) along the style axes and as many random
    directions, against the expected order statistics of a normal sample (Blom 1958).

    Args:
        style: `(classes, n, 90)`, n samples of each class.
        std: `(90,)`.
    """
    white = style / std
    count = white.shape[-1]
    directions = torch.randn(count, count, generator=generator)
    directions = torch.cat([torch.eye(count), directions / directions.norm(dim=0)], 1)
    projected = white @ directions
    own = (projected.sort(1).values - quantiles(projected.shape[1])[:, None]).square().mean()
    pooled = projected.flatten(0, 1)
    whole = (pooled.sort(0).values - quantiles(len(pooled))[:, None]).square().mean()
    flat = white.flatten(0, 1)
    covariance = flat.T @ flat / len(flat)
    off = (covariance - torch.diag(covariance.diagonal())).square().sum() / count
    return own + 2 * whole + 0.5 * off


def quantiles(count: int) -> Tensor:
    """(count,) expected values of a sorted standard normal sample, nearly."""
    share = (torch.arange(1, count + 1) - 0.375) / (count + 0.25)
    return math.sqrt(2) * torch.erfinv(2 * share - 1)

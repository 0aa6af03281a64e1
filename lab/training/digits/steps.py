"""One step of each stage of the digits model's training: reader, generator, robust encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.digits import DigitEncoder, DigitGenerator
from ...data.digits import damage_pictures
from .prior import (
    CLASSES,
    RADIUS,
    Prior,
    draw_points,
    one_hot,
    style_loss,
    truncate_style,
    turn_labels,
)

CODE_NOISE = 0.2  # standard deviation added to codes before decoding
LABEL_SHARPNESS = 1.5  # logits per unit of a label coordinate
WEIGHTS = {
    "label": 4.0,
    "pull": 2.0,
    "style": 12.0,
    "read": 4.0,
    "cycle": 0.08,
    "real": 1.0,
}  # against the squared error summed over the pixels

ROBUST_WEIGHTS = {"code": 0.5, "pull": 1.5, "label": 30.0}


class Critic(nn.Module):
    """Says how real a digit of a class looks (projection critic, Miyato & Koyama 2018)."""

    def __init__(self, width: int = 32, deep: int = 64) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.stem = norm(nn.Conv2d(4, width, 3, padding=1))
        self.coarse = norm(nn.Conv2d(4 * width, deep, 3, padding=1))
        self.deep = norm(nn.Linear(deep * 49, 128))
        self.score = norm(nn.Linear(128, 1))
        self.classes = norm(nn.Linear(CLASSES, 128, bias=False))

    def forward(self, grey: Tensor, labels: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(grey * 2 - 1, 2)), 0.2)
        x = F.leaky_relu(self.coarse(F.pixel_unshuffle(x, 2)), 0.2)
        x = F.leaky_relu(self.deep(x.flatten(1)), 0.2)
        scores: Tensor = self.score(x).squeeze(1) + (x * self.classes(one_hot(labels))).sum(1)
        return scores


@dataclass
class Nets:
    """The networks of a run."""

    reader: DigitEncoder  # pictures to 10 logits, for training only
    encoder: DigitEncoder
    generator: DigitGenerator
    critic: Critic
    robust: DigitEncoder


@dataclass
class Means:
    """Running means of the weights: what is exported."""

    encoder: DigitEncoder
    generator: DigitGenerator
    robust: DigitEncoder


def read_step(nets: Nets, pictures: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Loss of the reader on slightly moved pictures."""
    return F.cross_entropy(nets.reader(move_slightly(pictures, generator)), labels)


def move_slightly(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures turned, sheared, scaled and shifted a little."""
    count = len(pictures)
    spread = torch.tensor([[0.1, 0.12, 0.1], [0.12, 0.1, 0.1]])
    base = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    theta = base + (torch.rand(count, 2, 3, generator=generator) * 2 - 1) * spread
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, align_corners=False)


def points(
    prior: Prior, frame: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Frame points to decode beside the real codes, class targets (N, 10), and realism weights.

    Of the given codes 40% are turned by 90 degrees into another label, 20% by a random angle, 15%
    truncated; 25% are replaced by draws of the prior.
    """
    count = len(frame)
    shift = torch.randint(1, CLASSES, (count,), generator=generator)
    other = (labels + shift) % CLASSES
    kind = torch.rand(count, generator=generator)
    fresh = draw_points(prior, labels, generator)
    angle = torch.where(kind < 0.4, 1.0, torch.rand(count, generator=generator)) * math.pi / 2
    angle = torch.where(kind < 0.6, angle, torch.zeros(()))
    start = torch.where((kind >= 0.6)[:, None] & (kind < 0.85)[:, None], fresh, frame)
    result = turn_labels(start, labels, other, angle)
    cut = truncate_style(start, labels, generator)
    result = torch.where((kind >= 0.85)[:, None], cut, result)
    share = angle.sin().square().unsqueeze(1)
    target = one_hot(labels) * (1 - share) + one_hot(other) * share
    believable = (kind < 0.4) | ((kind >= 0.6) & (kind < 0.85))
    return result, target, believable


def generator_step(
    nets: Nets, prior: Prior, pictures: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor], tuple[Tensor, Tensor]]:
    """Loss of the autoencoder, its parts, and the believable invented pictures with labels."""
    count = len(pictures)
    codes = nets.encoder(pictures)
    frame = prior.to_frame(codes)
    label, style = frame[:, :CLASSES], frame[:, CLASSES:]
    with torch.no_grad():
        made, target, believable = points(prior, frame, labels, generator)
    noise = torch.randn(codes.shape, generator=generator) * CODE_NOISE
    decoded = nets.generator(torch.cat([codes + noise, prior.to_codes(made)]))
    restored, invented = decoded[:count], decoded[count:]
    again = prior.to_frame(nets.encoder(invented))
    winner = target.argmax(1)
    losses = {
        "rebuild": (restored - pictures).square().sum((1, 2, 3)).mean(),
        "label": F.cross_entropy(LABEL_SHARPNESS * label, labels),
        "pull": (label - RADIUS * one_hot(labels)).square().sum(1).mean(),
        "style": style_loss(style.reshape(CLASSES, -1, style.shape[1]), prior.std, generator),
        "read": F.cross_entropy(nets.reader(invented), target),
        "cycle": (again - made).square().sum(1).mean(),
        "real": -nets.critic(invented[believable], winner[believable]).mean(),
    }
    loss = losses["rebuild"] + sum(weight * losses[k] for k, weight in WEIGHTS.items())
    return loss, losses, (invented.detach()[believable], winner[believable])


def critic_step(
    critic: Critic, pictures: Tensor, labels: Tensor, invented: tuple[Tensor, Tensor]
) -> Tensor:
    """Hinge loss of the critic on real pictures and on invented ones with their labels."""
    true, false = critic(pictures, labels), critic(*invented)
    return F.relu(1 - true).mean() + F.relu(1 + false).mean()


def robust_step(
    encoder: DigitEncoder,
    means: Means,
    prior: Prior,
    pictures: Tensor,
    labels: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of the noise-robust encoder: the clean encoder's style, the clean picture, the label.

    Two thirds of the pictures are moved a little first: without it the labels of damaged training
    digits are learnt by heart. Where damage leaves more than one label possible, the squared
    distance makes the label part their weighted mean. Every other code is decoded with all of its
    label part on the true label, so that its style fits the picture that is left when the other
    labels are cut away.
    """
    with torch.no_grad():
        shift = torch.rand(len(pictures), 1, 1, 1, generator=generator) < 2 / 3
        pictures = torch.where(shift, move_slightly(pictures, generator), pictures)
        wanted = prior.to_frame(means.encoder(pictures))[:, CLASSES:]
    codes = encoder(damage_pictures(pictures, generator))
    frame = prior.to_frame(codes)
    label, style = frame[:, :CLASSES], frame[:, CLASSES:]
    decided = torch.cat([one_hot(labels) * label.norm(dim=1, keepdim=True), style], 1)
    odd = (torch.arange(len(codes)) % 2 == 1)[:, None]
    decoded = means.generator(torch.where(odd, prior.to_codes(decided), codes))
    losses = {
        "code": (style - wanted).square().sum(1).mean(),
        "pull": (label - RADIUS * one_hot(labels)).square().sum(1).mean(),
        "rebuild": (decoded - pictures).square().sum((1, 2, 3)).mean(),
        "label": F.cross_entropy(LABEL_SHARPNESS * label, labels),
    }
    loss = losses["rebuild"]
    return loss + sum(weight * losses[name] for name, weight in ROBUST_WEIGHTS.items()), losses

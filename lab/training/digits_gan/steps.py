"""One step of each network: discriminator, generator, encoders of the frozen generator.

The setting is that of Toledo-Marin & Glazier, PLOS ONE 18(6) e0287736: the GAN sees no label, its
codes are `z ~ N(0, I)`, and labels enter by a separate classifier alone, when the encoder is
trained. Pictures are in [-1, 1] here, as in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.digits import DigitEncoder, DigitGenerator

LATENT = 100
PENALTY = 1.0  # weight of R1; with it neither of the two ever won, and no other was tried
PENALTY_EVERY = 4  # steps of the discriminator to one with R1, which then counts as often


class Discriminator(nn.Module):
    """`(B, 1, 28, 28)` in [-1, 1] to scores `(B,)`: how real digits look. It sees no label."""

    def __init__(
        self,
        width: int = 32,  # channels at 14 x 14
        deep: int = 96,  # channels at 7 x 7
        hidden: int = 128,  # units between maps and score
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 3, padding=1)
        self.fine = nn.Conv2d(width, width, 3, padding=1)
        self.coarse = nn.Conv2d(4 * width, deep, 3, padding=1)
        self.hidden = nn.Linear(deep * 49 + 1, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem(F.pixel_unshuffle(pictures, 2)), 0.2)
        x = F.leaky_relu(self.fine(x), 0.2)
        x = F.leaky_relu(self.coarse(F.pixel_unshuffle(x, 2)), 0.2).flatten(1)
        # how much the batch varies (Karras et al. 2018): a generator of few digits is caught
        spread = (x.var(0, correction=0) + 1e-8).sqrt().mean().expand(len(x), 1)
        x = F.leaky_relu(self.hidden(torch.cat([x, spread], 1)), 0.2)
        scores: Tensor = self.score(x).squeeze(1)
        return scores


def scale_weights(net: nn.Module) -> None:
    """Draw weights that keep the variance of what goes through (He et al. 2015); biases 0."""
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, a=0.2)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def signed(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as the paper has them, in [-1, 1]."""
    return 2 * pictures - 1


def discriminator_step(
    discriminator: nn.Module, real: Tensor, fake: Tensor, penalise: bool
) -> dict[str, Tensor]:
    """Losses of the discriminator, to be added up (non-saturating, with R1; Mescheder 2018).

    Args:
        discriminator: pictures to scores.
        real, fake: `(B, 1, 28, 28)` in [-1, 1].
        penalise: with R1, the squared length of the gradient on real pictures.
    """
    real = real.detach().requires_grad_(penalise)
    scores = discriminator(real)
    losses = {
        "real": F.softplus(-scores).mean(),
        "fake": F.softplus(discriminator(fake.detach())).mean(),
    }
    if penalise:
        (gradient,) = torch.autograd.grad(scores.sum(), real, create_graph=True)
        squares = gradient.square().sum((1, 2, 3)).mean()
        losses["penalty"] = PENALTY / 2 * PENALTY_EVERY * squares
    return losses


@dataclass(frozen=True)
class EncoderLoss:
    """What an encoder of the frozen generator is trained for; each term is a mean over digits.

    Attributes:
        hinge: reconstruction as `max(0, 1 - G(z) x)`, mean over the pixels, as in the paper's
            public code; else the squared error, summed over the pixels.
        label: weight of the classifier's cross-entropy on the decode.
        divergence: weight of the KL divergence of a digit's codes from N(0, I).
    """

    hinge: bool
    label: float
    divergence: float


# The paper's words leave open how the reconstruction is summed. With its public code's hinge the
# pixels count for almost nothing beside the other terms; "paper" sums squares, so that they count.
# The public code adds the divergence of a batch of 25 over 25, which is its mean.
ENCODERS = {
    "paper": EncoderLoss(hinge=False, label=100, divergence=1 / 25),
    "published": EncoderLoss(hinge=True, label=100, divergence=1),
    "plain": EncoderLoss(hinge=False, label=0, divergence=1 / 25),
}


def encoder_step(
    encoder: DigitEncoder,
    generator: DigitGenerator,
    classifier: nn.Module,
    pictures: Tensor,
    labels: Tensor,
    noise: Tensor,
    weights: EncoderLoss,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a stochastic encoder, and its parts before they are weighted.

    Args:
        encoder: pictures to mean and log deviation of their codes, `(B, 200)`.
        generator, classifier: frozen.
        pictures: `(B, 1, 28, 28)` in [0, 1].
        labels: `(B,)`.
        noise: `(B, 100)`, standard normal.
        weights: see there.
    """
    mean, deviation = encoder(pictures).chunk(2, 1)
    decoded = generator(mean + deviation.exp() * noise)
    if weights.hinge:
        rebuild = F.relu(1 - signed(decoded) * signed(pictures)).mean()
    else:
        rebuild = (signed(decoded) - signed(pictures)).square().sum((1, 2, 3)).mean()
    divergence = 0.5 * ((2 * deviation).exp() + mean.square() - 1 - 2 * deviation).sum(1).mean()
    losses = {"rebuild": rebuild, "divergence": divergence}
    loss = rebuild + weights.divergence * divergence
    if weights.label:
        losses["label"] = F.cross_entropy(classifier(decoded), labels)
        loss = loss + weights.label * losses["label"]
    return loss, losses

"""The critic that the renderer is trained against: is this a photo, or was it drawn?

A patch discriminator at two scales (Isola et al. 2017). It sees noisy pictures, and not the code or
the linear picture: told those it soon knows every drawing by what is orthogonal to the components,
and the renderer learns nothing from it any more. It is told what a face is to show, and judges at
every place whether it does (projection, Miyato & Koyama 2018; photos with the wrong attributes are
wrong, Reed et al. 2016): else the grey mean of teeth and dark is no worse than the closed mouth it
replaces.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.face.planes import blur

SLOPE = 0.2
DETAIL = 16.0  # factor on fine detail
LEAST_CHANGE = 0.01  # mean absolute change at which a place counts half
NOISE = 0.02  # standard deviation of what is added to every picture
TOLD = 2.0  # attribute value that the critic is told as 1
LEAST_PLACES = 0.02  # share of places at which a small change counts half of a large one
MISTOLD = 0.5  # weight of photos with the wrong attributes beside that of drawn ones


class Critic(nn.Module):
    """Aligned faces `(B, 3, 128, 128)` in [0, 1] and what they are to show to scores.

    Args:
        attributes: how many values it is told of each face.
        width: channels of the first layer.
    """

    def __init__(self, attributes: int, width: int = 64) -> None:
        super().__init__()

        def conv(before: int, after: int, kernel: int) -> nn.Module:
            layer = nn.Conv2d(before, after, kernel, padding=kernel // 2)
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            return layer

        sizes = [width, 2 * width, 4 * width, 5 * width]
        self.enter = conv(24, sizes[0], 3)
        self.shrink = nn.ModuleList([conv(4 * a, b, 1) for a, b in pairwise(sizes)])
        self.look = nn.ModuleList([conv(size, size, 3) for size in sizes[1:]])
        # faces are aligned: what a place shows is judged by where it is
        self.places = nn.ParameterList(
            [nn.Parameter(torch.zeros(n, 32 >> i, 32 >> i)) for i, n in enumerate(sizes[1:])]
        )
        # how real a place looks, and how much of each attribute it shows
        self.patches = nn.ModuleList([nn.Conv2d(size, 1 + attributes, 1) for size in sizes[2:]])
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Tensor) -> list[Tensor]:
        """Features of four layers."""
        crops = crops.float()
        crops = crops + NOISE * torch.randn_like(crops)
        # fine detail apart and larger: next to the whole picture half precision would lose it
        x = torch.cat([crops * 4 - 2, (crops - blur(crops)) * DETAIL], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.enter(F.pixel_unshuffle(x, 2)), SLOPE)
        features = [x]
        for shrink, look, place in zip(self.shrink, self.look, self.places, strict=True):
            x = F.leaky_relu(shrink(F.pixel_unshuffle(x, 2)) + place, SLOPE)
            x = F.leaky_relu(look(x), SLOPE)
            features.append(x)
        return features

    def scores(self, features: list[Tensor], values: Tensor) -> list[Tensor]:
        """Two maps of scores `(B, 1, N, N)` of features, for faces that are to show values
        `(B, A)`, on the scale of `attribute_net.attribute_values`."""
        told = F.pad(values / TOLD, (1, 0), value=1.0)[:, :, None, None]
        maps = [head(f).float() for head, f in zip(self.patches, features[2:], strict=True)]
        return [(told * parts).sum(1, keepdim=True) for parts in maps]


def attention(change: Tensor, maps: list[Tensor]) -> list[Tensor]:
    """How much each place of maps of scores counts, for photos with a change `(B, 3, S, S)`: where
    nothing changed they are real, and a critic that is told they are not learns nothing."""
    size = change.detach().float().abs().mean(1, keepdim=True)
    pooled = [F.adaptive_avg_pool2d(size, (scores.shape[-2], scores.shape[-1])) for scores in maps]
    return [p / (p + LEAST_CHANGE) for p in pooled]


Weighted = tuple[list[Tensor], list[Tensor]]  # scores, and how much each of them counts


def critic_loss(real: Weighted, fake: Weighted, mistold: Weighted) -> Tensor:
    """Logistic loss over all maps (Goodfellow et al. 2014). Under a hinge loss the critic ends as a
    plateau just below -1, where a drawing that is far off learns nothing from it.

    Args:
        real: of photos. They should count where what was made of them does: a place that is often
            edited would else be called drawn for that alone.
        fake: of what was drawn.
        mistold: of photos that were told to show something else than they do.
    """
    losses = []
    for (scores, weights), sign, share in ((real, -1, 1), (fake, 1, 1), (mistold, 1, MISTOLD)):
        for s, w in zip(scores, weights, strict=True):
            losses.append(share * (F.softplus(sign * s) * w).sum() / (w.sum() + 1e-6))
    return torch.stack(losses).sum()


def steepness(critic: Critic, pictures: Tensor, values: Tensor) -> Tensor:
    """Mean squared norm of the gradient of scores, summed over the places, to photos: a critic that
    is flat around photos leaves those it teaches time to follow (R1 penalty, Mescheder et al.
    2018)."""
    pictures = pictures.detach().requires_grad_(True)
    scores = [s.sum() for s in critic.scores(critic(pictures), values)]
    (gradient,) = torch.autograd.grad(torch.stack(scores).sum(), pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def fooling_loss(fake: list[Tensor], weights: list[Tensor]) -> Tensor:
    """What the network in training lowers: how unlikely its pictures are photos, weighted as for
    the critic."""
    losses = [(F.softplus(-f) * w).sum() / w.sum() for f, w in zip(fake, weights, strict=True)]
    return torch.stack(losses).mean()


def feature_distance(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the critic's features (Wang et al. 2018)."""
    return torch.stack(
        [F.l1_loss(f.float(), r.float()) for r, f in zip(real, fake, strict=True)]
    ).mean()


def weights_of(fake: list[Tensor], change: Tensor) -> list[Tensor]:
    """Weights of the critic's scores of drawn faces, if there are any, and of edited photos, in
    equal shares; and nearly so of small changes and large ones: a mouth is looked at as much as
    light on a face."""
    number, weights = len(change), []
    for w in attention(change, [scores[-number:] for scores in fake]):
        w = w.square()
        w = w / (w.mean((1, 2, 3), keepdim=True) + LEAST_PLACES)
        drawn = torch.ones_like(w)[: len(fake[0]) - number]
        weights.append(torch.cat([drawn, w / (w.mean() + 1e-6)]))
    return weights

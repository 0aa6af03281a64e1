"""The critic that the renderer is trained against: is this a photo, or was it drawn?

A patch discriminator at two scales (Isola et al. 2017; hinge loss as in Lim & Ye 2017). It sees
noisy pictures, and not the code or the linear picture: told those it soon knows every drawing by
what is orthogonal to the components, and the renderer learns nothing from it any more.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
DETAIL = 16.0  # factor on fine detail
LEAST_CHANGE = 0.01  # mean absolute change at which a place counts half
NOISE = 0.01  # standard deviation of what is added to every picture


def soft(pictures: Tensor) -> Tensor:
    """Each pixel the mean of its 3 x 3 neighbourhood."""
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


class Critic(nn.Module):
    """Aligned faces `(B, 3, 128, 128)` in [0, 1] to scores."""

    def __init__(self, width: int = 64) -> None:
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
        self.patches = nn.ModuleList([nn.Conv2d(size, 1, 1) for size in sizes[2:]])
        self.to(memory_format=torch.channels_last)

    def forward(self, crops: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Two maps of scores, and the features of four layers."""
        crops = crops.float()
        crops = crops + NOISE * torch.randn_like(crops)
        # fine detail apart and larger: next to the whole picture half precision would lose it
        x = torch.cat([crops * 4 - 2, (crops - soft(crops)) * DETAIL], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(self.enter(F.pixel_unshuffle(x, 2)), SLOPE)
        features = [x]
        for shrink, look, place in zip(self.shrink, self.look, self.places, strict=True):
            x = F.leaky_relu(shrink(F.pixel_unshuffle(x, 2)) + place, SLOPE)
            x = F.leaky_relu(look(x), SLOPE)
            features.append(x)
        maps = [head(f).float() for head, f in zip(self.patches, features[2:], strict=True)]
        return maps, features


def attention(change: Tensor, maps: list[Tensor]) -> list[Tensor]:
    """How much each place of maps of scores counts, for photos with a change `(B, 3, S, S)`: where
    nothing changed they are real, and a critic that is told they are not learns nothing."""
    size = change.detach().float().abs().mean(1, keepdim=True)
    pooled = [
        F.adaptive_avg_pool2d(size, (scores.shape[-2], scores.shape[-1])) for scores in maps
    ]
    return [p / (p + LEAST_CHANGE) for p in pooled]


def critic_loss(real: list[Tensor], fake: list[Tensor], weights: list[Tensor]) -> Tensor:
    """Hinge loss over all maps.

    Of `fake`, places count by `weights` of the same shapes, and so do those of the photos that they
    were made of: a place that is often edited would else be called drawn for that alone.
    """
    losses = []
    for r, f, w in zip(real, fake, weights, strict=True):
        same = w.unflatten(0, (-1, len(r))).sum(0)
        losses += [(F.relu(1 - r) * same).sum() / w.sum(), (F.relu(1 + f) * w).sum() / w.sum()]
    return torch.stack(losses).sum()


def fooling_loss(fake: list[Tensor], weights: list[Tensor]) -> Tensor:
    """What the renderer lowers: minus the scores of its pictures, weighted as for the critic."""
    scores = [(f * w).sum() / w.sum() for f, w in zip(fake, weights, strict=True)]
    return -torch.stack(scores).mean()


def feature_distance(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the critic's features (Wang et al. 2018)."""
    return torch.stack(
        [F.l1_loss(f.float(), r.float()) for r, f in zip(real, fake, strict=True)]
    ).mean()


def weights_of(fake: list[Tensor], change: Tensor) -> list[Tensor]:
    """Weights of the critic's scores of drawn faces and of edited photos, in equal shares."""
    number = len(change)
    edited = attention(change, [scores[number:] for scores in fake])
    return [torch.cat([torch.ones_like(w), w * w.numel() / (w.sum() + 1e-6)]) for w in edited]

"""The critic that the renderer is trained against: is this part of a canonical face a photo's?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2
DETAIL = 12.0  # factor on fine detail, beside which the picture itself would drown it
NOISE = 0.02  # standard deviation of what is added to every picture
PLACES = 8


class Critic(nn.Module):
    """Parts of canonical faces `(B, 3, h, w)` in [0, 1] to maps of scores `(B, 1, h / 16, w / 16)`.

    A patch discriminator (Isola et al. 2017) under spectral normalisation (Miyato et al. 2018).
    Faces lie on the same points, so every place is judged by where it is.
    """

    def __init__(self, size: int, width: int = 48) -> None:
        super().__init__()

        def conv(before: int, after: int, stride: int) -> nn.Module:
            return spectral_norm(nn.Conv2d(before, after, 3, stride, 1))

        self.places = nn.Parameter(torch.randn(PLACES, size // 4, size // 4) * 0.1)
        self.enter = conv(96 + PLACES, width, 1)
        self.look = nn.ModuleList([conv(width, 2 * width, 2), conv(2 * width, 3 * width, 2)])
        self.fine = conv(width, 1, 1)
        self.patches = conv(3 * width, 1, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor, corner: tuple[int, int]) -> list[Tensor]:
        """Scores at a quarter and a sixteenth of the resolution.

        Args:
            pictures: the parts.
            corner: top and left of them, in pixels; divisible by 4.
        """
        pictures = pictures + NOISE * torch.randn_like(pictures)
        soft = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
        x = torch.cat([pictures * 4 - 2, (pictures - soft) * DETAIL], 1)
        x = F.pixel_unshuffle(x, 4)
        top, left = corner[0] // 4, corner[1] // 4
        here = self.places[:, top : top + x.shape[2], left : left + x.shape[3]]
        x = torch.cat([x, here.expand(len(x), -1, -1, -1)], 1)
        x = F.leaky_relu(self.enter(x.contiguous(memory_format=torch.channels_last)), SLOPE)
        scores = [self.fine(x)]
        for layer in self.look:
            x = F.leaky_relu(layer(x), SLOPE)
        return [*scores, self.patches(x)]


def critic_loss(real: list[Tensor], fake: list[Tensor], weights: list[Tensor]) -> Tensor:
    """Hinge loss over all maps (Lim & Ye 2017); weights say how much each place of fakes counts."""
    losses = [
        F.relu(1 - r).mean() + (F.relu(1 + f) * w).sum() / (w.sum() + 1e-6)
        for r, f, w in zip(real, fake, weights, strict=True)
    ]
    return torch.stack(losses).sum()


def fooling_loss(fake: list[Tensor], weights: list[Tensor]) -> Tensor:
    """What the renderer lowers."""
    losses = [-(f * w).sum() / (w.sum() + 1e-6) for f, w in zip(fake, weights, strict=True)]
    return torch.stack(losses).sum()

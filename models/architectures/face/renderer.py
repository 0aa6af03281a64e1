"""The renderer: a small convolutional network that turns a linear face into a photographic one.

A weighted sum of eigenfaces is soft, and an edited one shows ghosts of what it was averaged from.
The renderer sees that picture, is told the first numbers of the code and how strongly the face has
been edited along each control, and draws the face that this stands for: a residual network at a
quarter, an eighth and half of the resolution (He et al. 2016; residual branches without
normalisation as in Lim et al. 2017; pixel shuffles after Shi et al. 2016). Its colours are no finer
than components keep them. The last layer starts at zero, so an untrained renderer returns the
linear picture, with smoother colours.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .planes import blur_colour

SLOPE = 0.2  # of the leaky rectifiers


class Block(nn.Module):
    """Two 3 x 3 convolutions on a branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = x + self.second(F.leaky_relu(self.first(x), SLOPE))
        return features


class Renderer(nn.Module):
    """`(B, 3, S, S)` to `(B, 3, S, S)`; S divisible by 8.

    Args:
        context: how many numbers of the code, the first ones, it is told besides the picture.
        controls: how many controls there are.
        wide, deep, fine: channels at a quarter, an eighth and half of the resolution.
        blocks: how many residual blocks there are at a quarter (before and after), an eighth and
            half of the resolution.
    """

    def __init__(
        self,
        context: int = 256,
        controls: int = 0,
        wide: int = 96,
        deep: int = 256,
        fine: int = 48,
        blocks: tuple[int, int, int] = (1, 2, 2),
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(48, wide, 3, padding=1)
        self.before = nn.Sequential(*[Block(wide) for _ in range(blocks[0])])
        self.down = nn.Conv2d(4 * wide, deep, 1)
        self.context = context
        self.tell = nn.Linear(context + controls, deep, bias=False)
        self.middle = nn.Sequential(*[Block(deep) for _ in range(blocks[1])])
        self.up = nn.Conv2d(deep, 4 * wide, 1)
        self.after = nn.Sequential(*[Block(wide) for _ in range(blocks[0])])
        self.widen = nn.Conv2d(wide, 4 * fine, 3, padding=1)
        self.detail = nn.Sequential(*[Block(fine) for _ in range(blocks[2])])
        self.leave = nn.Conv2d(fine, 12, 3, padding=1)
        for parameter in (*self.leave.parameters(), *self.tell.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, pictures: Tensor, codes: Tensor, controls: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` drawn again.

        Args:
            pictures: linear faces.
            codes: `(B, K)`, K at least `context`.
            controls: `(B, controls)`, strengths.
        """
        x = (pictures * 4 - 2).contiguous(memory_format=torch.channels_last)
        x = self.before(F.leaky_relu(self.enter(F.pixel_unshuffle(x, 4)), SLOPE))
        condition = torch.cat([codes[:, : self.context], controls], 1)
        condition = self.tell(condition)[:, :, None, None]
        y = self.middle(F.leaky_relu(self.down(F.pixel_unshuffle(x, 2)) + condition, SLOPE))
        x = self.after(x + F.pixel_shuffle(self.up(y), 2))
        y = self.detail(F.leaky_relu(F.pixel_shuffle(self.widen(x), 2), SLOPE))
        return blur_colour(pictures + F.pixel_shuffle(self.leave(y), 2).float())


def renderer_of(shapes: Mapping[str, tuple[int, ...]], controls: int) -> Renderer:
    """A renderer of the widths and depths that its tensors (names without prefix) have.

    Raises:
        KeyError: a layer that tells them is missing.
    """

    def blocks(part: str) -> int:
        return sum(name.startswith(part + ".") and "first.bias" in name for name in shapes)

    wide, deep = shapes["enter.weight"][0], shapes["down.weight"][0]
    return Renderer(
        shapes["tell.weight"][1] - controls,
        controls,
        wide,
        deep,
        shapes["widen.weight"][0] // 4,
        (blocks("before"), blocks("middle"), blocks("detail")),
    )

"""The retoucher: fits what an edit changes of a drawn face to the photo it is put back into.

A code holds a face in some hundred numbers, so the face drawn from it is not quite the one in the
photo: lips meet a pixel higher, frames of glasses are thinner, brows run differently. A change
between two drawn faces therefore leaves a line of teeth, a trace of frames, a second pair of brows.
The retoucher sees the photo's own face beside the drawn change and corrects it: a residual network
at half, a quarter and an eighth of the resolution, with skips between equal ones (Ronneberger et
al. 2015). Where that is not enough it puts the edited face, as it is drawn, in place of the photo's
own. It acts only near what changes, and its last layer starts at zero, so an untrained one adds
little to the change. What it gives is brightness above all; its colours are bound by `hue.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .hue import keep_hue
from .renderer import SLOPE, Block

LEAST_CHANGE = 0.015  # mean absolute change in the neighbourhood at which a correction counts half
_CELL = 8  # pixels of a neighbourhood
_CALM = 0.1  # of corrections: steps of training that move all pixels alike must be small ones
_KEPT = -4.0  # log-odds of the share of the photo's own face that is replaced, unless it is learnt


def correction_weight(change: Tensor) -> Tensor:
    """Weigh corrections by how much changes `(B, 3, S, S)` around each pixel.

    Returns:
        `(B, 1, S, S)` from 0, where nothing changes, to 1.
    """
    size = F.avg_pool2d(change.abs().mean(1, keepdim=True), _CELL)
    size = F.avg_pool2d(F.pad(size, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    size = F.interpolate(size, scale_factor=_CELL, mode="bilinear", align_corners=False)
    return size / (size + LEAST_CHANGE)


class Retoucher(nn.Module):
    """Photos and drawn changes `(B, 3, S, S)` to corrected changes; S divisible by 8.

    Args:
        controls: how many strengths it is told.
        fine, wide, deep: channels at half, a quarter and an eighth of the resolution.
        blocks: residual blocks at an eighth.
    """

    def __init__(
        self, controls: int, fine: int = 48, wide: int = 128, deep: int = 256, blocks: int = 3
    ) -> None:
        super().__init__()
        self.enter = nn.Conv2d(36, fine, 3, padding=1)
        self.fine_in = Block(fine)
        self.to_wide = nn.Conv2d(4 * fine, wide, 1)
        self.wide_in = Block(wide)
        self.to_deep = nn.Conv2d(4 * wide, deep, 1)
        self.tell = nn.Linear(controls, deep, bias=False)
        self.middle = nn.Sequential(*[Block(deep) for _ in range(blocks)])
        self.from_deep = nn.Conv2d(deep, 4 * wide, 1)
        self.wide_out = Block(wide)
        self.from_wide = nn.Conv2d(wide, 4 * fine, 1)
        self.fine_out = Block(fine)
        self.leave = nn.Conv2d(fine, 16, 3, padding=1)
        for layer in self.modules():
            # Normal numbers on the meta device import torch's compiler, which takes seconds.
            if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
                nn.init.kaiming_normal_(layer.weight, SLOPE)
        for layer in self.modules():
            if isinstance(layer, Block):  # a chain of blocks begins as what enters it
                nn.init.zeros_(layer.second.weight)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, photos: Tensor, drawn: Tensor, edited: Tensor, controls: Tensor) -> Tensor:
        """What to add to photos `(B, 3, S, S)`.

        Args:
            photos: aligned faces.
            drawn, edited: the same faces as they are drawn before and after the edit.
            controls: `(B, controls)`, strengths.
        """
        change = edited.float() - drawn.float()
        x = torch.cat([photos * 4 - 2, (photos - drawn) * 4, change * 8], 1)
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        x = fine = self.fine_in(F.leaky_relu(self.enter(x), SLOPE))
        x = F.leaky_relu(self.to_wide(F.pixel_unshuffle(x, 2)), SLOPE)
        x = wide = self.wide_in(x)
        x = self.to_deep(F.pixel_unshuffle(x, 2)) + self.tell(controls)[:, :, None, None]
        x = self.middle(F.leaky_relu(x, SLOPE))
        x = self.wide_out(wide + F.pixel_shuffle(self.from_deep(x), 2))
        x = self.fine_out(fine + F.pixel_shuffle(self.from_wide(x), 2))
        made = F.pixel_shuffle(self.leave(F.leaky_relu(x, SLOPE)), 2).float()
        correction, replaced = _CALM * made[:, :3], (made[:, 3:] + _KEPT).sigmoid()
        correction = correction + replaced * (drawn - photos).float()
        return keep_hue(photos.float(), change + correction_weight(change) * correction)


def retoucher_of(shapes: Mapping[str, tuple[int, ...]]) -> Retoucher:
    """A retoucher of the widths and depths that its tensors (names without prefix) have.

    Raises:
        KeyError: a layer that tells them is missing.
    """
    blocks = sum(name.startswith("middle.") and "first.bias" in name for name in shapes)
    deep, controls = shapes["tell.weight"]
    return Retoucher(controls, shapes["enter.weight"][0], shapes["to_wide.weight"][0], deep, blocks)

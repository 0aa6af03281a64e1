"""What an edit does to a face, as maps over a square around its aligned crop."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EditMaps:
    """Maps over a square, each `(C, N, N)` float32, all zero where nothing happens.

    Attributes:
        motion: (dx, dy) in shares of the crop's side: the edited face at x shows the photo's
            pixel at x + motion.
        change: shift of the log-odds of each channel.
        weight: share of the picture `face` that is laid over the photo.
        face: the picture to lay over.
        extent: sides of the crop that the square covers, about its middle.
    """

    motion: Tensor
    change: Tensor
    weight: Tensor
    face: Tensor
    extent: float = 1.0

    def stacked(self) -> Tensor:
        """All maps in one `(9, N, N)` tensor."""
        return torch.cat([self.motion, self.change, self.weight, self.face])

    @classmethod
    def unstacked(cls, maps: Tensor, extent: float = 1.0) -> EditMaps:
        """The inverse of `stacked`, at any resolution."""
        motion, change, weight, face = maps.split([2, 3, 1, 3])
        return cls(motion, change, weight, face, extent)

"""How the codes of a model's training pictures are distributed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class CodeStatistics:
    """Moments of the training codes, and the mixture of Gaussians that they follow.

    Attributes:
        mean, std: `(*s)` of each number of a code, over all codes.
        centres: `(K, *s)`, one per class.
        spread: `(R, *s)`; a code of class k is `centres[k]` plus R standard normal numbers times
            these rows.
    """

    mean: Tensor
    std: Tensor
    centres: Tensor
    spread: Tensor

    def cpu(self) -> CodeStatistics:
        """A float32 copy on the CPU."""
        values = (self.mean, self.std, self.centres, self.spread)
        return CodeStatistics(*(value.detach().to("cpu", torch.float32) for value in values))

    def sample(self, count: int, generator: torch.Generator, psi: float = 1.0) -> Tensor:
        """Random codes `(count, *s)`: a class, then style; `psi` scales the style.

        With psi 0 every code is the centre of its class. The classes do not depend on psi, and
        the first codes of a larger batch are those of a smaller one.
        """
        classes, axes = len(self.centres), len(self.spread)
        rows = []
        for _ in range(count):
            label = int(torch.randint(classes, (1,), generator=generator))
            style = torch.tensordot(torch.randn(axes, generator=generator), self.spread, 1)
            rows.append(self.centres[label] + psi * style)
        return torch.stack(rows)

"""How the codes of a model show expressions, and how one face takes over another's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import FaceLatentsError

EYES = ("eye", "brow")  # how names of scores begin that are about eyes; the others are about mouths


@dataclass(frozen=True, eq=False)
class Expressions:
    """Scores of an expression, such as how far a jaw is open: linear functions of the code.

    Faces differ by more than their expression, and so do their scores by less than their codes:
    what a face takes over from another is what goes with a difference of scores, nothing else.

    Attributes:
        names: of E scores; those that begin with `EYES` are about eyes and brows.
        readings: `(E, *shape)`, what each number of a code adds to a score.
        effects: `(E, *shape)`, how a code changes with a score of 1, the other scores kept.
    """

    names: tuple[str, ...]
    readings: Tensor
    effects: Tensor

    def __post_init__(self) -> None:
        for tensor in (self.readings, self.effects):
            if len(tensor) != len(self.names) or tensor.shape != self.effects.shape:
                raise FaceLatentsError(
                    f"Expressions of {len(self.names)} scores have readings of shape "
                    f"{tuple(self.readings.shape)} and effects of {tuple(self.effects.shape)}."
                )

    def change(
        self, codes: Tensor, source: Tensor, *, eyes: bool = True, mouth: bool = True
    ) -> Tensor:
        """How codes change to show the expression of others.

        Args:
            codes, source: `(B, *shape)`.
            eyes, mouth: which of the expression is taken over.

        Returns:
            `(B, *shape)` float32, to be added to `codes`.
        """
        wanted = torch.tensor([eyes if name.startswith(EYES) else mouth for name in self.names])
        apart = (source.float() - codes.float()).flatten(1)
        readings, effects = (t.flatten(1).to(apart) for t in (self.readings, self.effects))
        scores = apart @ readings.T * wanted.to(apart)
        return (scores @ effects).view(codes.shape)

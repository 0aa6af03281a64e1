"""How codes are looked at while a direction is fitted to few of them.

A few hundred codes of 512 white components are mostly noise: the difference of two means carries
as much of it in the components that hardly change the picture as in those that make the mouth.
Two facts about the model take most of it away, without a look at the labels:

- What a component does to the picture. Each is weighted by ``v / (v + f^2)``, the gain of a Wiener
  filter, v being the mean squared change of the pixels by one standard deviation of the component
  and f a change that is hardly visible.
- Mirroring. Most attributes are the same in a mirrored face, some (light, turn) are the opposite.
  Codes are split into the part that mirroring keeps and the part that it reverses; only the first
  is used, unless the labels clearly go with the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .face_model import FaceModel

VISIBLE_CHANGE = 0.015  # root mean square over the pixels, of [0, 1]: 4 grey levels
MOST_PROBED = 2048  # components of a code; a larger one is not weighted
CLEARLY = 2.0  # standard deviations by which the reversed part has to exceed its own noise
_PROBE_BATCH = 32


@dataclass(frozen=True, eq=False)
class FitView:
    """Linear view of codes for fitting: features ``W P x`` with weights W and mirror parts P.

    Attributes:
        weights: ``(*shape)`` float64, square roots of the gains.
        mirror: codes ``(N, *shape)`` to those of the mirrored faces, or None.
    """

    weights: Tensor
    mirror: Callable[[Tensor], Tensor] | None

    def fit(
        self, codes: Tensor, values: Tensor, method: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Fit to the features of codes, and return the direction ``(*shape)`` for the codes.

        Args:
            codes: ``(N, *shape)``.
            values: ``(N,)``, labels (bool) or scores.
            method: (features, values) to a direction of the features.
        """
        kept, reversed_ = self._parts(codes.double())
        share, reversed_share = self._shares(kept, reversed_, values.double())
        features = self.weights * (share * kept + reversed_share * reversed_)
        found = self.weights * method(features, values).double()
        kept, reversed_ = self._parts(found[None])
        return (share * kept + reversed_share * reversed_)[0]

    def _parts(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What mirroring keeps of each code, and what it reverses."""
        if self.mirror is None:
            return codes, torch.zeros_like(codes)
        mirrored = self.mirror(codes)
        return (codes + mirrored) / 2, (codes - mirrored) / 2

    def _shares(self, kept: Tensor, reversed_: Tensor, values: Tensor) -> tuple[float, float]:
        """Weights of the two parts: 1 and 0, or where it is clear, what is no noise of each."""
        if self.mirror is None:
            return 1.0, 0.0
        share, _ = self._signal(kept, values)
        reversed_share, certainty = self._signal(reversed_, values)
        return (share**0.5, reversed_share**0.5) if certainty > CLEARLY else (1.0, 0.0)

    def _signal(self, part: Tensor, values: Tensor) -> tuple[float, float]:
        """Share of the squared slope on the values that is no noise, and how sure that is.

        The share is that of positive-part James-Stein shrinkage, ``max(0, 1 - noise / slope^2)``;
        certainty counts standard deviations of the noise.
        """
        rows = (self.weights * part).flatten(1)
        rows, y = rows - rows.mean(0), values - values.mean()
        total = float(y.square().sum())
        if len(rows) < 3 or total == 0:
            return 1.0, 0.0
        slope = y @ rows / total
        residual = (rows - y[:, None] * slope).square().sum(0) / (len(rows) - 2)
        squared, noise = float(slope.square().sum()), float(residual.sum()) / total
        spread = (2 * float(residual.square().sum())) ** 0.5 / total
        if squared == 0 or spread == 0:
            return 0.0, 0.0
        return max(0.0, 1 - noise / squared), (squared - noise) / spread


def view_of(model: FaceModel, decode: Callable[[Tensor], Tensor]) -> FitView:
    """The view that belongs to a model.

    Args:
        model: its space and, where its network has it, how codes are mirrored.
        decode: codes ``(B, *shape)`` to pictures ``(B, 3, S, S)``, on any device.
    """
    mirror = getattr(model.module, "mirror", None)
    weights = visible_weights(model, decode)
    if mirror is None:
        return FitView(weights, None)

    def mirrored(codes: Tensor) -> Tensor:
        return mirror(codes.to(model.device, torch.float32)).to("cpu", codes.dtype)

    return FitView(weights, mirrored)


def visible_weights(model: FaceModel, decode: Callable[[Tensor], Tensor]) -> Tensor:
    """Square roots ``(*shape)`` float64 of each component's gain, see the top of the file.

    All 1 for codes of more than `MOST_PROBED` components: probing them would take minutes.
    """
    shape = model.space.shape
    count = math.prod(shape)
    if count > MOST_PROBED:
        return torch.ones(shape, dtype=torch.float64)
    centre = torch.zeros(shape) if model.space.mean is None else model.space.mean.cpu().float()
    spread = torch.ones(shape) if model.space.std is None else model.space.std.cpu().float()
    steps = torch.diag(spread.flatten()).reshape(count, *shape)
    with torch.no_grad():
        base = decode(centre[None]).cpu()
        changes = [
            (decode(centre + part).cpu() - base).square().mean((1, 2, 3))
            for part in steps.split(_PROBE_BATCH)
        ]
    gain = torch.cat(changes).double()
    return (gain / (gain + VISIBLE_CHANGE**2)).sqrt().reshape(shape)

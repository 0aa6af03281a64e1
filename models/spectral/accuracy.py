"""How well a quasi-eigen basis tells labels apart, on codes it was not built from."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import latent_ops
from ..space import LatentSpace
from .build import ORIGIN, centre_of

_ONE_BY_ONE = 60  # codes, up to which each is left out on its own
_PARTS = 5


def held_out_accuracy(
    codes: Tensor,
    labels: Tensor,
    count: int,
    space: LatentSpace,
    *,
    method: str = "symmetric",
    centre: str = ORIGIN,
    seed: int = 0,
) -> float | None:
    """Share of codes whose label is found by a basis that was built without them.

    Each code is left out once: one at a time up to `_ONE_BY_ONE` codes, else in five parts drawn
    at random within each label.

    Args:
        codes, labels, space, method, centre: as in `build_basis`.
        count: K, number of labels.
        seed: of the parts.

    Returns:
        A share in [0, 1], or None where a label has a single code or the labels cannot be told
        apart without the codes left out.
    """
    amounts = torch.bincount(labels, minlength=count)
    if count < 2 or int(amounts.min()) < 2:
        return None
    part = torch.arange(len(codes))
    if len(codes) > _ONE_BY_ONE:
        generator = latent_ops.seeds.generator(seed)
        for label in range(count):
            own = (labels == label).nonzero().flatten()
            shuffled = own[torch.randperm(len(own), generator=generator)]
            part[shuffled] = torch.arange(len(own)) % _PARTS
    found = torch.empty_like(labels)
    for number in part.unique().tolist():
        out = part == number
        means = latent_ops.class_means(codes[~out], labels[~out], count)
        point = centre_of(means, space, centre)
        try:
            vectors = latent_ops.quasi_eigenvectors(means, method, point)
        except ValueError:
            return None  # too few codes of a label to do without these
        coefficients = latent_ops.decompose(codes[out], vectors, point)
        found[out] = latent_ops.classify(coefficients, count)
    return float((found == labels).double().mean())

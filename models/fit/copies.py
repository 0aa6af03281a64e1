"""Finding the same photo twice among codes."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import latent_ops

_DUPLICATE = 0.1  # of the median distance


def without_copies(codes: Tensor, labels: Tensor) -> tuple[Tensor, list[str]]:
    """Which codes to use: of the same photo twice in a group only the first.

    Args:
        codes: `(N, *shape)`.
        labels: `(N,)` bool.

    Returns:
        `(N,)` bool, True for codes to use, and warnings for the artist.
    """
    flat = codes.flatten(1)
    distances = latent_ops.pairwise(flat)
    typical = float(distances.flatten().median()) if len(codes) > 2 else 0.0
    kept, both, warnings = torch.ones(len(codes), dtype=torch.bool), 0, []
    close = (distances <= _DUPLICATE * typical).triu(1).nonzero().tolist()
    for first, second in close:
        if labels[first] == labels[second]:
            kept[second] = False
        else:
            both += 1
    if both:
        warnings.append(
            f"{both} photo(s) are in both groups. They pull the direction to nothing: take them "
            "out of one of them."
        )
    copies = int((~kept).sum())
    if copies:
        warnings.append(f"{copies} photo(s) are there more than once; each was used once.")
    return kept, warnings

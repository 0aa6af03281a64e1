"""Whether two methods differ, told from the same digits treated by both."""

from __future__ import annotations

from math import comb

import torch
from torch import Tensor

DRAWS = 2000  # of a bootstrap; its interval moves by a tenth of its width with 500
INTERVAL = (0.025, 0.975)


def mcnemar(first: Tensor, second: Tensor) -> dict[str, float]:
    """McNemar's exact test of two methods' right answers on the same cases.

    Args:
        first, second: bool `(N,)`, where each method is right.

    Returns:
        `first_only`, `second_only`: cases that only one has right; `p`, two-sided: how probable a
        split as uneven as this one is where neither method is better.
    """
    first_only = int((first & ~second).sum())
    second_only = int((second & ~first).sum())
    count, fewer = first_only + second_only, min(first_only, second_only)
    tail = sum(comb(count, i) for i in range(fewer + 1))
    return {
        "first_only": first_only,
        "second_only": second_only,
        "p": min(1.0, 2 * tail / 2**count),
    }


def resamples(groups: Tensor, seed: int, draws: int = DRAWS) -> Tensor:
    """Indices of bootstrap samples `(draws, N)` of the cases, drawn within each group.

    Args:
        groups: `(N,)` int64; each group keeps its number of cases and its places.
        seed: of the draws.
        draws: how many samples.
    """
    generator = torch.Generator().manual_seed(seed)
    result = torch.empty((draws, len(groups)), dtype=torch.int64)
    for group in groups.unique():
        members = torch.nonzero(groups == group).flatten()
        chosen = torch.randint(len(members), (draws, len(members)), generator=generator)
        result[:, members] = members[chosen]
    return result


def mean_interval(differences: Tensor, seed: int) -> dict[str, float]:
    """Mean of paired differences `(N,)` and its bootstrap interval of 95%.

    Returns:
        `mean`, `low`, `high`: a difference is one where 0 lies outside.
    """
    differences = differences.double()
    index = resamples(torch.zeros(len(differences), dtype=torch.int64), seed)
    return interval(differences.mean(), torch.stack([differences[i].mean() for i in index]))


def interval(value: Tensor, drawn: Tensor) -> dict[str, float]:
    """A figure, and the interval of 95% of its bootstrap values `(draws,)`."""
    low, high = torch.quantile(drawn.double(), torch.tensor(INTERVAL, dtype=torch.float64)).tolist()
    return {"mean": float(value), "low": low, "high": high}

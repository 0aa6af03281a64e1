"""What `latent_ops` costs beside the plain torch expressions of the same operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Annotated, Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.threads import one_thread
from ..results import markdown_table


@dataclass(frozen=True)
class VectorBenchmark:
    """How many codes, how often."""

    codes: Annotated[int, "in each operand"] = 100_000
    size: Annotated[int, "numbers of a code"] = 512
    rounds: Annotated[int, "alternating, of which the median counts"] = 7
    seed: Annotated[int, "of the codes"] = 0


def _plain_slerp(a: Tensor, b: Tensor) -> Tensor:
    u, v = (x / x.norm(dim=-1, keepdim=True) for x in (a, b))
    omega = torch.arccos((u * v).sum(-1, keepdim=True))
    return (torch.sin(0.7 * omega) * a + torch.sin(0.3 * omega) * b) / torch.sin(omega)


PAIRS: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "add": (lambda a, b: latent_ops.add(a, b, 0.3), lambda a, b: a + 0.3 * b),
    "lerp": (lambda a, b: latent_ops.lerp(a, b, 0.3), lambda a, b: torch.lerp(a, b, 0.3)),
    "slerp": (lambda a, b: latent_ops.slerp(a, b, 0.3), _plain_slerp),
    "euclidean": (latent_ops.euclidean, lambda a, b: (a - b).norm(dim=-1)),
    "cosine": (
        latent_ops.cosine_distance,
        lambda a, b: 1 - torch.nn.functional.cosine_similarity(a, b),
    ),
}


def run_vectors(settings: VectorBenchmark) -> dict[str, Any]:
    """CPU milliseconds of one thread, by operation."""
    generator = torch.Generator().manual_seed(settings.seed)
    shape = (settings.codes, settings.size)
    a, b = (torch.randn(shape, generator=generator) for _ in range(2))
    rows = {}
    with one_thread(), torch.inference_mode():
        for name, pair in PAIRS.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(settings.rounds + 1):  # the first warms up
                for function, spent in zip(pair, times, strict=True):
                    began = time.process_time()
                    function(a, b)
                    spent += [1000 * (time.process_time() - began)] if number else []
            ours, plain = (median(spent) for spent in times)
            ratios = sorted(x / y for x, y in zip(*times, strict=True))
            spread = [ratios[0], ratios[-1]]
            rows[name] = {"ours": ours, "plain": plain, "ratio": ours / plain, "spread": spread}
    return {"settings": vars(settings), "torch": torch.__version__, "rows": rows}


def report(figures: Mapping[str, Any]) -> str:
    """The ratios as a table."""
    told = figures["settings"]
    rows = [
        [name, f"{row['ours']:.1f}", f"{row['plain']:.1f}", f"{row['ratio']:.2f}",
         f"{row['spread'][0]:.2f} to {row['spread'][1]:.2f}"]
        for name, row in figures["rows"].items()
    ]  # fmt: skip
    head = ["operation", "latent_ops, ms", "plain expression, ms", "ratio", "ratio of rounds"]
    return (
        f"{told['codes']} x {told['size']} normal codes of seed {told['seed']}, float32; CPU time "
        f"of one thread, median of {told['rounds']} alternating rounds, torch {figures['torch']}."
        f"\n\n{markdown_table(head, rows)}"
    )

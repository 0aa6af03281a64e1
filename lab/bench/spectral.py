"""What latent spectral decomposition costs, beside the matrix products it cannot do without."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ... import latent_ops
from ...models.threads import one_thread
from ..results import markdown_table

CODES, DIMENSION = 10_000, 512
PRODUCTS = "two plain matrix products"
Step = Callable[[], object]


def spectral_steps(codes: int, dimension: int) -> dict[str, Step]:
    """Denoising random codes in a complete basis, and two plain matrix products of that size."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(codes, dimension, generator=generator)
    draw = torch.randn(dimension, dimension, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(draw).Q.T.float().contiguous()
    few, many = min(10, dimension), max(1, dimension // 4)
    return {
        f"keep the {few} largest": lambda: latent_ops.spectral_denoise(z, basis, "top_k", k=few),
        f"keep the {many} largest": lambda: latent_ops.spectral_denoise(z, basis, "top_k", k=many),
        "keep 90% of the energy": lambda: latent_ops.spectral_denoise(
            z, basis, "energy", energy=0.9
        ),
        PRODUCTS: lambda: (z @ basis.T) @ basis,
    }


def spectral_benchmark(
    rounds: int, *, codes: int = CODES, dimension: int = DIMENSION
) -> dict[str, Any]:
    """Time decomposing, truncating and putting together again; all steps alternate.

    Args:
        rounds: runs of each step, after one that warms up.
        codes: how many codes are denoised at once.
        dimension: numbers in a code, and vectors in the basis.

    Returns:
        By step, for all codes: `seconds` and `seconds_best` (median and least), `cpu_seconds` of
        one thread (the least; unlike the others it does not grow when the machine is busy), and
        the median `ratio` to the two matrix products of the same round, and all `ratios`.
    """
    with torch.inference_mode():
        steps = spectral_steps(codes, dimension)
        for step in steps.values():
            step()
        wall = _rounds(steps, rounds, time.perf_counter)
        with one_thread():
            cpu = _rounds(steps, rounds, time.process_time)
    return {
        "codes": codes,
        "dimension": dimension,
        "steps": {
            name: {
                "seconds": statistics.median(one[name] for one in wall),
                "seconds_best": min(one[name] for one in wall),
                "cpu_seconds": min(one[name] for one in cpu),
                "ratio": statistics.median(one[name] / one[PRODUCTS] for one in wall),
                "ratios": sorted(one[name] / one[PRODUCTS] for one in wall),
            }
            for name in steps
        },
    }


def spectral_report(figures: dict[str, Any]) -> str:
    """The figures as a paragraph and a Markdown table."""
    head = (
        "step",
        "median, ms",
        "least, ms",
        "CPU time of one thread, ms",
        "ratio",
        "ratio of rounds",
    )
    times = ("seconds", "seconds_best", "cpu_seconds")
    rows = (
        (
            name,
            *(f"{1000 * step[key]:.1f}" for key in times),
            f"{step['ratio']:.2f}",
            f"{step['ratios'][0]:.2f} to {step['ratios'][-1]:.2f}",
        )
        for name, step in figures["steps"].items()
    )
    facts = (
        f"Latent spectral decomposition of {figures['codes']} codes of dimension "
        f"{figures['dimension']} in a complete basis: decompose, truncate, put together."
    )
    return f"{facts}\n\n{markdown_table(head, rows)}"


def _rounds(
    steps: Mapping[str, Step], rounds: int, clock: Callable[[], float]
) -> list[dict[str, float]]:
    """Seconds of every step, round by round."""
    found = []
    for _ in range(rounds):
        seconds = {}
        for name, step in steps.items():
            start = clock()
            step()
            seconds[name] = clock() - start
        found.append(seconds)
    return found

"""The command line that the checks share: outputs of this project beside those of references."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

Outputs = Iterator[tuple[str, Tensor, Tensor]]  # name of the check, this project's, the reference's

CHECKOUTS = {  # option: public repository
    "rosinality": "stylegan2-pytorch",
    "nvidia": "stylegan2-ada-pytorch",
    "e4e": "encoder4editing",
    "psp": "pixel2style2pixel",
}
LIMIT = 1e-4  # of the range of the reference's output; rounding of float32 stays far below it


def checks_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with an option for the checkout of every reference."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, repository in CHECKOUTS.items():
        parser.add_argument(f"--{name}", type=Path, help=f"checkout of {repository}")
    return parser


def run_checks(
    options: argparse.Namespace, checks: Mapping[str, Callable[[Path], Outputs]]
) -> None:
    """Print how far every output is from the reference, of the references that are at hand.

    Raises:
        SystemExit: always; with 1 where a difference exceeds `LIMIT`.
    """
    failed, start = 0, time.perf_counter()
    with torch.no_grad():
        for reference, compare in checks.items():
            place = getattr(options, reference)
            for name, ours, theirs in compare(place) if place is not None else ():
                largest, spread = (ours - theirs).abs().max(), theirs.max() - theirs.min()
                failed += bool(largest > LIMIT * spread)
                print(
                    f"{name}: largest difference {largest:.3g}, {largest / spread:.3g} of the "
                    f"range {spread:.4g}",
                    flush=True,
                )
    print(f"limit {LIMIT:g}; {failed} above it; {time.perf_counter() - start:.0f} s")
    raise SystemExit(1 if failed else 0)

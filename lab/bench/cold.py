"""How long commands take from nothing, beside PyTorch's own import: each in a new process."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from torch import Tensor

from ..results import markdown_table

SIDE = 600  # pixels of the photo
FLOOR = "python -c 'import torch'"
_PACKAGE = __name__.partition(".")[0]


def cold_benchmark(photo: Tensor, rounds: int) -> dict[str, list[float]]:
    """Seconds of each command in alternating rounds, after one that warms up the disk's cache
    and leaves the compiled modules.

    Args:
        photo: `(H, W, 3)` in [0, 1], with one face.
        rounds: runs of each command.
    """
    with TemporaryDirectory() as folder:
        picture = Image.fromarray(np.rint(photo.numpy() * 255).astype(np.uint8))
        picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(Path(folder, "me.jpg"))
        commands = {
            FLOOR: ["-c", "import torch"],
            "face-latents --help": ["-m", _PACKAGE, "--help"],
            "face-latents edit me.jpg --set smile=2 -o edited.png": [
                *("-m", _PACKAGE, "edit", "me.jpg", "--set", "smile=2", "-o", "edited.png"),
            ],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, words in commands.items():
                taken = _seconds([sys.executable, *words], folder)
                if number:
                    seconds[name].append(taken)
    return seconds


def cold_report(seconds: Mapping[str, Sequence[float]]) -> str:
    """The figures as a Markdown table."""
    rows = (
        (
            f"`{name}`",
            f"{statistics.median(taken):.2f}",
            f"{min(taken):.2f} to {max(taken):.2f}",
            f"{statistics.median(taken) - statistics.median(seconds[FLOOR]):+.2f}",
        )
        for name, taken in seconds.items()
    )
    head = ("command", "median, s", "of rounds, s", "beside the import, s")
    rounds = len(seconds[FLOOR])
    return (
        f"Commands from nothing, each in a new process, {rounds} alternating rounds; the photo has "
        f"{SIDE} x {SIDE} pixels. The commands import PyTorch with the garbage collector at rest, "
        f"the first row does not.\n\n{markdown_table(head, rows)}"
    )


def _seconds(command: Sequence[str], folder: str) -> float:
    # Python keeps compiled modules unless told not to; without them each run compiles all anew
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    return time.perf_counter() - start

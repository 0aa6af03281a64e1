"""How many threads a computation gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread within the block, or, as a decorator, within the function.

    For long chains of operations on small tensors: each one makes all threads wait for the
    slowest, and on a machine that is busy otherwise that costs up to 40 times the work itself.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

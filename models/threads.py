"""How many threads a computation gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results of a function of independent items, in their order.

    As many items at once as torch has threads, each in one: for chains of operations whose tensors
    are small, see `one_thread`. The threads work in the caller's mode of gradients and inference.
    """
    count = min(torch.get_num_threads(), len(items))
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(item: Item) -> Result:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(item)

    with one_thread():
        if count <= 1:
            yield from map(function, items)
            return
        with ThreadPoolExecutor(count, thread_name_prefix="face-latents") as pool:
            yield from pool.map(run, items)

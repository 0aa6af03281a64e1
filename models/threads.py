"""How many threads a computation gets, and who may stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_PATIENCE = 0.05  # seconds between two looks whether the work was cancelled
_check: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Let `check_interrupt` call `check` within the block, in this thread; it stops by raising."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def check_interrupt() -> None:
    """Stop here if the work was cancelled: called between any two parts that take 0.1 s or more."""
    _check.get()()


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


def in_background(function: Callable[[], Result]) -> Result:
    """The result of one long call of a library, in which nothing can be checked.

    Where the work is cancelled, this stops at once, and the call ends unheard.
    """
    threads, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    gradients = torch.is_grad_enabled()

    def run() -> Result:
        torch.set_num_threads(threads)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function()

    pool = ThreadPoolExecutor(1, thread_name_prefix="face-latents")
    future = pool.submit(run)
    pool.shutdown(wait=False)
    while not wait([future], timeout=_PATIENCE).done:
        check_interrupt()
    return future.result()


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Results of a function of independent items, in their order.

    As many items at once as torch has threads, each in one: for chains of operations whose tensors
    are small, see `one_thread`. The threads work in the caller's mode of gradients and inference.
    Between two results the work can be cancelled.
    """
    count = min(torch.get_num_threads(), len(items))
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def run(item: Item) -> Result:
        torch.set_num_threads(1)
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(item)

    with one_thread():
        if count <= 1:
            for item in items:
                check_interrupt()
                yield function(item)
            return
        with ThreadPoolExecutor(count, thread_name_prefix="face-latents") as pool:
            try:
                for result in pool.map(run, items):
                    check_interrupt()
                    yield result
            finally:
                pool.shutdown(cancel_futures=True)

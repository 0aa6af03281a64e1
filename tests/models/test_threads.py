"""Limiting threads leaves the process as it was; long work can be cancelled."""

from __future__ import annotations

import threading
import time

import pytest
import torch
from face_latents.models.face_model import bundled_face_model_path
from face_latents.models.files.tensors import load_tensors
from face_latents.models.finder.checkpoint import load_finder
from face_latents.models.threads import (
    check_interrupt,
    in_background,
    interruptible,
    map_in_threads,
    one_thread,
)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_inside_and_the_old_number_after(two_threads):
    @one_thread()
    def inside() -> int:
        return torch.get_num_threads()

    assert [inside(), inside()] == [1, 1]
    assert torch.get_num_threads() == 2


def test_an_error_restores_the_number(two_threads):
    with pytest.raises(ValueError, match="stop"), one_thread():
        raise ValueError("stop")
    assert torch.get_num_threads() == 2


class CancelledError(Exception):
    """The host's own."""


def test_long_work_can_be_cancelled():
    """Looking for faces in a photo, and reading a file."""

    def cancel():
        raise CancelledError

    for work in (
        lambda: load_finder().find(torch.rand(64, 64, 3)),
        lambda: load_tensors(bundled_face_model_path()),
    ):
        with interruptible(cancel), pytest.raises(CancelledError):
            work()
    check_interrupt()  # no longer asked


def test_threads_that_wait_do_not_begin_once_it_is_cancelled(two_threads):
    begun = []

    def work(number):
        begun.append(number)
        time.sleep(0.01)

    def cancel():
        if len(begun) > 3:
            raise CancelledError

    with interruptible(cancel), pytest.raises(CancelledError):
        list(map_in_threads(work, range(1000)))
    assert len(begun) < 20


def test_a_long_call_ends_unheard_once_it_is_cancelled(two_threads):
    go_on, ended = threading.Event(), threading.Event()

    def call():
        go_on.wait(10)
        ended.set()
        return torch.is_inference_mode_enabled(), torch.get_num_threads()

    def cancel():
        raise CancelledError

    with interruptible(cancel), pytest.raises(CancelledError):
        in_background(call)
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(10)
    with torch.inference_mode():
        assert in_background(call) == (True, 2)
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 / 0)

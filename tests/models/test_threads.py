"""Limiting threads leaves the process as it was."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.threads import one_thread


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

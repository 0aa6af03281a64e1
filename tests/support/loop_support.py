"""Loops over shapes, batches and dtypes inside a test: say for which of them it failed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def case(**values: object) -> Iterator[None]:
    """Put the values of a loop in front of the message of what fails inside.

    Raises:
        AssertionError: instead of any other error, which becomes its cause.
    """
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        named = ", ".join(f"{name} {value}" for name, value in values.items())
        raise AssertionError(f"at {named}: {error or type(error).__name__}") from error

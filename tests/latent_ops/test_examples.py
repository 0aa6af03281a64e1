"""The examples in the docstrings of latent_ops, run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest
from face_latents import latent_ops

MODULES = sorted(module.name for module in pkgutil.iter_modules(latent_ops.__path__))


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    module = importlib.import_module(f"face_latents.latent_ops.{name}")
    assert doctest.testmod(module).failed == 0


def test_every_public_function_has_an_example() -> None:
    functions = [getattr(latent_ops, name) for name in latent_ops.__all__]
    functions = [function for function in functions if inspect.isfunction(function)]
    assert len(functions) > 40
    missing = [f.__name__ for f in functions if ">>>" not in (f.__doc__ or "")]
    assert missing == []

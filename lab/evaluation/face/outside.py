"""Functions of your own that the evaluation calls, named on the command line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from ....models.errors import FaceLatentsError

Measure = Callable[[Tensor], Tensor]  # of crops `(B, 3, S, S)`


def load_function(option: str, function: Measure | str) -> Measure:
    """The function itself, or the one that "MODULE:FUNCTION" names.

    Args:
        option: what the user calls it.
        function: see above.

    Raises:
        FaceLatentsError: there is no such module, or no such function in it.
    """
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FaceLatentsError(
            f"{option}={function} was not found ({error}). Write MODULE:FUNCTION, and let "
            "PYTHONPATH name the folder of the module."
        ) from error
    if not callable(found):
        raise FaceLatentsError(f"{option}={function} is no function.")
    chosen: Measure = found
    return chosen

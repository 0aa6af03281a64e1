"""Telling people apart, for the evaluation: a measure of your own, or gradient histograms.

A recogniser is a function from aligned crops `(B, 3, S, S)` float32 in [0, 1] to embeddings
`(B, D)`, compared by Euclidean distance. None ships with the project: face recognisers are large,
and most come with conditions. To measure with one, write the function in a module that Python
finds, and name it: `PYTHONPATH=. face-latents evaluate face recogniser=my_module:embed`. In crops
of the bundled model the five landmarks lie at `templates.TIGHT.pixels()`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from ....models.errors import FaceLatentsError
from ....models.imaging.features import gradient_descriptor

Recogniser = Callable[[Tensor], Tensor]


def load_recogniser(recogniser: Recogniser | str | None) -> Recogniser:
    """The function itself, the function that "MODULE:FUNCTION" names, or gradient histograms.

    Raises:
        FaceLatentsError: there is no such module, or no such function in it.
    """
    if recogniser is None:
        return gradient_descriptor
    if not isinstance(recogniser, str):
        return recogniser
    module, _, name = recogniser.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise FaceLatentsError(
            f"recogniser={recogniser} was not found ({error}). Write MODULE:FUNCTION, and let "
            "PYTHONPATH name the folder of the module."
        ) from error
    if not callable(found):
        raise FaceLatentsError(f"recogniser={recogniser} is no function.")
    function: Recogniser = found
    return function


def measure_of(recogniser: Recogniser) -> str:
    """What the figures call it."""
    if recogniser is gradient_descriptor:
        return "gradient histograms"
    return f"{recogniser.__module__}:{getattr(recogniser, '__name__', type(recogniser).__name__)}"

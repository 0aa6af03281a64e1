"""Telling people apart, for the evaluation: a measure of your own, or gradient histograms.

A recogniser is a function from aligned crops `(B, 3, 224, 224)` float32 in [0, 1], in which the
five landmarks lie at `templates.WIDE.resized(224).pixels()`, to embeddings `(B, D)`, compared by
Euclidean distance. None ships with the project: face recognisers are large, and most come with
conditions. To measure with one, write the function in a module that Python finds, and name it:
`PYTHONPATH=. face-latents evaluate face recogniser=my_module:embed`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....models.geometry.templates import TIGHT, WIDE, AlignmentTemplate
from ....models.imaging.align import reframe
from ....models.imaging.features import gradient_descriptor
from .outside import Measure, load_function

Recogniser = Measure

FRAMING = WIDE.resized(224)
BATCH = 64


def load_recogniser(recogniser: Recogniser | str | None) -> Recogniser:
    """The function itself, the function that "MODULE:FUNCTION" names, or gradient histograms.

    Raises:
        FaceLatentsError: there is no such module, or no such function in it.
    """
    if recogniser is None:
        return gradient_descriptor
    return load_function("recogniser", recogniser)


def embed(recogniser: Recogniser, crops: Tensor, template: AlignmentTemplate) -> Tensor:
    """Embeddings `(B, D)` of crops `(B, 3, S, S)` that a template frames.

    Gradient histograms look at the face alone, without hair and background.
    """
    wanted = TIGHT if recogniser is gradient_descriptor else FRAMING
    parts = [recogniser(reframe(part, template, wanted)) for part in crops.split(BATCH)]
    return torch.cat(parts)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Between embeddings `(N, D)`, one by one: `(N,)`."""
    apart: Tensor = (a - b).norm(dim=1)
    return apart


def measure_of(recogniser: Recogniser) -> str:
    """What the figures call it."""
    if recogniser is gradient_descriptor:
        return "gradient histograms"
    return f"{recogniser.__module__}:{getattr(recogniser, '__name__', type(recogniser).__name__)}"

"""Faces that no photo shows: middles of morphs, and random ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.finder.checkpoint import load_finder
from ....models.finder.faces import FaceFinder
from ...measures import sharpness
from .subjects import BATCH, Subjects, close_up, decode, median

PAIRS = 60
TRUNCATION = 0.7


def evaluate_morphs(subjects: Subjects) -> dict[str, object]:
    """Decode the middle between each face and the next.

    Returns:
        `sharpness_mid`: of the middle over the mean of both photos, the median of pairs;
        `sharpness_mid_decoded`: over the mean of both decodes; `pairs`.
    """
    model, template = subjects.model, subjects.model.template
    some = subjects[: PAIRS + 1]
    middles = decode(model, (some.codes[:-1] + some.codes[1:]) / 2)
    middle = sharpness(close_up(middles, template))
    ends = [
        sharpness(close_up(crops, template)) for crops in (some.crops, decode(model, some.codes))
    ]
    photos, decoded = (middle / ((each[:-1] + each[1:]) / 2) for each in ends)
    return {
        "sharpness_mid": median(photos),
        "sharpness_mid_decoded": median(decoded),
        "pairs": len(middles),
    }


def evaluate_samples(
    model: FaceModel,
    crops: Tensor,
    count: int,
    progress: Callable[[str, int, int], None],
    finder: FaceFinder | None = None,
) -> dict[str, object]:
    """Draw random faces and look for them.

    Args:
        model: draws them, truncated to 0.7.
        crops: real faces `(N, 3, S, S)`.
        count: of random faces.
        progress: called with (stage, done, total).
        finder: None takes the bundled one.

    Returns:
        `sharpness`: median over that of the real faces; `found`: share that the finder finds in a
        margin of border pixels; `faces`.
    """
    finder = finder or load_finder()
    codes = model.sample(count, 0, TRUNCATION)
    clear, found = [], 0
    for start in range(0, count, BATCH):
        progress("samples", start, count)
        pictures = decode(model, codes[start : start + BATCH]).clamp(0, 1)
        clear.append(sharpness(close_up(pictures, model.template)))
        margin = pictures.shape[-1] // 4
        padded = F.pad(pictures, (margin,) * 4, mode="replicate")
        found += sum(bool(finder.find(picture.permute(1, 2, 0))) for picture in padded)
    real = sharpness(close_up(crops, model.template)).median()
    return {
        "sharpness": median(torch.cat(clear) / real),
        "found": round(found / count, 4),
        "faces": count,
    }

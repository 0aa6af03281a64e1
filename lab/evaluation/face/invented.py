"""Faces that no photo shows: middles of morphs, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.finder.checkpoint import load_finder
from ....models.finder.faces import FaceFinder
from ....models.geometry.templates import AlignmentTemplate
from ....models.paste.face import PhotoFace
from ....models.paste.morph import PhotoMorph, view_of
from ...measures import sharpness
from .subjects import BATCH, Subjects, close_up, crops_as_photos, decode, median

PAIRS = 60
TRUNCATION = 0.7


def evaluate_morphs(subjects: Subjects) -> dict[str, object]:
    """Draw the middle between each face and the next, as Morph Photos and as Decode Face does.

    Returns:
        `sharpness_mid`: of the photos' middle over the mean of both photos, the median of pairs;
        `sharpness_mid_decoded`: of the decoded middle over the mean of both decodes; `pairs`.
    """
    model, template = subjects.model, subjects.model.template
    some = subjects[: PAIRS + 1]
    codes = (some.codes[:-1] + some.codes[1:]) / 2
    faces = crops_as_photos(model, some.crops, some.codes, some.rows, some.recogniser).faces
    mixed = torch.stack([_middle(model, faces[i : i + 2], code) for i, code in enumerate(codes)])
    photos, drawn = some.crops, decode(model, some.codes)
    return {
        "sharpness_mid": _over_ends(mixed, photos, template),
        "sharpness_mid_decoded": _over_ends(decode(model, codes), drawn, template),
        "pairs": len(codes),
    }


def _middle(model: FaceModel, pair: Sequence[PhotoFace], code: Tensor) -> Tensor:
    """The photos of a pair mixed as a code says, in their common crop `(3, S, S)`."""
    morph = PhotoMorph(model, pair, view_of(pair[0].context))
    return morph.draw(code).permute(2, 0, 1)


def _over_ends(middles: Tensor, ends: Tensor, template: AlignmentTemplate) -> float | None:
    """Median sharpness of N pictures over the mean of that of N + 1 they lie between."""
    middle, end = (sharpness(close_up(pictures, template)) for pictures in (middles, ends))
    return median(middle / ((end[:-1] + end[1:]) / 2))


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

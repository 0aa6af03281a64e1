"""What is read off codes: expressions carried over, distances between people, ages.

`face-latents evaluate codes --data DIR` measures on photos with the model's own landmarks, most of
them kept from training. People with a neutral and a smiling photo are few, so that those of the
training part count too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel, bundled_face_model_path, load_face_model
from ...models.face_model.comparison import PARTS, compare_part
from ...nodes.edit.expression import STRENGTH
from ..data.faces import AGE_YEARS, load_faces
from ..data.landmarks import TeacherPhoto, teacher_photos
from .face.recogniser import Recogniser, load_recogniser, measure_of
from .face.subjects import BATCH, Subjects, median, photos_with_surroundings

METRICS = ("euclidean", "cosine")
OTHERS = 7  # places further on is the person whose expression is taken over
STRANGERS = 0.01  # share of strangers that may be nearer than a limit


@dataclass(frozen=True)
class CodesEvaluation:
    """How many faces are looked at, and who tells people apart."""

    pairs: Annotated[int, "people whose expression is copied"] = 20
    faces: Annotated[int, "of FairFace val, for ages and strangers"] = 300
    mirrored: Annotated[int, "of these are encoded mirrored as well"] = 50
    recogniser: Annotated[str | None, "MODULE:FUNCTION, see recogniser.py"] = None


def evaluate_codes(
    data_dir: Path,
    settings: CodesEvaluation,
    *,
    model: FaceModel | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, object]:
    """Measure a face model that reads expressions off its codes.

    Returns:
        `expression`: of `measure_copies`; `distances`: of `measure_distances`; `age`: of
        `measure_ages`.

    Raises:
        FaceLatentsError: the model reads no expressions, or data are missing.
    """
    model = model or load_face_model(bundled_face_model_path())
    if model.expressions is None:
        raise FaceLatentsError(f"evaluate codes: model '{model.name}' reads no expressions.")
    recogniser = load_recogniser(settings.recogniser)
    progress("people", 0, 1)
    neutral, smiling = _people(data_dir, model, recogniser)
    faces = load_faces(data_dir, "val", template=model.template, most=settings.faces)
    crops = faces.floats()
    progress("faces", 0, 1)
    codes = _encode(model, crops)
    mirrored = _encode(model, crops[: settings.mirrored].flip(-1))
    ages = torch.tensor([AGE_YEARS[row["age_bin"]] for row in faces.rows])
    progress("copies", 0, 1)
    return {
        "identity_measure": measure_of(recogniser),
        "expression": {
            "neutral_to_smiling": measure_copies(neutral, smiling, settings.pairs, OTHERS),
            "smiling_to_neutral": measure_copies(smiling, neutral, settings.pairs, OTHERS),
            "own_smile": measure_copies(neutral, smiling, settings.pairs, 0),
        },
        "distances": measure_distances(model, neutral.codes, smiling.codes, codes, mirrored),
        "age": measure_ages(model, codes, ages),
    }


def measure_copies(faces: Subjects, others: Subjects, most: int, further: int) -> dict[str, object]:
    """Copy expressions as the node does by default, and look at the edited photos again.

    Args:
        faces: are edited.
        others: the same people, whose expressions are copied.
        most: faces edited.
        further: how many places after a face the person stands whose expression it takes; 0: its
            own.

    Returns:
        `fall`: by how much the distance of the scores to those of the other photo falls, summed
        over all, in shares of what it was; `fall_p25`: what all but the worst quarter reach;
        `identity`, `identity_p95`: distance of the edited face to the unedited one; `pairs`.
    """
    model, count = faces.model, min(most, len(faces))
    expressions = model.expressions
    assert expressions is not None  # who calls has looked
    index = torch.arange(count)
    wanted = others.codes[(index + further) % len(others)]
    before = faces.codes[:count]
    change = expressions.change(before, wanted)
    edited = faces.edited(index, STRENGTH * change)
    after = _encode(model, edited)
    weights = expressions.readings.flatten(1).T
    start, end = (((codes - wanted) @ weights).norm(dim=1) for codes in (before, after))
    identity = faces.identity(index, edited)
    return {
        "fall": round(float(1 - end.sum() / start.sum()), 3),
        "fall_p25": round(float((1 - end / start).quantile(0.25)), 3),
        "identity": median(identity),
        "identity_p95": round(float(identity.quantile(0.95)), 4),
        "pairs": count,
    }


def measure_distances(
    model: FaceModel, a: Tensor, b: Tensor, strangers: Tensor, mirrored: Tensor
) -> dict[str, object]:
    """How distances of the same people and of strangers lie, for each part and metric.

    Args:
        model: whose codes they are.
        a, b: `(P, *shape)`, two photos of each person.
        strangers: `(N, *shape)`, of different people.
        mirrored: `(M, *shape)`, of the first M of these photos, mirrored.

    Returns:
        By part and metric: `same`, `same_p95`: distances of two photos of a person; `strangers`,
        `strangers_p1`: of people with the light and camera of these photos; `recognised`: share of
        people whose other photo is nearer than 99% of such strangers; `everyday`, `everyday_p1`:
        of strangers in everyday photos; `mirror`: largest distance of a photo to its mirror image;
        `mirror_nearest`: share of photos nearer to their mirror image than to all strangers.
    """
    figures: dict[str, object] = {}
    for part in PARTS:
        for metric in METRICS:
            figures[f"{part}_{metric}"] = _lie(model, part, metric, a, b, strangers, mirrored)
    return figures


def _lie(
    model: FaceModel, part: str, metric: str, a: Tensor, b: Tensor, others: Tensor, mirrored: Tensor
) -> dict[str, object]:
    def matrix(x: Tensor, y: Tensor) -> Tensor:
        return compare_part(model, part, x, y, lambda s, t: latent_ops.pairwise(s, t, metric))

    people, everyone = matrix(a, b), matrix(others, others)
    same, apart = people.diagonal(), people[~torch.eye(len(people), dtype=torch.bool)]
    everyone.fill_diagonal_(torch.inf)
    everyday = everyone[everyone.isfinite()]
    limit = apart.quantile(STRANGERS)
    flipped = matrix(others[: len(mirrored)], mirrored).diagonal()
    nearest = everyone[: len(mirrored)].amin(1)
    return {
        "same": median(same),
        "same_p95": round(float(same.quantile(0.95)), 3),
        "strangers": median(apart),
        "strangers_p1": round(float(limit), 3),
        "recognised": round(float((same < limit).float().mean()), 3),
        "everyday": median(everyday),
        "everyday_p1": round(float(everyday.quantile(STRANGERS)), 3),
        "mirror": round(float(flipped.amax()), 3),
        "mirror_nearest": round(float((flipped < nearest).float().mean()), 3),
    }


def measure_ages(model: FaceModel, codes: Tensor, ages: Tensor) -> dict[str, object]:
    """How well ages `(N,)` are read off codes `(N, *shape)`.

    Returns:
        `error_years`: mean distance; `error_of_mean`: the same where everyone is said to be as old
        as the mean; `slope`: of what is read on the truth; `years_per_strength` of the direction.
    """
    direction = model.directions.get("age")
    if direction is None or direction.reading is None:
        return {}
    read = direction.reading.of(codes)
    away, truth = read - read.mean(), ages - ages.mean()
    gained = (direction.reading.weights * direction.vector).sum()
    return {
        "error_years": round(float((read - ages).abs().mean()), 2),
        "error_of_mean": round(float(truth.abs().mean()), 2),
        "slope": round(float((away * truth).sum() / truth.square().sum()), 3),
        "years_per_strength": round(float(gained), 2),
    }


def _people(data_dir: Path, model: FaceModel, recogniser: Recogniser) -> tuple[Subjects, Subjects]:
    """People with a neutral and a smiling photo, those kept from training first."""
    by_person: dict[str, dict[str, TeacherPhoto]] = {}
    for split in ("val", "train"):
        for photo in teacher_photos(data_dir / "sharp", split):
            if photo.row.get("person"):
                by_person.setdefault(photo.row["person"], {})[photo.row["expression"]] = photo
    both = [photos for photos in by_person.values() if len(photos) == 2]
    neutral, smiling = (
        photos_with_surroundings(model, [photos[name] for photos in both], recogniser)
        for name in ("neutral", "smiling")
    )
    return neutral, smiling


def _encode(model: FaceModel, crops: Tensor) -> Tensor:
    return torch.cat([model.encode(part).cpu() for part in crops.split(BATCH)])

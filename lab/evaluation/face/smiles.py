"""A person's own smile: neutral photos edited, beside photos of the same people smiling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.face.net import POSES, FaceShapeAppearanceNet
from ....models.face_model import FaceModel
from ....models.judge import Judge, read
from ...data.landmarks import TeacherPhoto, teacher_photos
from ...directions.recipes import RECIPES
from .points import find_points, in_eye_distances, lips, mouth_shape
from .recogniser import Recogniser, distance
from .subjects import Subjects, median, photos_with_surroundings

SMILE = "smile"
SHARE = next(recipe.pairs for recipe in RECIPES if recipe.name == SMILE)
STRENGTH = 1 / SHARE  # the same for all: as far as people smile on average
FOLDS = 6
SHAPES = ("width", "lift", "open")


def evaluate_smiles(
    model: FaceModel, data_dir: Path, judge: Judge, recogniser: Recogniser, most: int
) -> dict[str, object]:
    """Measure the model's smile on people who were photographed with a neutral and a smiling face.

    Args:
        model: with a direction "smile".
        data_dir: folder of the set `sharp`.
        judge: tells who does not smile.
        recogniser: tells people apart.
        most: people edited of each part.

    Returns:
        Figures of `measure_smiles` of the people kept from training; `cross_validated`: of those
        trained on, each edited by a direction fitted to the others; `others`: width, lift,
        opening and identity of more people who do not smile.
    """
    val, train = (teacher_photos(data_dir / "sharp", split) for split in ("val", "train"))
    vector = model.directions[SMILE].vector
    kept, real = _people(model, val, recogniser)
    figures = measure_smiles(kept[:most], real[:most], vector)
    seen, real = _people(model, train, recogniser)
    if isinstance(model.module, FaceShapeAppearanceNet) and len(seen) > 1:
        vectors = without_fold(model.module, vector, real.codes - seen.codes)
        figures["cross_validated"] = measure_smiles(seen[:most], real[:most], vectors[:most])
    rest = [photo for photo in val if not photo.row.get("person")]
    if rest:
        figures["others"] = _others(model, rest, judge, recogniser, most)
    return figures


def measure_smiles(neutral: Subjects, smiling: Subjects, vectors: Tensor) -> dict[str, object]:
    """Edit neutral faces and compare their mouths with those of the same people smiling.

    Args:
        neutral, smiling: the same people in the same order.
        vectors: direction, `(K,)` or one a person.

    Returns:
        `rest`: mean distance of the lips' points to the real smile in a frame of the eyes, over
        that of the unedited face: 1 explains nothing; `rest_measured`: the same at the strength
        that lays each mouth best onto its smile; `identity`, `identity_untouched`: distance of the
        edited and the unedited face to the smiling one, medians; `width`, `lift`, `open`: mean
        change of the mouth in eye distances, and `real_*`, that of the real smile; `persons`.
    """
    if not len(neutral):
        return {"persons": 0}
    template, everyone = neutral.model.template, torch.arange(len(neutral))
    edited = neutral.edited(everyone, STRENGTH * vectors)
    before, real, after = (
        in_eye_distances(find_points(crops, template))
        for crops in (neutral.crops, smiling.crops, edited)
    )
    moved, wanted = lips(after) - lips(before), lips(real) - lips(before)
    best = (moved * wanted).sum((1, 2)) / moved.square().sum((1, 2)).clamp(min=1e-9)
    most = neutral.model.directions[SMILE].safe_range[1] / STRENGTH
    strengths = STRENGTH * best.clamp(0, most)[:, None]
    measured = neutral.edited(everyone, strengths * vectors)
    nearest = in_eye_distances(find_points(measured, template))
    shapes = [mouth_shape(placed) for placed in (before, after, real)]
    change, real_change = ((shape - shapes[0]).mean(0).tolist() for shape in shapes[1:])
    return {
        "persons": len(neutral),
        "rest": _rest(before, after, real),
        "rest_measured": _rest(before, nearest, real),
        "identity": median(distance(neutral.embed(edited), smiling.embeddings)),
        "identity_untouched": median(distance(neutral.embeddings, smiling.embeddings)),
        **{name: round(value, 3) for name, value in zip(SHAPES, change, strict=True)},
        **{f"real_{name}": round(v, 3) for name, v in zip(SHAPES, real_change, strict=True)},
    }


def _rest(before: Tensor, after: Tensor, real: Tensor) -> float:
    left, whole = ((lips(each) - lips(real)).norm(dim=-1).mean() for each in (after, before))
    return round(float(left / whole), 3)


def without_fold(net: FaceShapeAppearanceNet, vector: Tensor, pairs: Tensor) -> Tensor:
    """The direction refitted to all people but those of a fold, for each person: `(P, K)`.

    Its shape is a share of the mean change of the people trained on; what others teach it stays.

    Args:
        net: whose codes they are.
        vector: `(K,)`, fitted to all.
        pairs: `(P, K)`, change of each person's code.
    """
    fold = torch.arange(len(pairs)) % FOLDS
    place = torch.arange(pairs.shape[1])
    shape = (place >= POSES) & (place < POSES + len(net.shape.std)) & (net.parity > 0)
    refitted = []
    for number in fold:
        others = pairs[fold != number].mean(0) - pairs.mean(0)
        refitted.append(vector + SHARE * torch.where(shape, others, 0.0))
    return torch.stack(refitted)


def _people(
    model: FaceModel, photos: Sequence[TeacherPhoto], recogniser: Recogniser
) -> tuple[Subjects, Subjects]:
    """People with a neutral and a smiling photo."""
    by_person: dict[str, dict[str, TeacherPhoto]] = {}
    for photo in photos:
        if photo.row.get("person"):
            by_person.setdefault(photo.row["person"], {})[photo.row["expression"]] = photo
    both = [person for person in by_person.values() if len(person) == 2]
    neutral, smiling = (
        photos_with_surroundings(model, [person[name] for person in both], recogniser)
        for name in ("neutral", "smiling")
    )
    return neutral, smiling


def _others(
    model: FaceModel,
    photos: Sequence[TeacherPhoto],
    judge: Judge,
    recogniser: Recogniser,
    most: int,
) -> dict[str, object]:
    subjects = photos_with_surroundings(model, photos, recogniser)
    serious = read(judge, subjects.crops, model.template)["smile"] < 0.5
    index = serious.nonzero().flatten()[:most]
    if not len(index):
        return {"faces": 0}
    edited = subjects.edited(index, STRENGTH * model.directions[SMILE].vector)
    before, after = (
        mouth_shape(in_eye_distances(find_points(crops, model.template)))
        for crops in (subjects.crops[index], edited)
    )
    change = (after - before).mean(0).tolist()
    return {
        "faces": len(index),
        **{name: round(value, 3) for name, value in zip(SHAPES, change, strict=True)},
        "identity": median(subjects.identity(index, edited)),
    }

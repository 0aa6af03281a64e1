"""Faces to be edited as users edit them: the change is put back into the picture by Paste Back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.finder.dense_landmarks import FIVE
from ....models.geometry.similarity import similarity_transform, transform_points, transform_scale
from ....models.geometry.templates import TIGHT, AlignmentTemplate
from ....models.imaging.align import align
from ....models.paste.back import paste_back
from ....models.paste.edit import plan_edits
from ....models.paste.face import SURROUNDINGS, PhotoFace, cut_face
from ....models.values import PhotoContext
from ...data.landmarks import TeacherPhoto
from .recogniser import Recogniser, distance, embed

BATCH = 50  # crops encoded or decoded at once
EDITS = 12  # edits at once: each is a stack of maps
# What only some faces can have is tried on those: no woman in these data has a beard.
ONLY = {"beard": ("gender", "male")}


@dataclass(frozen=True, eq=False)
class Subjects:
    """Faces to edit.

    Attributes:
        model: edits them.
        faces: N faces, each in a photo.
        rows: N rows of the table.
        recogniser: tells people apart.
    """

    model: FaceModel
    faces: Sequence[PhotoFace]
    rows: Sequence[Mapping[str, str]]
    recogniser: Recogniser

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, chosen: slice) -> Subjects:
        """Some of them."""
        return Subjects(self.model, self.faces[chosen], self.rows[chosen], self.recogniser)

    @cached_property
    def crops(self) -> Tensor:
        """The unedited faces, `(N, 3, S, S)` in [0, 1]."""
        return torch.stack([face.crop for face in self.faces])

    @cached_property
    def codes(self) -> Tensor:
        """Their codes `(N, *shape)`."""
        return torch.stack([face.code for face in self.faces])

    @cached_property
    def embeddings(self) -> Tensor:
        """What the recogniser makes of the unedited faces, `(N, D)`."""
        return self.embed(self.crops)

    def embed(self, crops: Tensor) -> Tensor:
        """What the recogniser makes of crops framed as these are, `(B, D)`."""
        return embed(self.recogniser, crops, self.model.template)

    def identity(self, index: Tensor, edited: Tensor) -> Tensor:
        """How far edited crops are from the same faces unedited, `(len(index),)`."""
        return distance(self.embed(edited), self.embeddings[index])

    def edited(self, index: Tensor, change: Tensor) -> Tensor:
        """Faces after an edit by Paste Back's default method, aligned: `(len(index), 3, S, S)`.

        Args:
            index: which.
            change: of their codes, `(*shape)` or `(len(index), *shape)`.
        """
        size = self.model.template.size
        changes = change.expand(len(index), *self.model.space.shape)
        pictures = [torch.empty(0, 3, size, size)]
        for some, moved in zip(index.split(EDITS), changes.split(EDITS), strict=True):
            faces = [self.faces[i] for i in some.tolist()]
            edits = plan_edits(self.model, faces, self.codes[some] + moved, run=run_in_parts)
            for face, edit in zip(faces, edits, strict=True):
                photo = paste_back(face.context.photo, face.context, edit)
                pictures.append(cut_face(photo, face.context, size)[None])
        return torch.cat(pictures)

    def tried(self, name: str) -> Tensor:
        """Which faces an attribute is edited on, `(N,)`."""
        if name not in ONLY:
            return torch.ones(len(self), dtype=torch.bool)
        column, value = ONLY[name]
        return torch.tensor([row[column].lower() == value for row in self.rows], dtype=torch.bool)


def crops_as_photos(
    model: FaceModel,
    crops: Tensor,
    codes: Tensor,
    rows: Sequence[Mapping[str, str]],
    recogniser: Recogniser,
) -> Subjects:
    """Crops `(N, 3, S, S)` of the model's template, each being a photo of its own."""
    template, placement = model.template, torch.eye(2, 3, dtype=torch.float64)
    faces = []
    for i, (crop, code) in enumerate(zip(crops, codes, strict=True)):
        photo = crop.permute(1, 2, 0).contiguous()
        context = PhotoContext(photo, placement, template.size, template.pixels(), code, str(i), 0)
        faces.append(PhotoFace(context))
    return Subjects(model, faces, rows, recogniser)


def photos_with_surroundings(
    model: FaceModel, photos: Sequence[TeacherPhoto], recogniser: Recogniser
) -> Subjects:
    """Photos shrunk to the size of the model's crop, with all around the face that edits reach."""
    size = model.template.size
    faces = []
    for some in (photos[i : i + BATCH] for i in range(0, len(photos), BATCH)):
        placed = []
        for photo in some:
            picture = photo.read().permute(1, 2, 0).contiguous()
            landmarks = photo.pixels[list(FIVE), :2].double() - 0.5
            placed.append((picture, landmarks, *align(picture, landmarks, model.template)))
        codes = model.encode(torch.stack([crop for _, _, crop, _ in placed])).float().cpu()
        for photo, code, (picture, landmarks, _, transform) in zip(
            some, codes, placed, strict=True
        ):
            context = PhotoContext(
                picture.float() / 255, transform, size, landmarks, code, photo.name, 0
            )
            square = PhotoFace(context).in_square(round(SURROUNDINGS * size), SURROUNDINGS)
            faces.append(square)
    return Subjects(model, faces, [photo.row for photo in photos], recogniser)


def run_in_parts(what: str, function: Callable[..., Tensor], *items: Tensor) -> Tensor:
    """Apply a model's function to some items `(n, ...)` at a time; the results on the CPU."""
    parts = zip(*(item.split(BATCH) for item in items), strict=True)
    return torch.cat([function(*part).cpu() for part in parts])


def decode(model: FaceModel, codes: Tensor) -> Tensor:
    """Pictures of codes, some at a time, on the CPU."""
    return run_in_parts("decode", model.decode, codes)


def close_up(crops: Tensor, template: AlignmentTemplate) -> Tensor:
    """The face in crops `(B, 3, S, S)`: what template "tight" shows, pixel by pixel."""
    size = crops.shape[-1]
    placed = similarity_transform(TIGHT.points, template.points)
    corner = transform_points(placed, torch.zeros(1, 2))[0] * size
    left, top = corner.round().long().clamp(0, size).tolist()
    side = round(float(transform_scale(placed)) * size)
    return crops[..., top : top + side, left : left + side]


def median(values: Tensor) -> float | None:
    """Rounded for a report; None of no values."""
    return round(float(values.float().median()), 4) if len(values) else None


def share(values: Tensor) -> float:
    """Mean of numbers or truths, those that are not numbers left out."""
    return round(float(values.float().nanmean()), 3)

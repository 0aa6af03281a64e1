"""Photos with dense landmarks as canonical faces: everyone's features in the same pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.architectures.face.mesh import MeshMap, grid_places
from ...models.geometry.similarity import invert_transform, transform_points
from .landmarks import Progress, TeacherPhoto


@dataclass(frozen=True, eq=False)
class CanonicalFaces:
    """Faces of one set and split.

    Attributes:
        pictures: `(N, 3, S, S)` uint8, on the canonical points.
        points: `(N, 478, 3)`, see `TeacherPhoto.points`.
        rows: of the table.
    """

    pictures: Tensor
    points: Tensor
    rows: tuple[dict[str, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> Tensor:
        """A numeric column `(N,)` float32."""
        return torch.tensor([float(row[name]) for row in self.rows])


def read_canonical_faces(
    photos: Sequence[TeacherPhoto],
    canon: Tensor,
    mesh: MeshMap,
    cache: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> CanonicalFaces:
    """Read every photo on the canonical points.

    Args:
        photos: which.
        canon: `(478, 3)`, the canonical points.
        mesh: of these, on a grid of S places over one side of the crop.
        cache: file to keep the pictures in.
        progress: called with (stage, done, total).
    """
    points = torch.stack([photo.points for photo in photos])
    rows = tuple(photo.row for photo in photos)
    if cache is not None and cache.is_file():
        return CanonicalFaces(torch.load(cache, weights_only=True), points, rows)
    pictures = torch.empty(len(photos), 3, mesh.side, mesh.side, dtype=torch.uint8)
    places = grid_places(mesh.side, 1.0).flatten(0, 1)
    for i, photo in enumerate(photos):
        shift = mesh.spread((photo.points - canon)[None, :, :2])[0]
        pictures[i] = _read(photo, places + shift.flatten(1).T, mesh.side)
        if i % 100 == 0:
            progress("reading canonical faces", i, len(photos))
    if cache is not None:
        torch.save(pictures, cache)
    return CanonicalFaces(pictures, points, rows)


def _read(photo: TeacherPhoto, places: Tensor, side: int) -> Tensor:
    """The photo at places `(side^2, 2)` of the crop: `(3, side, side)` uint8."""
    picture = photo.read()[None].float()
    height, width = picture.shape[-2:]
    xy = transform_points(invert_transform(photo.transform), places)
    grid = (xy / torch.tensor([width, height]) * 2 - 1).float().view(1, side, side, 2)
    shrink = float(photo.transform[:, 0].norm()) * side
    if shrink < 1:  # a photo finer than the crop: as fine, so that no pixel is skipped
        size = (round(height * shrink), round(width * shrink))
        picture = F.interpolate(picture, size=size, mode="bicubic", antialias=True)
    read = F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return read[0].round().clamp(0, 255).to(torch.uint8)

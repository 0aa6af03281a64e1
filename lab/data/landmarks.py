"""Photos with a teacher's dense landmarks, and crops of their faces with room around them."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.finder.dense_landmarks import FIVE
from ...models.geometry.similarity import invert_transform, similarity_transform, transform_points
from ...models.geometry.templates import WIDE
from ...models.imaging.opening import open_header

Progress = Callable[[str, int, int], None]
SETS = ("faces", "portraits_context", "sharp")
SIDE = 192  # pixels of a stored crop
ROOM = 1.4  # side of a stored crop over that of the network's
MOST_GAP = 0.25  # eye distances between teacher and finder from which the teacher is wrong
# The terms of these generators on training with their outputs are not settled.
NOT_FOR_TRAINING = ("FLUX1_dev", "FLUX1_pro")
_PARTS = {"sharp": 16.0}  # of a pixel that the files count in; else 64
_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class TeacherPhoto:
    """A photo in an archive, and what its tables say of it.

    Attributes:
        archive: a zip file.
        name: in it.
        pixels: `(478, 3)` in photo pixels from the outer edge of the first one.
        transform: `(2, 3)` float64, these pixels to shares of the side of template "wide" from its
            middle, by the five landmarks among the points.
        points: `(478, 3)` float32, `pixels` so transformed, depth in the same scale.
        row: of the table.
    """

    archive: Path
    name: str
    pixels: Tensor
    transform: Tensor
    points: Tensor
    row: dict[str, str]

    def read(self) -> Tensor:
        """The picture `(3, H, W)` uint8."""
        with zipfile.ZipFile(self.archive) as archive:
            data = archive.read(self.name)
        picture = np.array(open_header(io.BytesIO(data), self.name).convert("RGB"))
        return torch.from_numpy(picture).permute(2, 0, 1)


def teacher_photos(folder: str | Path, split: str) -> list[TeacherPhoto]:
    """Photos of a set and split whose landmarks the teacher found.

    Args:
        folder: of a set, with a table, `landmarks*.npz` and archives.
        split: "train" or "val".

    Raises:
        FaceLatentsError: a table or a file of landmarks is missing.
    """
    folder = Path(folder)
    table = next((p for p in (folder / "metadata.csv", folder / "boxes.csv") if p.is_file()), None)
    marks = sorted(folder.glob("landmarks*.npz"))
    if table is None or not marks:
        raise FaceLatentsError(
            f"{folder} must hold a table (metadata.csv or boxes.csv) and landmarks*.npz; found "
            f"{'no table' if table is None else table.name} and {len(marks)} files of landmarks."
        )
    parts = [dict(np.load(path)) for path in marks]
    counted = np.concatenate([part["landmarks"] for part in parts])
    points = torch.from_numpy(counted).float() / _PARTS.get(folder.name, 64.0)
    good = np.ones(len(points), bool)
    if "found" in parts[0]:
        found = np.concatenate([part["found"] for part in parts]).astype(bool)
        gap = np.concatenate([part["eye_gap"] for part in parts]).astype(np.float32)
        good = found & (gap < MOST_GAP)
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        _photo(folder / row.get("shard", f"{folder.name}.zip"), row, face)
        for row, ok, face in zip(rows, good, points, strict=True)
        if ok
        and row["split"] == split
        and not (split == "train" and row.get("generator") in NOT_FOR_TRAINING)
    ]


def _photo(archive: Path, row: dict[str, str], pixels: Tensor) -> TeacherPhoto:
    transform = similarity_transform(pixels[list(FIVE), :2], WIDE.points - 0.5)
    flat = transform_points(transform, pixels[:, :2]).float()
    depth = pixels[:, 2:] * float(transform[:, 0].norm())
    points = torch.cat([flat, depth], 1)
    return TeacherPhoto(archive, row["name"], pixels, transform, points, row)


def mirrored_order(points: Tensor) -> Tensor:
    """`(478,)`: which point each is in a mirrored picture.

    Args:
        points: `(N, 478, 3)` of many faces; their mean is almost symmetric.
    """
    mean = points.mean(0)
    mean = mean - mean.mean(0)
    return torch.cdist(mean, mean * _MIRROR).argmin(1)


def checksum(names: Sequence[str], points: Tensor) -> str:
    """Of training data: names of photos, and their points."""
    digest = hashlib.sha256("\n".join(names).encode())
    digest.update(points.half().numpy().tobytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class LandmarkSet:
    """Faces of one split.

    Attributes:
        crops: `(N, 3, 192, 192)` uint8, the face as in template "wide", 1.4 times as much of it.
        points: `(N, 478, 3)` float32, see `TeacherPhoto.points`.
        names: of the photos.
    """

    crops: Tensor
    points: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.crops)


def load_landmarks(
    data_dir: str | Path,
    split: str,
    *,
    sets: tuple[str, ...] = SETS,
    cache_dir: str | Path | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> LandmarkSet:
    """Read photos and teacher landmarks of a split ("train" or "val").

    Args:
        data_dir: the folder that holds the sets.
        split: which rows of their tables.
        sets: names of folders.
        cache_dir: keep the crops there.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: a table or a file of landmarks is missing.
    """
    cache = (
        None if cache_dir is None else Path(cache_dir) / f"landmarks_{split}_{'_'.join(sets)}.pt"
    )
    if cache is not None and cache.is_file():
        crops, points, names = torch.load(cache, weights_only=True)
        return LandmarkSet(crops, points, tuple(names))
    photos = [photo for name in sets for photo in teacher_photos(Path(data_dir) / name, split)]
    crops = torch.empty(len(photos), 3, SIDE, SIDE, dtype=torch.uint8)
    for i, photo in enumerate(photos):
        crops[i] = _crop(photo)
        if i % 100 == 0:
            progress(f"reading {split} faces", i, len(photos))
    points = torch.stack([photo.points for photo in photos])
    names = tuple(photo.name for photo in photos)
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        torch.save((crops, points, list(names)), cache)
    return LandmarkSet(crops, points, names)


def _crop(photo: TeacherPhoto) -> Tensor:
    pixels = photo.read().permute(1, 2, 0).numpy()
    edge = max(pixels.shape) // 2  # repeated, as alignment does beyond a photo's border
    padded = Image.fromarray(np.pad(pixels, ((edge, edge), (edge, edge), (0, 0)), mode="edge"))
    scale = SIDE / ROOM
    to_crop = photo.transform * scale + torch.tensor([[0, 0, 1], [0, 0, 1]]) * (SIDE / 2)
    factor = max(1, int(1 / float(to_crop[:, 0].norm())))
    back = invert_transform(to_crop) + torch.tensor([[0, 0, edge], [0, 0, edge]])
    crop = padded.reduce(factor).transform(
        (SIDE, SIDE),
        Image.Transform.AFFINE,
        tuple((back / factor).flatten().tolist()),
        Image.Resampling.BICUBIC,
    )
    return torch.from_numpy(np.array(crop)).permute(2, 0, 1)

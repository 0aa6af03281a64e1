"""The face data set (zip shards with a table of landmarks and labels) as aligned crops."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.geometry.templates import LANDMARK_NAMES, TIGHT, AlignmentTemplate
from ...models.imaging.align import align
from ...models.imaging.opening import open_header

logger = logging.getLogger(__name__)

METADATA_FILE = "metadata.csv"
FAIRFACE = (
    "Face images: FairFace dataset, Kimmo Karkkainen and Jungseock Joo, FairFace: Face Attribute "
    "Dataset for Balanced Race, Gender, and Age for Bias Measurement and Mitigation, WACV 2021, "
    "pp. 1548-1558. https://github.com/joojs/fairface. Licensed under CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/). Changes: a subset was selected and re-encoded "
    "as WebP; landmarks and pseudo labels were added"
)
ATTRIBUTION = f"{FAIRFACE}; the weights were fitted to the aligned faces."
AGE_BINS = ("20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
AGE_YEARS = dict(zip(AGE_BINS, (25.0, 35.0, 45.0, 55.0, 65.0, 75.0), strict=True))


@dataclass(frozen=True, eq=False)
class FaceSet:
    """Aligned crops of one split, with their table rows.

    Attributes:
        crops: `(N, 3, S, S)` uint8.
        rows: N rows of the table, as text.
    """

    crops: Tensor
    rows: tuple[dict[str, str], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device) -> FaceSet:
        """With the crops on another device."""
        return FaceSet(self.crops.to(device), self.rows)

    def column(self, name: str) -> Tensor:
        """A numeric column `(N,)` float32."""
        return torch.tensor([float(row[name]) for row in self.rows])

    def floats(self, index: slice | Tensor = slice(None)) -> Tensor:
        """Crops as float32 in [0, 1]."""
        return self.crops[index].float() / 255


def faces_folder(data_dir: str | Path) -> Path:
    """The folder of the face table: `data_dir` itself, or its folder `faces`."""
    inside = Path(data_dir) / "faces"
    return inside if (inside / METADATA_FILE).is_file() else Path(data_dir)


def read_rows(data_dir: str | Path, split: str, *, max_tier: int = 2) -> list[dict[str, str]]:
    """Rows of the table that belong to a split ("train" or "val").

    Raises:
        FaceLatentsError: there is no table, or it lacks the columns or the split.
    """
    path = faces_folder(data_dir) / METADATA_FILE
    if not path.is_file():
        raise FaceLatentsError(
            f"{path} was not found. Give the folder that holds {METADATA_FILE} and the "
            "faces-*.zip files."
        )
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        needed = {"name", "shard", "split"} | {f"{n}_{a}" for n in LANDMARK_NAMES for a in "xy"}
        missing = needed - set(reader.fieldnames or ())
        if missing:
            raise FaceLatentsError(f"{path} lacks the columns {', '.join(sorted(missing))}.")
        rows = [
            row for row in reader if row["split"] == split and int(row.get("tier", 1)) <= max_tier
        ]
    if not rows:
        raise FaceLatentsError(f"{path} has no rows of the split '{split}'.")
    return rows


def load_faces(
    data_dir: str | Path,
    split: str,
    *,
    template: AlignmentTemplate = TIGHT,
    max_tier: int = 2,
    most: int | None = None,
    cache_dir: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> FaceSet:
    """Read, align and keep the faces of a split; landmarks come from the table.

    Args:
        data_dir: folder of `metadata.csv` and the zip shards.
        split: "train" or "val".
        template: alignment; also sets the crop size.
        max_tier: 1 for the stricter part of the data, 2 for all of it.
        most: the first so many; None: all.
        cache_dir: where the crops are kept between runs; None keeps nothing.
        progress: called with (stage, done, total).

    Raises:
        FaceLatentsError: the table or a shard is missing or damaged.
    """
    rows = read_rows(data_dir, split, max_tier=max_tier)[:most]
    cache = None
    if cache_dir is not None:
        facts = json.dumps([template.size, template.points.tolist(), [r["name"] for r in rows]])
        key = hashlib.sha256(facts.encode()).hexdigest()[:12]
        cache = Path(cache_dir) / f"crops-{split}-{key}.npy"
        if cache.is_file():
            crops = np.load(cache, allow_pickle=False)
            return FaceSet(torch.from_numpy(crops), tuple(rows))
    crops = np.empty((len(rows), 3, template.size, template.size), dtype=np.uint8)
    archives: dict[str, zipfile.ZipFile] = {}
    try:
        for i, row in enumerate(rows):
            crops[i] = _aligned(_photo(faces_folder(data_dir), row, archives), row, template)
            if (i + 1) % 64 == 0:
                progress(f"align {split}", i + 1, len(rows))
    finally:
        for archive in archives.values():
            archive.close()
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        partial = cache.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, crops)
        os.replace(partial, cache)
    return FaceSet(torch.from_numpy(crops), tuple(rows))


def _photo(folder: Path, row: dict[str, str], archives: dict[str, zipfile.ZipFile]) -> Tensor:
    path = folder / Path(row["shard"]).name
    return torch.from_numpy(np.array(picture_in(path, row["name"], archives)))


def picture_in(path: Path, name: str, archives: dict[str, zipfile.ZipFile]) -> Image.Image:
    """A picture of a zip file, RGB; open files are kept in `archives` by their name.

    Raises:
        FaceLatentsError: there is no such file, or it is damaged or lacks the picture.
    """
    if not path.is_file():
        raise FaceLatentsError(f"{path} was not found; the table of the pictures names it.")
    try:
        if path.name not in archives:
            archives[path.name] = zipfile.ZipFile(path)
        with open_header(io.BytesIO(archives[path.name].read(name)), name) as image:
            converted: Image.Image = image.convert("RGB")
            return converted
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise FaceLatentsError(
            f"{name} could not be read from {path}: {error}. Copy or download the file again."
        ) from error


def landmarks_of(row: dict[str, str]) -> Tensor:
    """`(5, 2)` float64 landmarks in photo pixels."""
    points = [[float(row[f"{name}_{axis}"]) for axis in "xy"] for name in LANDMARK_NAMES]
    return torch.tensor(points, dtype=torch.float64)


def _aligned(photo: Tensor, row: dict[str, str], template: AlignmentTemplate) -> np.ndarray:
    crop, _ = align(photo, landmarks_of(row), template)
    return (crop * 255).round().clamp(0, 255).to(torch.uint8).numpy()

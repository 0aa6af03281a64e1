"""The picture bank the finder's training scenes are cut from: decoded once, kept as uint8.

Faces come from the train splits of FairFace and of the portraits with context; backgrounds are
cut from the latter (away from the face), from object and texture pictures that scikit-image and
scikit-learn bring along (none with a person in it), and drawn procedurally. Nothing of a val
split enters.
"""

from __future__ import annotations

import csv
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...models.files.tensors import load_tensors, save_tensors
from ...models.geometry.similarity import similarity_transform
from ...models.geometry.templates import TIGHT
from ...models.imaging.opening import open_header
from .faces import landmarks_of, picture_in, read_rows

logger = logging.getLogger(__name__)

FACE_SIDE = 112  # FairFace tiles at half size: training faces are smaller than this
CONTEXT_SIDE = 416  # context portraits as they are, on a square canvas
BACKGROUND_SIDE = 192
SCIKIT_IMAGES = (
    "brick.png", "cell.png", "chessboard_GRAY.png", "clock_motion.png", "color.png", "grass.png",
    "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "logo.png",
    "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg",
    "rocket.jpg", "text.png",
)  # fmt: skip
SKLEARN_IMAGES = ("china.jpg", "flower.jpg")


@dataclass(frozen=True, eq=False)
class Tiles:
    """Pictures with one face each, as a pyramid; level k is half the size of level k - 1.

    Attributes
    ----------
    levels : (N, 3, S, S), (N, 3, S / 2, S / 2), ... uint8
    landmarks : (N, 5, 2) float32 in pixels of level 0, pixel centres at integers
    extent : (N, 2) width and height of the picture within the canvas, in pixels of level 0
    """

    levels: list[Tensor]
    landmarks: Tensor
    extent: Tensor

    def __len__(self) -> int:
        return self.landmarks.shape[0]


@dataclass(frozen=True, eq=False)
class Bank:
    faces: Tiles
    context: Tiles
    backgrounds: list[Tensor]  # pyramid of (N, 3, S, S) uint8


def face_rows(data_dir: Path, split: str) -> list[dict[str, str]]:
    return read_rows(data_dir, split)


def context_rows(data_dir: Path, split: str) -> list[dict[str, str]]:
    with (data_dir / "portraits_context" / "boxes.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def row_landmarks(row: dict[str, str]) -> Tensor:
    """(5, 2) float64. The tables count from the image's corner, this package from pixel centres."""
    return landmarks_of(row) - 0.5


def read_images(
    data_dir: Path, rows: list[dict[str, str]]
) -> Iterator[tuple[dict[str, str], Image.Image]]:
    """Decode the rows' pictures from their zip files.

    Raises:
        FaceLatentsError: a file is missing or damaged.
    """
    archives: dict[str, zipfile.ZipFile] = {}
    try:
        for row in rows:
            shard = row.get("shard")
            place = ("faces", shard) if shard else ("portraits_context", "portraits_context.zip")
            yield row, picture_in(data_dir.joinpath(*place), row["name"], archives)
    finally:
        for archive in archives.values():
            archive.close()


def load_bank(data_dir: Path, cache: Path) -> Bank:
    """Read the bank from `cache` (safetensors), building it first where it is missing."""
    if not cache.exists():
        logger.info("decoding the training pictures into %s", cache)
        tensors = _build(data_dir)
        cache.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(cache, tensors, {"content": "finder training pictures"})
    tensors, _ = load_tensors(cache)
    return Bank(
        Tiles(pyramid(tensors["faces"], 3), tensors["face_landmarks"], tensors["face_extent"]),
        Tiles(
            pyramid(tensors["context"], 5), tensors["context_landmarks"], tensors["context_extent"]
        ),
        pyramid(tensors["backgrounds"], 4),
    )


def pyramid(images: Tensor, levels: int) -> list[Tensor]:
    """Repeated 2 x 2 means, in chunks so that no whole bank is ever float."""
    result = [images]
    for _ in range(levels - 1):
        chunks = [F.avg_pool2d(c.float(), 2).round().to(torch.uint8) for c in result[-1].split(512)]
        result.append(torch.cat(chunks))
    return result


def to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def _build(data_dir: Path) -> dict[str, Tensor]:
    faces, face_landmarks = [], []
    for row, image in read_images(data_dir, face_rows(data_dir, "train")):
        faces.append(to_tensor(image.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.BOX)))
        face_landmarks.append((row_landmarks(row) + 0.5) * FACE_SIDE / 224 - 0.5)
    context, context_landmarks, context_extent, cuts = [], [], [], []
    generator = torch.Generator().manual_seed(7)
    for row, image in read_images(data_dir, context_rows(data_dir, "train")):
        landmarks = row_landmarks(row)
        cuts += _cut_away_from_face(to_tensor(image), landmarks, generator)
        canvas = torch.zeros(3, CONTEXT_SIDE, CONTEXT_SIDE, dtype=torch.uint8)
        canvas[:, : image.height, : image.width] = to_tensor(image)
        context.append(canvas)
        context_landmarks.append(landmarks)
        context_extent.append(torch.tensor(image.size, dtype=torch.float32))
    face_stack = torch.stack(faces)
    backgrounds = [
        *cuts,
        *_object_pictures(generator),
        *_procedural(400, generator),
        *_shuffled_faces(face_stack, 300, generator),
    ]
    return {
        "faces": face_stack,
        "face_landmarks": torch.stack(face_landmarks).float(),
        "face_extent": torch.full((len(faces), 2), float(FACE_SIDE)),
        "context": torch.stack(context),
        "context_landmarks": torch.stack(context_landmarks).float(),
        "context_extent": torch.stack(context_extent),
        "backgrounds": torch.stack(backgrounds),
    }


def _resize(image: Tensor, side: int) -> Tensor:
    scaled = F.interpolate(
        image.unsqueeze(0).float(), (side, side), mode="bilinear", antialias=True
    )
    return scaled[0].round().clamp(0, 255).to(torch.uint8)


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _cut_away_from_face(
    image: Tensor, landmarks: Tensor, generator: torch.Generator
) -> list[Tensor]:
    """Squares of clothing and backdrop that do not touch the face."""
    transform = similarity_transform(TIGHT.pixels(), landmarks)
    scale = float(transform[:, :2].det().abs().sqrt())
    centre = landmarks.mean(0)
    reach = scale * 128 * 0.62
    height, width = image.shape[1:]
    cuts: list[Tensor] = []
    for _ in range(40):
        side = int(_uniform(generator, 50, 220))
        left = int(_uniform(generator, 0, max(1, width - side)))
        top = int(_uniform(generator, 0, max(1, height - side)))
        dx = max(left - float(centre[0]), float(centre[0]) - left - side)
        dy = max(top - float(centre[1]), float(centre[1]) - top - side)
        if left + side <= width and top + side <= height and max(dx, dy) > reach:
            cuts.append(_resize(image[:, top : top + side, left : left + side], BACKGROUND_SIDE))
        if len(cuts) == 3:
            break
    return cuts


def _object_pictures(generator: torch.Generator) -> list[Tensor]:
    paths: list[Path] = []
    try:
        import skimage

        paths += [Path(skimage.__file__).parent / "data" / name for name in SCIKIT_IMAGES]
    except ImportError:
        logger.warning("scikit-image is not installed: its pictures are left out")
    try:
        import sklearn.datasets

        folder = Path(sklearn.datasets.__file__).parent / "images"
        paths += [folder / name for name in SKLEARN_IMAGES]
    except ImportError:
        logger.warning("scikit-learn is not installed: its pictures are left out")
    cuts = []
    for path in paths:
        if not path.exists():
            continue
        with open_header(path) as opened:
            image = to_tensor(opened.convert("RGB"))
        height, width = image.shape[1:]
        for _ in range(24):
            side = int(_uniform(generator, 0.2, 1.0) * min(height, width))
            top = int(_uniform(generator, 0, height - side + 1))
            left = int(_uniform(generator, 0, width - side + 1))
            cuts.append(_resize(image[:, top : top + side, left : left + side], BACKGROUND_SIDE))
    return cuts


def _procedural(count: int, generator: torch.Generator) -> list[Tensor]:
    """Fractal noise, gradients, stripes, checks and discs in random colours."""
    side = BACKGROUND_SIDE
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    result = []
    for index in range(count):
        colours = torch.rand(2, 3, 1, 1, generator=generator)
        angle = _uniform(generator, 0, 2 * torch.pi)
        along = xs * np.cos(angle) + ys * np.sin(angle)
        across = ys * np.cos(angle) - xs * np.sin(angle)
        frequency = _uniform(generator, 1, 30)
        kind = index % 5
        if kind == 0:
            field = torch.zeros(side, side)
            for octave in range(1, 7):
                noise = torch.rand(1, 1, 2**octave + 1, 2**octave + 1, generator=generator)
                layer = F.interpolate(noise, (side, side), mode="bicubic", align_corners=True)
                field += layer[0, 0] * _uniform(generator, 0.3, 1.0) / octave
            field = (field - field.min()) / (field.max() - field.min())
        elif kind == 1:
            field = (along + 1.42) / 2.84
        elif kind == 2:
            field = (torch.sin(along * frequency) + 1) / 2
        elif kind == 3:
            field = ((along * frequency).floor() + (across * frequency).floor()) % 2
        else:
            field = torch.zeros(side, side)
            for _ in range(int(_uniform(generator, 2, 16))):
                cx, cy = _uniform(generator, -1, 1), _uniform(generator, -1, 1)
                radius = _uniform(generator, 0.03, 0.5)
                disc = (xs - cx) ** 2 + ((ys - cy) * _uniform(generator, 0.5, 1.5)) ** 2
                field = torch.where(disc < radius**2, _uniform(generator, 0, 1), field)
        image = colours[0] + (colours[1] - colours[0]) * field
        result.append((image.clamp(0, 1) * 255).round().to(torch.uint8))
    return result


def _shuffled_faces(faces: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """Faces cut into squares that change places, and single squares blown up: parts, no face."""
    result = []
    picks = torch.randint(len(faces), (count,), generator=generator)
    for index, pick in enumerate(picks.tolist()):
        face, cells = faces[pick], 4 if index % 2 else 3
        side = FACE_SIDE // cells
        top = int(_uniform(generator, 0, FACE_SIDE - side * cells + 1))
        parts = face[:, top : top + side * cells, top : top + side * cells]
        parts = parts.reshape(3, cells, side, cells, side).permute(1, 3, 0, 2, 4).flatten(0, 1)
        if index % 3 == 0:
            image = parts[int(_uniform(generator, 0, cells * cells))]
        else:
            parts = parts[torch.randperm(cells * cells, generator=generator)]
            image = parts.reshape(cells, cells, 3, side, side).permute(2, 0, 3, 1, 4)
            image = image.reshape(3, side * cells, side * cells)
        result.append(_resize(image, BACKGROUND_SIDE))
    return result

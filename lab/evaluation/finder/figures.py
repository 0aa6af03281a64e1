"""Measuring the face finder on the val splits, which it never saw."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from ....models.finder.checkpoint import load_finder
from ....models.finder.faces import Face, FaceFinder
from ....models.finder.landmarks import landmark_boxes
from ....models.finder.overlaps import overlap_shares
from ....models.geometry.similarity import transform_points
from ....models.imaging.align import align_with_transform
from ...data.finder import context_rows, face_rows, read_images, row_landmarks, to_tensor
from .steadiness import measure_steadiness

logger = logging.getLogger(__name__)

MATCH_IOU = 0.4
SPEED_SIDE = 1024
_STEADY = 40  # photos that are made a video of
TILE = 160  # px of a photo in the picture grid


@dataclass
class _Tally:
    """Counts over one set of photos."""

    faces: int = 0  # one a photo
    found: int = 0
    false: int = 0
    errors: list[float] = field(default_factory=list)
    pictures: list[Image.Image] = field(default_factory=list)
    failures: list[Image.Image] = field(default_factory=list)

    @property
    def recall(self) -> float:
        return self.found / max(1, self.faces)

    def add(self, photo: Tensor, box: Tensor, landmarks: Tensor, faces: list[Face]) -> None:
        self.faces += 1
        boxes = torch.stack([face.box for face in faces]) if faces else torch.zeros(0, 4)
        overlaps = overlap_shares(boxes, box.float())[0]
        hit = bool(len(overlaps)) and float(overlaps.max()) >= MATCH_IOU
        self.found += hit
        self.false += len(faces) - hit
        if hit:
            match = faces[int(overlaps.argmax())]
            between_eyes = (landmarks[0] - landmarks[1]).norm()
            error = (match.landmarks - landmarks).norm(dim=-1).mean() / between_eyes
            self.errors.append(float(error))
        wrong = not hit or len(faces) > 1 or self.errors[-1] > 0.08
        pictures = self.failures if wrong and len(self.failures) < 60 else self.pictures
        if len(pictures) < 60:
            pictures.append(draw_faces(photo, faces))


@dataclass(frozen=True)
class FinderEvaluation:
    """How many photos are measured."""

    limit: Annotated[int | None, "only the first so many photos of each set"] = None
    pictures: Annotated[Path | None, "folder for picture grids"] = None


def evaluate_finder(
    data_dir: str | Path, settings: FinderEvaluation, *, finder: FaceFinder | None = None
) -> dict[str, float]:
    """Recall, false faces, landmark error and speed.

    A face counts as found where a box with IoU >= 0.4 lies on it: against the box of the label for
    the portraits with context, against the box that follows from the labelled landmarks for
    FairFace. Everything else found is a false face; photos without any face are scanned as well,
    where scikit-image is installed (a cat, a cup, textures).

    Args:
        data_dir: the folder with `faces/` and `portraits_context/`.
        settings: see there.
        finder: the bundled one where left out.

    Returns:
        `recall_val`, `recall_context` (shares), `false_per_100` (per 100 photos of all sets),
        `nme_median`, `nme_p95` (mean point distance over the distance between the eyes, both sets),
        `ms_1024` (median milliseconds for a 1024 px photo with one face, before and after all
        else), `photos`, the same by set, the recall on the portraits turned by 45 degrees and
        shrunk to faces of 24 px, and how steady a face is in video, see `measure_steadiness`.
    """
    data_dir, limit, folder = Path(data_dir), settings.limit, settings.pictures
    finder = finder or load_finder()
    times = time_finder(finder, data_dir)
    faces, context = _Tally(), _Tally()
    for row, image in read_images(data_dir, face_rows(data_dir, "val")[:limit]):
        photo, landmarks = to_tensor(image).permute(1, 2, 0), row_landmarks(row)
        box = landmark_boxes(landmarks.unsqueeze(0))[0]
        faces.add(photo, box, landmarks, finder.find(photo))
    for row, image in read_images(data_dir, context_rows(data_dir, "val")[:limit]):
        photo, landmarks = to_tensor(image).permute(1, 2, 0), row_landmarks(row)
        left, top, width, height = (float(row[f"box_{key}"]) for key in ("x", "y", "w", "h"))
        box = torch.tensor([left, top, left + width, top + height])
        context.add(photo, box, landmarks, finder.find(photo))
    rolled, mosaics = _Tally(), _Tally()
    _measure_roll(finder, data_dir, limit, rolled)
    _measure_smallest(finder, data_dir, limit, mosaics)
    steady = measure_steadiness(finder, _portraits(data_dir, min(limit or _STEADY, _STEADY)))
    empty = faceless_photos()
    false_in_empty = 0
    for name, photo in empty.items():
        found = finder.find(photo)
        false_in_empty += len(found)
        if found:
            logger.info("%s: %d false faces, best score %.2f", name, len(found), found[0].score)
            context.failures.append(draw_faces(photo, found))
    errors = torch.tensor(faces.errors + context.errors)
    photos = faces.faces + context.faces + len(empty)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet(rolled.pictures + rolled.failures, folder / "finder_roll.png")
        contact_sheet(faces.pictures, folder / "finder_faces.png")
        contact_sheet(context.pictures, folder / "finder_context.png")
        contact_sheet(faces.failures + context.failures, folder / "finder_wrong.png")
    return {
        "recall_val": faces.recall,
        "recall_context": context.recall,
        "false_per_100": 100 * (faces.false + context.false + false_in_empty) / max(1, photos),
        "recall_roll_45": rolled.recall,
        "recall_24px": mosaics.recall,
        "false_val": faces.false,
        "false_context": context.false,
        "false_faceless": false_in_empty,
        "nme_median": float(errors.median()) if len(errors) else float("nan"),
        "nme_p95": float(errors.quantile(0.95)) if len(errors) else float("nan"),
        "nme_median_val": statistics.median(faces.errors) if faces.errors else float("nan"),
        "nme_median_context": statistics.median(context.errors) if context.errors else float("nan"),
        **steady,
        "ms_1024": 1000 * statistics.median(times + time_finder(finder, data_dir)),
        "photos": photos,
    }


def _measure_roll(finder: FaceFinder, data_dir: Path, limit: int | None, tally: _Tally) -> None:
    """The val portraits turned by 45 degrees, to the left and to the right in turn."""
    half = math.sqrt(0.5)
    for index, (photo, landmarks) in enumerate(_portraits(data_dir, limit)):
        sign = 1.0 if index % 2 else -1.0
        turn = torch.tensor([[half, -sign * half], [sign * half, half]], dtype=torch.float64)
        shift = torch.tensor([200.0, 200.0], dtype=torch.float64) - turn @ landmarks.mean(0)
        matrix = torch.cat([turn, shift.unsqueeze(1)], 1)
        turned = align_with_transform(photo, matrix, 400).permute(1, 2, 0)
        points = transform_points(matrix, landmarks)
        tally.add(turned, landmark_boxes(points.unsqueeze(0))[0], points, finder.find(turned))


def _measure_smallest(finder: FaceFinder, data_dir: Path, limit: int | None, tally: _Tally) -> None:
    """The val portraits shrunk until their faces are 24 px, side by side in 1024 px photos."""
    cell, columns = 72, SPEED_SIDE // 72
    photo = torch.full((SPEED_SIDE, SPEED_SIDE, 3), 0.45)
    expected = []
    for index, (portrait, landmarks) in enumerate(_portraits(data_dir, limit)):
        box = landmark_boxes(landmarks.unsqueeze(0))[0]
        scale = 24.0 / math.sqrt(float((box[2:] - box[:2]).prod()))
        target = torch.tensor([cell / 2, cell * 0.42], dtype=torch.float64)
        shift = target - scale * landmarks.mean(0)
        matrix = torch.cat([torch.eye(2).double() * scale, shift.unsqueeze(1)], 1)
        shrunk = align_with_transform(portrait, matrix, cell)
        corner = torch.tensor([index % columns, index // columns]) * cell
        left, top = corner.tolist()
        photo[top : top + cell, left : left + cell] = shrunk.permute(1, 2, 0)
        expected.append(transform_points(matrix, landmarks) + corner)
    found = finder.find(photo, max_faces=400)
    boxes = torch.stack([face.box for face in found]) if found else torch.zeros(0, 4)
    overlaps, _ = overlap_shares(landmark_boxes(torch.stack(expected))[:, None], boxes)
    tally.faces = len(expected)
    tally.found = int((overlaps >= MATCH_IOU).any(1).sum())


def faceless_photos() -> dict[str, Tensor]:
    """Photos without a human face that scikit-image brings along and the finder never trained on,
    plus noise and a gradient."""
    generator = torch.Generator().manual_seed(3)
    ramp = torch.linspace(0, 1, 512).reshape(1, -1, 1).expand(384, 512, 3)
    photos = {"noise": torch.rand(384, 512, 3, generator=generator), "gradient": ramp}
    try:
        import skimage.data
    except ImportError:
        return photos
    for name in ("chelsea", "coffee"):
        photos[name] = torch.from_numpy(getattr(skimage.data, name)().copy())
    return photos


def _portraits(data_dir: Path, limit: int | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Photos of `portraits_context` `(H, W, 3)` with their landmarks `(5, 2)`."""
    for row, image in read_images(data_dir, context_rows(data_dir, "val")[:limit]):
        yield to_tensor(image).permute(1, 2, 0), row_landmarks(row)


def time_finder(finder: FaceFinder, data_dir: Path, repeats: int = 15) -> list[float]:
    """Seconds for one 1024 px photo (float) with one face, again and again."""
    _, image = next(iter(read_images(data_dir, context_rows(data_dir, "val")[:1])))
    side = max(image.size)
    square = Image.new("RGB", (side, side), (90, 100, 110))
    square.paste(image, (0, 0))
    large = square.resize((SPEED_SIDE, SPEED_SIDE), Image.Resampling.BICUBIC)
    photo = to_tensor(large).permute(1, 2, 0).float().div(255).contiguous()
    finder.find(photo)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        finder.find(photo)
        times.append(time.perf_counter() - start)
    return times


def draw_faces(photo: Tensor, faces: list[Face]) -> Image.Image:
    """A small copy of the photo with boxes, landmarks and scores."""
    scale = TILE / max(photo.shape[:2])
    pixels = photo if photo.dtype == torch.uint8 else (photo * 255).round().to(torch.uint8)
    picture = Image.new("RGB", (TILE, TILE))
    picture.paste(ImageOps.contain(Image.fromarray(pixels.numpy()), picture.size))
    draw = ImageDraw.Draw(picture)
    for face in faces:
        draw.rectangle([v * scale for v in face.box.tolist()], outline="#00ff00")
        for x, y in ((face.landmarks + 0.5) * scale).tolist():
            draw.ellipse((x - 1.5, y - 1.5, x + 1.5, y + 1.5), fill="#ffff00")
        left, top = (face.box[:2] * scale).tolist()
        draw.text((left + 2, top), f"{face.score:.2f}", fill="red")
    return picture


def contact_sheet(pictures: list[Image.Image], path: Path, columns: int = 10) -> None:
    """Write pictures of `TILE` px side by side; nothing where there are none."""
    if not pictures:
        return
    sheet = Image.new("RGB", (columns * TILE, -(-len(pictures) // columns) * TILE))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * TILE, index // columns * TILE))
    sheet.save(path)

"""How near dense landmarks come to the teacher's, upright and rolled, and how steady they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ....models.finder.dense_landmarks import FIVE, DenseLandmarks, load_dense_landmarks
from ....models.geometry.similarity import (
    compose_transforms,
    invert_transform,
    similarity_transform,
    transform_points,
)
from ....models.geometry.templates import WIDE
from ....models.imaging.align import align_with_transform
from ...data.landmarks import TeacherPhoto, teacher_photos
from ..finder.steadiness import FRAMES, NOISE, camera
from .points import SIDE
from .subjects import median

SETS = ("faces", "sharp")
ROLL = 30.0  # degrees, to both sides by turns
STEADY = 24  # faces of a set that are filmed
BATCH = 50
TREMBLE_SIDE = 128  # pixels of a crop in which trembling is counted
FRAMING = WIDE.resized(SIDE)


def evaluate_landmarks(
    data_dir: Path, most: int, landmarks: DenseLandmarks | None = None
) -> dict[str, object]:
    """Measure the bundled landmarks on faces kept from training.

    Args:
        data_dir: folder of the sets `faces` and `sharp`; one may be missing, or lack landmarks.
        most: faces of a set.
        landmarks: None takes the bundled ones.

    Returns:
        `nme_median`, `nme_p95` (mean distance to the teacher's points over that of the eyes, a
        face), `nme_rolled` (median, rolled by 30 degrees), `tremble_px`, `tremble_px_p95` (root
        mean square distance of a point from where it lies on average, in video, in pixels of a
        128 px crop; median and 95th percentile of faces), `faces`; the same by set in `sets`.
    """
    landmarks = landmarks or load_dense_landmarks()
    measured = {}
    for name in SETS:
        if has_landmarks(data_dir / name):
            photos = teacher_photos(data_dir / name, "val")[:most]
            upright, rolled = (errors(landmarks, photos, degrees) for degrees in (0.0, ROLL))
            measured[name] = upright, rolled, trembling(landmarks, photos[:STEADY])
    together = tuple(torch.cat(values) for values in zip(*measured.values(), strict=True))
    sets = {name: _figures(*values) for name, values in measured.items()}
    return {**_figures(*together), "sets": sets}


def has_landmarks(folder: Path) -> bool:
    """Whether there are a teacher's points of a set."""
    return any(folder.glob("landmarks*.npz"))


def _figures(upright: Tensor, rolled: Tensor, tremble: Tensor) -> dict[str, object]:
    return {
        "nme_median": median(upright),
        "nme_p95": round(float(upright.quantile(0.95)), 4),
        "nme_rolled": median(rolled),
        "tremble_px": median(tremble),
        "tremble_px_p95": round(float(tremble.quantile(0.95)), 4),
        "faces": len(upright),
    }


def errors(landmarks: DenseLandmarks, photos: Sequence[TeacherPhoto], degrees: float) -> Tensor:
    """Distance to the teacher over that of the eyes, `(N,)`, of crops rolled by turns."""
    found = []
    for start in range(0, len(photos), BATCH):
        some = photos[start : start + BATCH]
        rolls = [_roll(degrees * (-1) ** i) for i in range(len(some))]
        crops = torch.stack([_cut(each, roll) for each, roll in zip(some, rolls, strict=True)])
        points = landmarks.find(crops)[0][..., :2].double()
        turns = torch.stack(rolls)[:, :, :2]
        truth = torch.stack([photo.points[:, :2] for photo in some]).double() @ turns.mT
        eyes = (truth[:, FIVE[0]] - truth[:, FIVE[1]]).norm(dim=-1)
        found.append((points - truth).norm(dim=-1).mean(1) / eyes)
    return torch.cat(found).float()


def _roll(degrees: float) -> Tensor:
    """The transform `(2, 3)` that rolls a crop about its middle, in pixels of it."""
    sin, cos = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    middle = torch.full((2,), (SIDE - 1) / 2, dtype=torch.float64)
    return torch.cat([turn, (middle - turn @ middle)[:, None]], 1)


def _cut(photo: TeacherPhoto, then: Tensor) -> Tensor:
    """The aligned face of a photo, moved within its crop: `(3, S, S)`."""
    landmarks = photo.pixels[list(FIVE), :2].double() - 0.5
    to_crop = similarity_transform(landmarks, FRAMING.pixels())
    picture = photo.read().permute(1, 2, 0)
    return align_with_transform(picture, compose_transforms(then, to_crop), SIDE)


def trembling(
    landmarks: DenseLandmarks, photos: Sequence[TeacherPhoto], frames: int = FRAMES
) -> Tensor:
    """How far points tremble while the camera moves by parts of a pixel, `(N,)`, see
    `evaluate_landmarks`. Every frame has noise of its own."""
    generator = torch.Generator().manual_seed(0)
    moves = torch.stack([camera(frame, FRAMING.pixels()) for frame in range(frames)])
    trembles = []
    for photo in photos:
        crops = torch.stack([_cut(photo, move) for move in moves])
        noise = NOISE * torch.randn(crops.shape, generator=generator)
        points = (landmarks.find((crops + noise).clamp(0, 1))[0][..., :2] + 0.5) * SIDE - 0.5
        placed = transform_points(invert_transform(moves), points)
        away = (placed - placed.mean(0)).square().sum(-1).mean().sqrt()
        trembles.append(away * TREMBLE_SIDE / SIDE)
    return torch.stack(trembles).float()

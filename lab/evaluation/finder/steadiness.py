"""How steady faces are found in video: one photo as frames of a camera that moves a little.

Landmarks that are right on average may still tremble from frame to frame, and an edited face
trembles with them. So each photo is moved, turned and scaled by known steps of less than a pixel,
every frame gets noise of its own, and its aligned crop is compared with that of the other frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from ....models.finder.faces import FaceFinder, largest
from ....models.geometry.similarity import (
    compose_transforms,
    similarity_transform,
    transform_points,
)
from ....models.geometry.templates import TIGHT
from ....models.imaging.align import align_with_transform

FRAMES = 12
_SHIFT = (0.37, -0.23)  # pixels a frame
_TURN, _SCALE = math.radians(0.12), 1.002  # a frame
NOISE = 2 / 255  # standard deviation, of a camera in daylight


def measure_steadiness(
    finder: FaceFinder, photos: Iterable[tuple[Tensor, Tensor]], frames: int = FRAMES
) -> dict[str, float]:
    """How far a face trembles in its aligned crop while the camera moves.

    Args:
        finder: whose landmarks align the crops.
        photos: `(H, W, 3)` uint8 or float in [0, 1], and the landmarks `(5, 2)` of its face.
        frames: made of each photo, 2 or more.

    Returns:
        `tremble_px`: root mean square distance of the face's points from where they lie on average,
        in pixels of the 128 px crop, the median over photos, and `tremble_px_p95`, its 95th
        percentile; `lost_frames`: share of frames in which no face was found.
    """
    trembles, lost, count = [], 0, 0
    generator = torch.Generator().manual_seed(0)
    for photo, landmarks in photos:
        places = []
        for frame in range(frames):
            to_frame = camera(frame, landmarks)
            picture = align_with_transform(photo, to_frame, max(photo.shape[:2])).permute(1, 2, 0)
            noise = NOISE * torch.randn(picture.shape, generator=generator)
            face = largest(finder.find((picture + noise).clamp(0, 1)))
            count += 1
            if face is None:
                lost += 1
                continue
            to_crop = similarity_transform(face.landmarks, TIGHT.pixels())
            places.append(transform_points(compose_transforms(to_crop, to_frame), landmarks))
        if len(places) > 1:
            where = torch.stack(places)
            trembles.append((where - where.mean(0)).square().sum(-1).mean().sqrt())
    found = torch.stack(trembles) if trembles else torch.tensor([math.nan])
    return {
        "tremble_px": float(found.median()),
        "tremble_px_p95": float(found.quantile(0.95)),
        "lost_frames": lost / max(1, count),
    }


def camera(frame: int, landmarks: Tensor) -> Tensor:
    """The transform `(2, 3)` from pixels of a photo to those of a frame, around the face."""
    angle, scale = frame * _TURN, _SCALE**frame
    turn = scale * torch.tensor(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]],
        dtype=torch.float64,
    )
    centre = landmarks.double().mean(0)
    shift = centre + frame * torch.tensor(_SHIFT, dtype=torch.float64) - turn @ centre
    return torch.cat([turn, shift[:, None]], 1)

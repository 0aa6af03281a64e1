"""What a smile does to the shape of a mouth, as the project's own landmark finder sees it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.finder.checkpoint import load_finder
from ....models.finder.faces import FaceFinder, largest


def smile_geometry(
    before: Tensor, after: Tensor, finder: FaceFinder | None = None
) -> dict[str, float | int | None]:
    """Width of the mouth, and how far its corners move up, in eye distances.

    Args:
        before, after: `(N, 3, S, S)` crops in [0, 1] of the same faces.
        finder: None takes the bundled one.

    Returns:
        `faces` whose landmarks were found both times, means `width_before`, `width_after` and
        `lift_mean`, shares `wider_share` and `lifted_share`; None where there are no faces.
    """
    finder = finder or load_finder()
    pairs = [
        torch.stack([mouth_shape(points) for points in found if points is not None])
        for found in zip(landmarks(finder, before), landmarks(finder, after), strict=True)
        if all(points is not None for points in found)
    ]
    keys = ("width_before", "width_after", "wider_share", "lift_mean", "lifted_share")
    if not pairs:
        return {"faces": 0, **dict.fromkeys(keys)}
    old, new = torch.stack(pairs).unbind(1)
    lift = new[:, 1] - old[:, 1]
    values = (old[:, 0], new[:, 0], (new > old)[:, 0], lift, lift > 0)
    means = [round(float(value.double().mean()), 3) for value in values]
    return {"faces": len(pairs), **dict(zip(keys, means, strict=True))}


def landmarks(finder: FaceFinder, crops: Tensor) -> Iterable[Tensor | None]:
    """Landmarks `(5, 2)` of the face in each crop, which is given a margin of its border pixels."""
    margin = crops.shape[-1] // 2
    for crop in crops:
        canvas = F.pad(crop[None], (margin, margin, margin, margin), mode="replicate")[0]
        face = largest(finder.find(canvas.permute(1, 2, 0)))
        yield None if face is None else face.landmarks


def mouth_shape(points: Tensor) -> Tensor:
    """Width of mouths and height of their corners above the eye line, in eye distances, `(..., 2)`.

    The height is negative: corners that rise towards the eyes make it larger.

    Args:
        points: `(..., 5, 2)` landmarks, y pointing down.
    """
    points = points.double()
    eyes, mouth = (points[..., i + 1, :] - points[..., i, :] for i in (0, 3))
    distance = eyes.norm(dim=-1)
    down = torch.stack([-eyes[..., 1], eyes[..., 0]], -1) / distance[..., None]
    drop = points[..., 3:5, :].mean(-2) - points[..., 0:2, :].mean(-2)
    shape = torch.stack([mouth.norm(dim=-1), -(drop * down).sum(-1)], -1)
    scaled: Tensor = shape / distance[..., None]
    return scaled

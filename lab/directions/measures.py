"""Measures of frontal shapes: widths, heights and gaps, as linear functions of the points.

Each is a weighted sum of coordinates, so that its change along a direction of the shape is known
exactly. Axes: x to the viewer's right, y down. "Left" is the viewer's left.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...models.architectures.face.shape import FaceShape
from ...models.finder.landmarks_net import POINTS

Term = tuple[float, str, tuple[int, ...]]  # weight of the mean coordinate of some points

_LEFT_CORNERS, _RIGHT_CORNERS = (33, 133), (263, 362)
_CORNERS = _LEFT_CORNERS + _RIGHT_CORNERS
_LIDS = (159, 145, 386, 374)
_LEFT_BROW, _RIGHT_BROW = (105, 66, 63, 107), (334, 296, 293, 336)

MEASURES: Mapping[str, tuple[Term, ...]] = {
    "left_lids": ((1, "y", (145,)), (-1, "y", (159,))),
    "right_lids": ((1, "y", (374,)), (-1, "y", (386,))),
    "gaze_x": ((1, "x", (468, 473)), (-1, "x", _CORNERS)),
    "gaze_y": ((1, "y", (468, 473)), (-1, "y", (*_CORNERS, *_LIDS))),
    "left_brow": ((1, "y", _LEFT_CORNERS), (-1, "y", _LEFT_BROW)),
    "right_brow": ((1, "y", _RIGHT_CORNERS), (-1, "y", _RIGHT_BROW)),
    "brows_slope": ((1, "y", (46, 276)), (-1, "y", (55, 285))),
    "mouth_gap": ((1, "y", (14,)), (-1, "y", (13,))),
    "mouth_lift": ((1, "y", (13, 14)), (-1, "y", (61, 291))),
    "mouth_width": ((1, "x", (291,)), (-1, "x", (61,))),
    "mouth_shift": ((1, "x", (61, 291, 13, 14)), (-1, "x", (2, 168))),
    "mouth_forward": ((1, "z", (2,)), (-1, "z", (13, 14))),
    "upper_lip": ((1, "y", (13,)), (-1, "y", (0,))),
    "lower_lip": ((1, "y", (17,)), (-1, "y", (14,))),
    "mouth_height": ((1, "y", (61, 291, 13)), (-1, "y", (2,))),
    "eye_width": ((0.5, "x", (133,)), (-0.5, "x", (33,)), (0.5, "x", (263,)), (-0.5, "x", (362,))),
    "eye_distance": ((1, "x", _RIGHT_CORNERS), (-1, "x", _LEFT_CORNERS)),
    "eye_tilt": ((1, "y", (133, 362)), (-1, "y", (33, 263))),
    "nose_width": ((1, "x", (327,)), (-1, "x", (98,))),
    "nose_length": ((1, "y", (2,)), (-1, "y", (168,))),
    "chin_length": ((1, "y", (152,)), (-1, "y", (17,))),
    "jaw_width": ((1, "x", (397,)), (-1, "x", (172,))),
    "face_width": ((1, "x", (454,)), (-1, "x", (234,))),
    "forehead_height": ((1, "y", (9,)), (-1, "y", (10,))),
}
EYES = ("left_lids", "right_lids", "gaze_x", "gaze_y")
# What expressions change. The rest is how a face is built, and stays when its expression changes.
EXPRESSIVE = (
    *EYES, "left_brow", "right_brow", "brows_slope", "mouth_gap", "mouth_lift", "mouth_width",
    "mouth_shift", "mouth_forward", "upper_lip", "lower_lip",
)  # fmt: skip


def functional(name: str) -> Tensor:
    """Weights `(478, 3)` of a measure's coordinates."""
    weights = torch.zeros(POINTS, 3)
    for weight, axis, points in MEASURES[name]:
        weights[list(points), "xyz".index(axis)] += weight / len(points)
    return weights


def gradients(shape: FaceShape) -> Tensor:
    """How each measure changes with each white number of a shape, `(M, K)`, in sides."""
    weights = torch.stack([functional(name) for name in MEASURES])
    return weights.flatten(1) @ (shape.basis * shape.std[:, None, None]).flatten(1).T


def measure(shapes: Tensor) -> Tensor:
    """Measures `(N, M)` of frontal shapes `(N, 478, 3)`, in sides."""
    weights = torch.stack([functional(name) for name in MEASURES])
    return shapes.flatten(1) @ weights.flatten(1).T


def change_measures(shape: FaceShape, changes: Mapping[str, float]) -> Tensor:
    """The least change `(K,)` of a white shape that changes some measures and keeps the others.

    Least among white numbers is likeliest among real faces.

    Args:
        shape: basis.
        changes: by name, in standard deviations of training faces.
    """
    rows = gradients(shape)
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)  # 0: no component changes it
    wanted = torch.tensor([changes.get(name, 0.0) for name in MEASURES])
    change: Tensor = torch.linalg.pinv(rows.double(), rtol=1e-4).float() @ wanted
    return change

"""What makes edits of a face look wrong, in words for the artist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from .points import LEFT_IRIS, RIGHT_IRIS

if TYPE_CHECKING:
    from .net import FaceShapeAppearanceNet

LEAST_CONFIDENCE = 0.5
MOST_YAW, MOST_PITCH = 30.0, 25.0  # degrees: training faces lie within
# Landmarks of another photo: from the first on, in distances of the eyes, they are compared with
# what the model sees itself, and from the second on they explain the picture so many times worse.
# Right ones, of dark and covered faces too, reach 1.03; of other photos 9 in 10 pass 1.08.
APART, WORSE = 0.03, 1.05


@torch.no_grad()
def find_doubts(net: FaceShapeAppearanceNet, crops: Tensor, codes: Tensor) -> list[str]:
    """What makes edits of crops `(B, 3, S, S)` with codes `(B, K)` look wrong, "" where there is
    nothing."""
    assert net.landmarks is not None
    seen, confidence = net.landmarks.glance(crops)
    points, poses = net.points(codes), net.shape.pose(net.split(codes)[0])
    eyes = (points[:, RIGHT_IRIS[0], :2] - points[:, LEFT_IRIS[0], :2]).norm(dim=1)
    apart = (seen - points)[..., :2].norm(dim=-1).median(1).values / eyes
    elsewhere = apart > APART
    if bool(elsewhere.any()):
        few = crops[elsewhere]
        worse = misfit(net, few, points[elsewhere]) > WORSE * misfit(net, few, seen[elsewhere])
        elsewhere = elsewhere.masked_scatter(elsewhere, worse)
    return [
        _doubt(sure, other, *pose[:2])
        for sure, other, pose in zip(
            confidence.tolist(), elsewhere.tolist(), poses.tolist(), strict=True
        )
    ]


def misfit(net: FaceShapeAppearanceNet, crops: Tensor, points: Tensor) -> Tensor:
    """How badly the model can draw what crops show where points `(B, 478, 3)` are, `(B,)`."""
    half = (net.size // 2,) * 2
    shown = F.interpolate(net.read_canonical(crops, points), size=half, mode="area")
    drawn = net.appearance.linear_sum(net.appearance.fit(shown))
    face = F.interpolate(net.face_mask[None, None], size=half, mode="area") * (1 - net.mouth_mask)
    return ((shown - drawn).square() * face).mean((1, 2, 3)).sqrt()


def _doubt(confidence: float, elsewhere: bool, yaw: float, pitch: float) -> str:
    """What is wrong with a face, given in degrees how its head is turned."""
    if confidence < LEAST_CONFIDENCE:
        return "no face is seen where its landmarks are; check them, or choose another photo"
    if elsewhere:
        return (
            "its landmarks do not fit the face in the photo; connect those of the same photo to "
            "face_landmarks, or choose a photo in which nothing covers the face"
        )
    if abs(yaw) > MOST_YAW or abs(pitch) > MOST_PITCH:
        way = "to the side" if abs(yaw) > MOST_YAW else "up or down"
        turned = abs(yaw) if abs(yaw) > MOST_YAW else abs(pitch)
        most = MOST_YAW if abs(yaw) > MOST_YAW else MOST_PITCH
        return (
            f"the head is turned {way} by {turned:.0f} degrees, and beyond {most:g} edits look "
            "wrong; a photo from the front gives better ones"
        )
    return ""

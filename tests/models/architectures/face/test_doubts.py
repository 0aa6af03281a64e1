"""What makes edits of a face look wrong is said."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.face.net import FaceShapeAppearanceNet
from face_support import COUNT, SIZE, random_codes, small_net


class Finder(torch.nn.Module):
    """Stands in for the dense landmarks: sees these points, so surely."""

    def __init__(self, points: torch.Tensor, sure: float = 0.9) -> None:
        super().__init__()
        self.seen, self.sure = points, sure

    def glance(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.seen, torch.full((len(crops),), self.sure)


def looking(points: torch.Tensor, sure: float = 0.9) -> FaceShapeAppearanceNet:
    """A network that sees faces at these points."""
    net = small_net()
    net.landmarks = Finder(points, sure)  # type: ignore[assignment]
    return net


@pytest.mark.parametrize(
    ("yaw", "pitch", "words"),
    [(0, 0, ""), (20, -15, ""), (-40, 0, "turned to the side by 40"), (0, 30, "up or down by 30")],
)
def test_a_head_turned_too_far_is_told(yaw: float, pitch: float, words: str) -> None:
    net = small_net()
    pose = torch.tensor([[yaw, pitch, 0.0, 0.0, 0.0, 0.0]])
    code = torch.zeros(1, COUNT)
    code[:, :6] = (pose - net.shape.pose_mean) / net.shape.pose_std
    crop = torch.rand(1, 3, SIZE, SIZE)
    (doubt,) = looking(net.points(code)).doubts(crop, code)
    assert words in doubt
    assert bool(doubt) == bool(words)
    (doubt,) = looking(net.points(code), sure=0.2).doubts(crop, code)
    assert "no face is seen" in doubt


def test_landmarks_of_another_photo_are_told() -> None:
    """Those that explain the picture no worse than what the model sees are left alone."""
    net, codes = small_net(), random_codes(2, scale=0.5)
    crops, points = net.decode(codes).clamp(0, 1), net.points(codes)
    other = codes.clone()
    other[1, :6] += 1.5  # the second one is elsewhere
    beside = net.encode_points(crops, net.points(other))
    right, wrong = looking(points).doubts(crops, beside)
    assert right == ""
    assert "landmarks do not fit" in wrong
    assert looking(net.points(other)).doubts(crops, net.encode_points(crops, points)) == ["", ""]

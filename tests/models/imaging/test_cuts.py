"""Finding cuts: another scene is one; motion and light are none."""

from __future__ import annotations

import math

import torch
from face_latents.models.imaging.cuts import find_shots, sketch_frame
from torch import Tensor


def scene(seed: int, left: int = 0) -> Tensor:
    """A part of a large soft picture, `(180, 320, 3)`."""
    coarse = torch.rand(1, 3, 7, 12, generator=torch.Generator().manual_seed(seed))
    large = torch.nn.functional.interpolate(coarse, size=(180, 420), mode="bicubic")[0]
    return large[:, :, left : left + 320].permute(1, 2, 0).clamp(0, 1)


def shots(frames: list[Tensor]) -> list[range]:
    return find_shots([sketch_frame(frame) for frame in frames])


def test_another_scene_is_another_shot():
    frames = [scene(1)] * 3 + [scene(2)] + [scene(3)] * 2
    assert shots(frames) == [range(0, 3), range(3, 4), range(4, 6)]
    assert shots(frames[:1]) == [range(0, 1)]


def test_a_moving_camera_and_changing_light_are_no_cut():
    frames = [scene(1, 4 * t) * (0.75 + 0.25 * math.cos(t)) for t in range(20)]
    assert shots(frames) == [range(0, 20)]


def test_black_frames_are_no_scene():
    black = torch.zeros(180, 320, 3)
    assert shots([black, black, scene(1), scene(1)]) == [range(0, 4)]
    assert shots([scene(1), black, black, scene(1)])[0] == range(0, 1)


def test_small_frames_and_large_ones():
    for factor in (1, 8):
        frames = [scene(s)[:16, :16].repeat_interleave(factor, 0).repeat_interleave(factor, 1)
                  for s in (1, 1, 2)]  # fmt: skip
        assert shots(frames) == [range(0, 2), range(2, 3)]

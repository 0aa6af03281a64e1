"""Measuring clips: the made motion is known, and what flickers or lags is seen."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.evaluation.clip.figures import (
    ClipEvaluation,
    evaluate_clip,
    flicker,
    steady_views,
)
from face_latents.lab.evaluation.clip.frames import FACE_SHARE, Frame, made_frames
from face_latents.models.errors import FaceLatentsError
from face_latents.models.finder.checkpoint import load_finder
from face_latents.models.finder.faces import Face
from face_latents.models.geometry.similarity import transform_points
from torch import Tensor

SIZE = (180, 320)


@pytest.fixture(scope="module")
def face(astronaut: Tensor) -> Face:
    return load_finder().find(astronaut)[0]


def clip(astronaut: Tensor, face: Face, noise: float) -> tuple[Tensor, list[Frame]]:
    made = list(made_frames(astronaut, face, 6, SIZE, noise))
    return torch.stack([frame.pixels for frame in made]), made


def test_the_face_is_where_the_camera_says(astronaut: Tensor, face: Face) -> None:
    pixels, made = clip(astronaut, face, 0.0)
    assert pixels.shape == (6, *SIZE, 3)
    for frame in made[::5]:
        (found,) = load_finder().find(frame.pixels)
        expected = transform_points(frame.transform, face.landmarks)
        assert (found.landmarks - expected).norm(dim=-1).max() < 2
        assert found.size == pytest.approx(FACE_SHARE * SIZE[0], rel=0.1)


def test_known_motion_and_light_do_not_count_as_flicker(astronaut: Tensor, face: Face) -> None:
    pixels, made = clip(astronaut, face, 0.0)
    known = flicker(steady_views(pixels, made, face.landmarks))
    unknown = [frame._replace(transform=made[0].transform, light=1.0) for frame in made]
    assert known < 0.25 * flicker(steady_views(pixels, unknown, face.landmarks))
    noisy, made = clip(astronaut, face, 4 / 255)
    noise = flicker(steady_views(noisy, made, face.landmarks))
    assert noise > 1.3 * known
    assert flicker(steady_views(noisy, made, face.landmarks), 0.015) < 0.5 * noise


def test_a_face_that_jumps_flickers(astronaut: Tensor, face: Face) -> None:
    pixels, made = clip(astronaut, face, 0.0)
    jumping = pixels.clone()
    jumping[::2] = jumping[::2].roll(1, 2)
    before, after = (flicker(steady_views(p, made, face.landmarks)) for p in (pixels, jumping))
    assert after > 2 * before


@pytest.mark.slow
def test_figures_of_a_short_clip(astronaut: Tensor) -> None:
    settings = ClipEvaluation(4, 120, 160, (("smile", 2.0),), moving_frames=12)
    found = evaluate_clip(astronaut, settings)
    figures = found["clip.smile_+2"]
    assert 0.8 < figures["flicker"] < 1.3
    assert figures["frames_a_second"] > 0
    assert set(figures) >= {"coarse_flicker", "memory_mb", "memory_mb_of_quarter"}
    assert abs(found["moving"]["lag_frames"]) < 0.2
    assert 0.5 < found["moving"]["kept"] < 1.1
    assert found["moving"]["trembling"] < 0.6


def test_a_photo_without_a_face_is_refused() -> None:
    with pytest.raises(FaceLatentsError, match="No face"):
        evaluate_clip(torch.ones(64, 64, 3), ClipEvaluation(2))

"""How steady the face finder is in video, and that its measure sees what trembles."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import skimage.data
import torch
from face_latents.lab.evaluation.finder.steadiness import measure_steadiness
from face_latents.models.finder.checkpoint import load_finder
from face_latents.models.finder.faces import Face, FaceFinder
from torch import Tensor


class Changed:
    """The bundled finder, its faces changed before they are handed out."""

    def __init__(self, change: Callable[[list[Face]], list[Face]]) -> None:
        self.finder, self.change = load_finder(), change

    def find(self, photo: Tensor) -> list[Face]:
        return self.change(self.finder.find(photo))


@pytest.fixture(scope="module")
def portrait() -> tuple[Tensor, Tensor]:
    photo = torch.from_numpy(skimage.data.astronaut()[:300, 80:380].copy())
    return photo, load_finder().find(photo)[0].landmarks


def test_a_face_stays_within_a_fraction_of_a_pixel(portrait: tuple[Tensor, Tensor]) -> None:
    found = measure_steadiness(load_finder(), [portrait])
    assert 0 < found["tremble_px"] < 0.25
    assert found["lost_frames"] == 0


def test_landmarks_that_tremble_are_seen_to(portrait: tuple[Tensor, Tensor]) -> None:
    flips = iter(range(1000))

    def shaken(faces: list[Face]) -> list[Face]:
        away = torch.tensor([1.5 if next(flips) % 2 else -1.5, 0.0], dtype=torch.float64)
        return [Face(face.box, face.landmarks + away, face.score) for face in faces]

    steady = measure_steadiness(load_finder(), [portrait], frames=6)["tremble_px"]
    shaky = measure_steadiness(Changed(shaken), [portrait], frames=6)  # type: ignore[arg-type]
    eyes = float((portrait[1][0] - portrait[1][1]).norm())
    expected = 1.5 * 0.38 * 128 / eyes  # photo pixels to crop pixels: eyes there are that far
    assert shaky["tremble_px"] == pytest.approx(math.hypot(expected, steady), rel=0.15)


def test_frames_without_a_face_are_counted(portrait: tuple[Tensor, Tensor]) -> None:
    turns = iter(range(1000))
    some = Changed(lambda faces: faces if next(turns) % 3 else [])
    blinking: FaceFinder = some  # type: ignore[assignment]
    assert measure_steadiness(blinking, [portrait], frames=6)["lost_frames"] == pytest.approx(1 / 3)
    blind: FaceFinder = Changed(lambda faces: [])  # type: ignore[assignment]
    found = measure_steadiness(blind, [portrait], frames=2)
    assert math.isnan(found["tremble_px"])
    assert found["lost_frames"] == 1

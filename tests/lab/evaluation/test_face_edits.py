"""Edits as the evaluation makes and judges them, with a model whose decode is plain to see."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from face_latents.lab.evaluation.face.edits import Outcome, find_strengths, levels, share
from face_latents.lab.evaluation.face.figures import draw_pictures
from face_latents.lab.evaluation.face.smile_shape import mouth_shape, smile_geometry
from face_latents.lab.evaluation.face.subjects import Subjects, decode
from face_latents.models.face_model import bundled_face_model_path, load_face_model
from face_latents.models.finder.faces import FaceFinder
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.paste.back import paste_back
from face_latents.models.paste.edit import FaceEdit, Source
from face_latents.models.values import Direction, PhotoContext
from PIL import Image

POINTS = torch.tensor([[40.0, 50.0], [80.0, 50.0], [60.0, 70.0], [45.0, 90.0], [75.0, 90.0]])


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    """Four faces of the bundled model, two of them male."""
    model = load_face_model(bundled_face_model_path())
    codes = 0.5 * model.sample(4, seed=1)
    crops = model.decode(codes).clamp(0, 1)
    codes = model.encode(crops)
    rows = [{"gender": gender} for gender in ("female", "male", "female", "male")]
    return Subjects(model, crops, codes, decode(model, codes), rows)


def test_levels() -> None:
    assert levels(3.0) == [1.0, 2.0, 3.0]
    assert levels(2.5) == [1.0, 2.0, 2.5]
    assert levels(0.5) == [0.5]


@pytest.mark.parametrize("fitted", [True, False])
def test_an_edit_is_what_paste_back_delivers(subjects: Subjects, fitted: bool) -> None:
    """Along a direction of the model, which it fits to the photo, or without its controls."""
    model, index = subjects.model, torch.tensor([2])
    change = 2 * model.directions["smile"].vector
    if fitted:
        before, edited_code = subjects.crops[2], subjects.codes[index] + change
        after = model.apply_edit(subjects.crops[index], subjects.codes[index], edited_code)[0]
    else:
        change[1015:] = 0
        before, after = subjects.decoded[2], model.decode(subjects.codes[index] + change)[0]
    photo = subjects.crops[2].permute(1, 2, 0).contiguous()
    placement = torch.eye(2, 3, dtype=torch.float64)
    context = PhotoContext(photo, placement, 128, TIGHT.pixels(), subjects.codes[2], "", 0)
    motion = model.motion(subjects.codes[2], subjects.codes[2] + change)
    source = Source.PHOTO if fitted else Source.DECODED
    pasted = paste_back(photo, context, FaceEdit(before, after, source, motion=motion))
    expected = pasted.permute(2, 0, 1)
    edited = subjects.edited(index, change)
    torch.testing.assert_close(edited[0], expected, atol=1e-5, rtol=0)
    assert torch.equal(edited[..., 0], subjects.crops[index][..., 0])  # the frame stays
    assert (edited - subjects.crops[index]).abs().max() > 0.01
    unmoved = subjects.edited(index, 0 * change)
    torch.testing.assert_close(unmoved, subjects.crops[index], atol=1e-4, rtol=0)


class Numbers:
    """Stands for subjects: a picture is a value, which edits move, and how far it is seen."""

    def __init__(self, needed: list[float], value: float = 0.0) -> None:
        self.crops = torch.tensor([[value, 0.5 / strength] for strength in needed])
        self.asked: list[tuple[int, float]] = []

    def __len__(self) -> int:
        return len(self.crops)

    def edited(self, index: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        self.asked += [(i, float(change)) for i in index.tolist()]
        return self.crops[index] + torch.tensor([float(change), 0.0])

    def tried(self, name: str) -> torch.Tensor:
        return torch.arange(len(self)) != 3 if name == "beard" else torch.arange(len(self)) >= 0


def seen(pictures: torch.Tensor) -> torch.Tensor:
    return 0.25 + pictures[:, :1] * pictures[:, 1:]


def outcome_of(numbers: Numbers, name: str) -> Outcome:
    direction = SimpleNamespace(name=name, vector=torch.tensor(1.0), safe_range=(-2.5, 3.0))
    found = (cast(Subjects, numbers), cast(Direction, direction))
    return find_strengths(*found, 0, seen(numbers.crops), seen)


def test_the_least_strength_that_succeeds() -> None:
    numbers = Numbers([1.4, 1.9, 0.4, 10.0])
    outcome = outcome_of(numbers, "smile")
    assert outcome.strength.tolist() == [1.5, 2.0, 0.5, 3.0]
    assert outcome.done.tolist() == [True, True, True, False]
    assert [change for i, change in numbers.asked if i == 0] == [1.0, 2.0, 1.5]
    assert [change for i, change in numbers.asked if i == 3] == [1.0, 2.0, 3.0]
    assert outcome.pictures[:, 0].tolist() == [1.5, 2.0, 0.5, 3.0]
    torch.testing.assert_close(outcome.readings, seen(outcome.pictures))


def test_down_from_the_other_side_as_far_as_the_range_allows() -> None:
    numbers = Numbers([1.0, 1.2, 9.0], value=3.0)
    outcome = outcome_of(numbers, "smile")
    assert outcome.done.tolist() == [True, True, False]
    assert min(change for _, change in numbers.asked) == -2.0
    assert outcome.strength.tolist() == [1.0, 1.5, 3.0]


def test_a_face_that_cannot_have_it_is_not_tried() -> None:
    numbers = Numbers([1.4, 1.9, 0.4, 0.4])
    outcome = outcome_of(numbers, "beard")
    assert not outcome.done[3]
    assert torch.equal(outcome.pictures[3], numbers.crops[3])
    assert {i for i, _ in numbers.asked} == {0, 1, 2}


def test_beards_are_tried_on_men_only(subjects: Subjects) -> None:
    assert subjects.tried("beard").tolist() == [False, True, False, True]
    assert subjects.tried("smile").all()
    assert share(torch.tensor([1.0, torch.nan, 0.0, 1.0])) == 0.667


def test_mouth_shape_by_hand() -> None:
    assert mouth_shape(POINTS).tolist() == pytest.approx([0.75, -1.0])
    smiling = POINTS + torch.tensor([[0.0, 0.0]] * 3 + [[-5.0, -10.0], [5.0, -10.0]])
    assert mouth_shape(smiling).tolist() == pytest.approx([1.0, -0.75])
    turned = torch.stack([-smiling[:, 1], smiling[:, 0]], 1) * 2 + 30
    assert mouth_shape(turned).tolist() == pytest.approx([1.0, -0.75])


class Known:
    """Finds what it is told, one after the other."""

    def __init__(self, answers: list[torch.Tensor | None]) -> None:
        self.answers = iter(answers)

    def find(self, photo: torch.Tensor) -> list[SimpleNamespace]:
        points = next(self.answers)
        return [] if points is None else [SimpleNamespace(size=1.0, landmarks=points)]


def test_smile_geometry_counts_faces_found_both_times() -> None:
    wider = POINTS + torch.tensor([[0.0, 0.0]] * 3 + [[-2.0, -4.0], [2.0, -4.0]])
    # before and after of three faces
    known = Known([POINTS, wider, POINTS, None, POINTS, POINTS])
    crops = torch.rand(3, 3, 8, 8)
    figures = smile_geometry(crops, crops, cast(FaceFinder, known))
    assert figures == {
        "faces": 2,
        "width_before": 0.75,
        "width_after": 0.8,
        "wider_share": 0.5,
        "lift_mean": 0.05,
        "lifted_share": 0.5,
    }
    assert smile_geometry(crops[:0], crops[:0])["faces"] == 0
    assert smile_geometry(crops[:0], crops[:0])["lift_mean"] is None


def test_the_finder_sees_a_drawn_face(subjects: Subjects) -> None:
    figures = smile_geometry(subjects.crops, subjects.crops)
    assert figures["faces"] == 4
    assert figures["width_before"] == figures["width_after"]
    expected = float(mouth_shape(TIGHT.pixels())[0])
    assert figures["width_before"] == pytest.approx(expected, rel=0.25)


def test_edits_are_shown_beside_the_decodes(subjects: Subjects, tmp_path: Path) -> None:
    model = replace(subjects.model, directions={"smile": subjects.model.directions["smile"]})
    faces = (values[:1] for values in (subjects.crops, subjects.codes, subjects.decoded))
    draw_pictures(tmp_path / "sheets", Subjects(model, *faces, subjects.rows[:1]))
    files = sorted((tmp_path / "sheets").iterdir())
    assert [file.name for file in files] == ["edit_smile.png", "reconstruction.png"]
    sizes = [Image.open(file).size for file in files]
    assert sizes[0][0] > 10 * 128  # five strengths, pasted and decoded
    assert sizes[1][1] > 2 * 128

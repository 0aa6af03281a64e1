"""Edits as the evaluation makes and judges them, with a model whose decode is plain to see."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from face_latents.lab.evaluation.face.edits import Outcome, find_strengths, levels
from face_latents.lab.evaluation.face.subjects import (
    Subjects,
    close_up,
    crops_as_photos,
    median,
    share,
)
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import TIGHT, WIDE
from face_latents.models.imaging.align import reframe
from face_latents.models.imaging.features import gradient_descriptor
from face_latents.models.paste.back import paste_back
from face_latents.models.paste.edit import plan_edits
from face_latents.models.paste.face import PhotoFace
from face_latents.models.values import Direction, PhotoContext


@pytest.fixture(scope="module")
def subjects(face_model: FaceModel) -> Subjects:
    """Four faces of the bundled model, two of them male."""
    crops = face_model.decode(0.5 * face_model.sample(4, seed=1)).clamp(0, 1)
    codes = face_model.encode(crops)
    rows = [{"gender": gender} for gender in ("female", "male", "female", "male")]
    return crops_as_photos(face_model, crops, codes, rows, gradient_descriptor)


def test_levels() -> None:
    assert levels(3.0) == [1.0, 2.0, 3.0]
    assert levels(2.5) == [1.0, 2.0, 2.5]
    assert levels(0.5) == [0.5]


def test_an_edit_is_what_paste_back_delivers(subjects: Subjects) -> None:
    model, index = subjects.model, torch.tensor([2])
    change = 2 * model.directions["smile"].vector
    size, code = model.template.size, subjects.codes[2]
    photo = subjects.crops[2].permute(1, 2, 0).contiguous()
    placement = torch.eye(2, 3, dtype=torch.float64)
    context = PhotoContext(photo, placement, size, model.template.pixels(), code, "", 0)
    (edit,) = plan_edits(model, [PhotoFace(context)], (code + change)[None])
    pasted = paste_back(photo, context, edit).permute(2, 0, 1)
    edited = subjects.edited(index, change)
    torch.testing.assert_close(edited[0], pasted, atol=1e-5, rtol=0)
    assert (edited - subjects.crops[index]).abs().max() > 0.01
    unmoved = subjects.edited(index, 0 * change)
    torch.testing.assert_close(unmoved, subjects.crops[index], atol=1e-5, rtol=0)
    assert float(subjects.identity(index, unmoved)) < 0.01 < float(subjects.identity(index, edited))


def test_each_face_may_have_a_change_of_its_own(subjects: Subjects) -> None:
    smile = subjects.model.directions["smile"].vector
    index = torch.tensor([0, 1])
    edited = subjects.edited(index, torch.stack([0 * smile, 2 * smile]))
    torch.testing.assert_close(edited[0], subjects.crops[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(edited[1:], subjects.edited(index[1:], 2 * smile))
    assert subjects.edited(index[:0], smile).shape == (0, *subjects.crops.shape[1:])
    assert len(subjects[1:3]) == 2
    assert subjects[1:3].codes.equal(subjects.codes[1:3])


def test_a_close_up_shows_what_the_tight_template_does() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 224), torch.linspace(0, 1, 224), indexing="ij")
    crops = torch.stack([x, y, (x + y) / 2])[None]
    near = close_up(crops, WIDE.resized(224))
    tight = reframe(crops, WIDE.resized(224), TIGHT.resized(near.shape[-1]))
    assert near.shape[-2:] == (189, 189)
    assert float((near - tight).abs().max()) < 0.005
    assert close_up(crops, TIGHT.resized(224)).equal(crops)


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
    assert median(torch.tensor([3.0, 1.0, 2.0])) == 2
    assert median(torch.zeros(0)) is None

"""What the evaluation makes of dense landmarks: mouths, aims, errors, trembling."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from face_data_support import make_people
from face_latents.lab.data.landmarks import TeacherPhoto, teacher_photos
from face_latents.lab.directions.measures import MEASURES
from face_latents.lab.evaluation.face import smiles
from face_latents.lab.evaluation.face.expressions import Aim, aim_of, reached, seen
from face_latents.lab.evaluation.face.landmarks import errors, evaluate_landmarks, trembling
from face_latents.lab.evaluation.face.points import find_points, in_eye_distances, lips, mouth_shape
from face_latents.lab.evaluation.face.smiles import (
    FOLDS,
    SHARE,
    STRENGTH,
    measure_smiles,
    without_fold,
)
from face_latents.lab.evaluation.face.subjects import Subjects
from face_latents.models.architectures.face.net import FaceShapeAppearanceNet
from face_latents.models.face_model import FaceModel
from face_latents.models.finder.dense_landmarks import DenseLandmarks
from face_latents.models.geometry.templates import FFHQ, WIDE
from face_latents.models.imaging.align import reframe
from torch import Tensor


def net_of(model: FaceModel) -> FaceShapeAppearanceNet:
    assert isinstance(model.module, FaceShapeAppearanceNet)
    return model.module


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, face_model: FaceModel) -> list[TeacherPhoto]:
    folder = tmp_path_factory.mktemp("data") / "sharp"
    make_people(folder, face_model)
    return teacher_photos(folder, "val")


def test_mouths_are_measured_in_eye_distances(face_model: FaceModel) -> None:
    points = net_of(face_model).shape.mean[None, :, :2].clone()
    before = mouth_shape(in_eye_distances(points))
    smiling = points.clone()
    unit = float((points[0, 473] - points[0, 468]).norm())
    for corner, side in ((61, -1), (291, 1)):
        smiling[0, corner] += torch.tensor([side * 0.1, -0.2]) * unit
    smiling[0, 14, 1] += 0.3 * unit
    sin, cos = 0.6, 0.8
    turned = 2 * smiling @ torch.tensor([[cos, sin], [-sin, cos]]) + 0.3
    for moved in (smiling, turned):
        change = (mouth_shape(in_eye_distances(moved)) - before)[0].tolist()
        assert change == pytest.approx([0.2, 0.2, 0.3], rel=0.1)
    assert lips(points).shape[1] > 30


def test_points_are_found_whatever_the_framing(face_model: FaceModel) -> None:
    codes = 0.4 * face_model.sample(2, seed=2)
    crops = face_model.decode(codes).clamp(0, 1)
    wide = WIDE.resized(224)
    found = find_points(crops, wide)
    again = find_points(reframe(crops, wide, FFHQ.resized(400)), FFHQ.resized(400))
    assert float((found - again).abs().mean()) < 0.004
    assert find_points(crops[:1], wide).shape == (1, 478, 3)
    own = find_points(crops, wide, lambda framed: torch.full((len(framed), 478, 3), 0.5))
    assert torch.equal(own, torch.full((len(crops), 478, 3), 0.5))


class Known:
    """Stands for landmarks: says where points are by the photo's turn, or does not look."""

    def __init__(self, points: Tensor) -> None:
        self.points = points

    def find(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        return self.points.expand(len(crops), -1, -1), torch.ones(len(crops))


def test_errors_are_shares_of_the_eye_distance(photos: list[TeacherPhoto]) -> None:
    photo = photos[0]
    eyes = float((photo.points[468, :2] - photo.points[473, :2]).norm())
    off = photo.points + torch.tensor([0.1 * eyes, 0, 5.0])
    found = errors(cast(DenseLandmarks, Known(off)), [photo, photo], 0.0)
    assert found.tolist() == pytest.approx([0.1, 0.1], rel=1e-3)
    rolled = errors(cast(DenseLandmarks, Known(photo.points)), [photo], 30.0)
    assert float(rolled) > 0.2


def test_the_bundled_landmarks_come_near_those_drawn(photos: list[TeacherPhoto]) -> None:
    folder = photos[0].archive.parents[1]
    figures = evaluate_landmarks(Path(folder), 2)
    assert figures["faces"] == 2
    assert 0 < cast(float, figures["nme_median"]) < 0.1
    assert 0 < cast(float, figures["nme_rolled"]) < 0.15
    assert 0 < cast(float, figures["tremble_px"]) < 1


def test_who_does_not_follow_the_camera_trembles(photos: list[TeacherPhoto]) -> None:
    still = cast(DenseLandmarks, Known(photos[0].points))
    trembles = trembling(still, photos[:1], frames=5)
    # five frames, 0.44 px of 224 apart: 0.35 px of 128 from their middle, and a little turn
    assert float(trembles) == pytest.approx(0.36, abs=0.04)


def test_a_direction_is_about_what_it_changes_most(face_model: FaceModel) -> None:
    net = net_of(face_model)
    gaze, blink = (face_model.directions[name] for name in ("gaze_left_right", "blink"))
    aim = aim_of(net, gaze.vector, 4.0)
    assert aim.strength == 2
    assert aim.names() == ["gaze_x"]
    assert aim_of(net, blink.vector, 1.5).strength == 1.5
    assert set(aim_of(net, blink.vector, 1.5).names()) == {"left_lids", "right_lids"}


def test_half_of_a_change_is_enough_but_an_eye_has_to_close() -> None:
    names = list(MEASURES)
    wanted, before = torch.zeros(len(names)), torch.full((3, len(names)), 0.1)
    gaze, lids = names.index("gaze_x"), names.index("left_lids")
    wanted[gaze] = -2.0
    after = before.clone()
    after[:, gaze] -= torch.tensor([0.011, 0.009, -0.02])
    spread = torch.full((len(names),), 0.01)
    aim = Aim(wanted, wanted != 0, 2.0)
    assert reached(aim, before, after, spread).tolist() == [True, False, False]
    wanted = torch.zeros(len(names))
    wanted[lids] = -1.0
    after[:, lids] = torch.tensor([0.02, 0.03, 0.09])
    aim = Aim(wanted, wanted != 0, 2.0)
    assert reached(aim, before, after, spread).tolist() == [True, False, False]


def test_what_landmarks_see_of_a_measure() -> None:
    truth = torch.tensor([[1.0, 1.0], [2.0, 5.0], [3.0, 0.0]])
    found = torch.stack([0.3 * truth[:, 0] + 7, torch.full((3,), 2.0)], 1)
    assert seen(found, truth).tolist() == pytest.approx([0.3, 0.0], abs=1e-6)


def test_a_fold_is_left_out_of_its_own_direction(face_model: FaceModel) -> None:
    net, vector = net_of(face_model), face_model.directions["smile"].vector
    pairs = torch.zeros(2 * FOLDS, len(vector))
    column = 6 + int(net.shape.parity.argmax())
    pairs[0, column], pairs[FOLDS, column] = 6.0, 6.0  # one fold smiles otherwise
    pairs[:, -1] = 3.0
    vectors = without_fold(net, vector, pairs)
    change = vectors - vector
    assert change[0, column] == pytest.approx(-SHARE, abs=1e-5)
    assert change[1, column] == pytest.approx(SHARE * (12 / 10 - 1), abs=1e-5)
    change[:, column] = 0
    assert not change.any()


class Few(SimpleNamespace):
    """Stands for subjects."""

    def __len__(self) -> int:
        return len(self.crops)


def test_rest_is_what_an_edit_leaves(
    face_model: FaceModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures stand for strengths, and points are found as those say; the usual one gives 1."""
    net = net_of(face_model)
    mean = net.shape.mean
    smile = torch.zeros_like(mean)
    smile[list({61, 291, 0, 13, 14, 17}), 1] = -0.02

    def found(crops: Tensor, template: object) -> Tensor:
        return mean + crops.view(-1, 1, 1) * smile

    def subjects(strengths: list[float]) -> Subjects:
        crops = torch.tensor(strengths)

        def edited(index: Tensor, change: Tensor) -> Tensor:
            return crops[index] + change.expand(len(index), 1)[:, 0]

        direction = SimpleNamespace(safe_range=(-2.0, 2.2 * STRENGTH))
        model = SimpleNamespace(template=None, directions={"smile": direction})
        own = Few(
            crops=crops, edited=edited, embeddings=crops[:, None], embed=lambda c: c[:, None],
            model=model,
        )  # fmt: skip
        return cast(Subjects, own)

    monkeypatch.setattr(smiles, "find_points", found)
    figures = measure_smiles(subjects([0.0, 0.0]), subjects([2.0, 2.5]), torch.tensor([SHARE]))
    assert figures["persons"] == 2
    # 1 of 2 and 1 of 2.5 explained; the end of the range gives 2.2
    assert figures["rest"] == pytest.approx((1 + 1.5) / 4.5, abs=2e-3)
    assert figures["rest_measured"] == pytest.approx((0 + 0.3) / 4.5, abs=2e-3)
    assert figures["identity_untouched"] == 2
    assert figures["lift"] == pytest.approx(cast(float, figures["real_lift"]) / 2.25, rel=0.05)

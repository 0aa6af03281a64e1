"""What the retoucher is taught to leave out at the end."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from face_latents.lab.data.faces import FaceSet, load_faces
from face_latents.lab.training.face.adversarial import Lessons
from face_latents.lab.training.face.directions import ATTRIBUTES
from face_latents.lab.training.face.linear import fit_linear
from face_latents.lab.training.face.motion_fields import control_parity
from face_latents.lab.training.face.run import untrained_net
from face_latents.lab.training.face.spotless import Settings, SpotlessTraining
from face_latents.lab.training.face.spots import clear_glasses, remove_spots, usual_bands
from face_latents.lab.training.loop import Session
from face_latents.models.architectures.face.net import RenderedFaceNet
from face_latents.models.architectures.face.renderer import Renderer
from face_latents.models.architectures.face.retoucher import Retoucher
from rendered_support import make_face_data

NONE = torch.zeros(1)


def spot(x: int, y: int, depth: float) -> torch.Tensor:
    """(1, 3, 128, 128): a reddish dark spot of 6 pixels."""
    rows, columns = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    form = (-((rows - y).square() + (columns - x).square()) / (2 * 3.0**2)).exp()
    return -depth * form * torch.tensor([0.6, 1.0, 1.0]).reshape(1, 3, 1, 1)


def usual(width: float = 0.02) -> torch.Tensor:
    return torch.tensor([-width, width]).reshape(2, 1, 1, 1).expand(2, 1, 128, 128)


def test_spots_go_and_what_is_usual_stays() -> None:
    face = torch.full((1, 3, 128, 128), 0.6)
    dark, faint = spot(30, 64, 0.3), spot(95, 64, 0.02)
    wide = torch.linspace(-0.2, 0.2, 128).expand(1, 3, 128, 128)  # light from the side
    clean, share = remove_spots(face, dark + faint + wide, usual(), NONE)
    left = clean - wide
    assert left[..., 58:70, 24:36].min() > -0.13
    torch.testing.assert_close(left[..., 40:, 80:110], faint[..., 40:, 80:110], atol=1e-4, rtol=0)
    assert share[..., 64, 30] > 0.7
    assert share[..., :30, 70:].max() == 0


def test_spots_of_the_face_itself_may_stay() -> None:
    face = 0.6 + spot(30, 64, 0.3)
    change = spot(30, 64, 0.05)
    same, share = remove_spots(face, -0.5 * spot(30, 64, 0.3), usual(), NONE)
    assert torch.equal(same, -0.5 * spot(30, 64, 0.3))  # what lightens it is welcome
    assert share.max() == 0
    clean, _ = remove_spots(face, change, usual(), NONE)
    assert clean[0, 1, 64, 30] > change[0, 1, 64, 30] / 2  # none darker than it was


def test_a_frown_is_taken_out_only_where_faces_frown() -> None:
    face, change = torch.full((1, 3, 128, 128), 0.6), spot(64, 22, 0.02) + spot(30, 80, 0.02)
    half, share = remove_spots(face, change, usual(), torch.tensor([0.5]))
    assert torch.equal(half[..., 60:, :], change[..., 60:, :])
    assert half[0, 1, 22, 64] > 0.8 * change[0, 1, 22, 64]
    assert share[0, 0, 22, 64] == 0.5
    assert (share[..., 60:, :] == 0).all()


def test_new_glasses_are_clear_and_dark_rimmed() -> None:
    face = torch.full((1, 3, 128, 128), 0.5) * torch.tensor([1.2, 0.9, 0.8]).reshape(3, 1, 1)
    rim, lens = spot(30, 50, 0.2), torch.zeros(1, 3, 128, 128)
    lens[..., 70:110, 70:110] = 0.1
    made = clear_glasses(face, rim + lens)
    assert made[0, :, 50, 30].mean() < 1.2 * rim[0, :, 50, 30].mean()
    assert made[0, :, 90, 90].mean() == pytest.approx(0.05, abs=0.01)
    ratio = (face + made)[0, :, 50, 30] / (face + rim)[0, :, 50, 30]
    assert ratio.max() - ratio.min() < 0.02  # a rim keeps its hue
    assert clear_glasses(face, torch.zeros_like(face)).abs().max() < 1e-6


def test_what_is_usual_is_measured_by_place() -> None:
    generator = torch.Generator().manual_seed(0)
    crops = torch.full((100, 3, 128, 128), 0.5)
    depths = torch.rand(100, generator=generator) * 0.4
    crops += torch.cat([spot(40, 50, float(depth)) for depth in depths])
    faces = FaceSet((crops * 255).round().to(torch.uint8), ({},) * 100)
    least, most = usual_bands(faces)
    assert least.shape == (1, 128, 128)
    assert least[0, 50, 40] < -0.1
    assert least[0, 100, 100] > -0.01
    assert (most >= least).all()


def untaught(faces: FaceSet, seed: int) -> RenderedFaceNet:
    count = len(ATTRIBUTES)
    still = {"control.fields": torch.zeros(count, 2, 8, 8).half()}
    still["control.parity"] = control_parity()
    torch.manual_seed(seed)
    renderer = Renderer(12, count, wide=8, deep=16, fine=8, blocks=(1, 1, 1))
    net = untrained_net(fit_linear(faces.crops, 12) | still, renderer)
    net.retoucher = Retoucher(count, 8, 8, 16, 1)
    torch.nn.init.normal_(net.retoucher.leave.weight, std=0.1)
    return net


def test_teaching_stops_and_resumes_and_begins_anew_with_another_network(tmp_path: Path) -> None:
    faces = load_faces(make_face_data(tmp_path / "faces"), "train")
    stem = tmp_path / "own.spotless"

    def teach(seed: int, steps: int) -> SpotlessTraining:
        net = untaught(faces, seed)
        directions = 0.1 * torch.eye(len(ATTRIBUTES), net.code_shape[0])
        codes = torch.zeros(len(faces), net.code_shape[0])
        lessons = Lessons(net, directions, faces, faces, codes, [])
        return SpotlessTraining(lessons, Settings(steps, 2, check_every=1), stem, Session())

    first = teach(0, 2)
    first.run()
    example = dict(first.example.named_parameters())
    moved = [n for n, p in first.net.named_parameters() if not torch.equal(p, example[n])]
    assert moved
    assert all(n.startswith("retoucher.") for n in moved)
    again = teach(0, 3)
    assert again.step == 2
    again.run()
    with (tmp_path / "own.spotless.curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert list(rows[0]) == ["stage", "step", "minutes", "changed", "spots"]
    assert teach(1, 3).step == 0

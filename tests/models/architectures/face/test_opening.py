"""Mouths that open by motion, and close until lips meet."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from face_latents.lab.training.face.openness import fit_openness
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.mouth import LIPS
from face_latents.models.architectures.face.net import RenderedFaceNet
from face_latents.models.architectures.face.opening import (
    DRAWN,
    EditParts,
    fade_below_mouth,
    fill_mouth,
)
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import (
    FaceModel,
    load_face_model,
    save_face_model,
)
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.imaging.light import luminance
from rendered_support import CONTROLS, COUNT, SIZE, at_rest, codes, random_tensors

SIDE = 128
MOUTH = 0  # the control that opens mouths
SKIN = torch.tensor([0.7, 0.5, 0.4])


def mouth_tensors(log_odds: float) -> dict[str, torch.Tensor]:
    """A model whose first control opens mouths; those of all faces are as open as said."""
    tensors = random_tensors()
    along = torch.zeros(CONTROLS, COUNT)
    along[:, 0] = 1.0
    tensors["control.along"] = along
    tensors["control.lights"] = torch.zeros(CONTROLS, dtype=torch.int8)
    tensors["control.mouth"] = torch.eye(2, CONTROLS)[:1].repeat(2, 1)
    tensors["control.open"] = torch.nn.functional.pad(torch.tensor([log_odds]), (COUNT, 0))
    return tensors


def opened(net: RenderedFaceNet, strength: float) -> torch.Tensor:
    return at_rest() + net.edit_of(torch.eye(CONTROLS)[MOUTH : MOUTH + 1] * strength)


def parts_of(gap: float = 0.0, meeting: float = 0.0) -> EditParts:
    code = torch.zeros(1, 4)
    return EditParts(code, code, torch.tensor([gap]), torch.tensor([meeting]))


def parting(pixels: float) -> torch.Tensor:
    """What is below the line of the lips moves down by so many pixels (up, if negative)."""
    rows = (torch.arange(SIDE) + 0.5) - LIPS * SIDE
    down = pixels * ((rows + 2) / (4 + max(pixels, 0.0))).clamp(0, 1)
    motion = torch.zeros(1, 2, SIDE, SIDE)
    motion[:, 1] = -down[:, None] / SIDE
    return motion


def skin() -> torch.Tensor:
    return SKIN[:, None, None].expand(1, 3, SIDE, SIDE).contiguous()


def test_a_closed_mouth_is_opened_with_little_drawing() -> None:
    net = rendered.load(mouth_tensors(-30.0))
    parts = net.split_edit(at_rest(), opened(net, 2.0))
    torch.testing.assert_close(parts.target, opened(net, 2.0 * DRAWN))
    photos = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    made = net.apply_edit(photos, at_rest(), opened(net, 2.0))
    plain = rendered.load(mouth_tensors(0.0) | {"control.mouth": torch.zeros(2, CONTROLS)})
    drawn = plain.apply_edit(photos, at_rest(), opened(net, 2.0 * DRAWN))
    assert (drawn - photos).abs().mean() < (made - photos).abs().mean()


def test_an_open_mouth_is_drawn_wider() -> None:
    net = rendered.load(mouth_tensors(30.0))
    after = opened(net, 2.0)
    parts = net.split_edit(at_rest(), after)
    torch.testing.assert_close(parts.target, after)
    torch.testing.assert_close(parts.shift, after - at_rest())
    assert (parts.opening < 1e-6).all()
    assert (parts.closing == 0).all()


@pytest.mark.parametrize(("log_odds", "strength"), [(-30.0, 1.5), (30.0, -1.5)])
def test_mouths_that_turn_move_further(log_odds: float, strength: float) -> None:
    net = rendered.load(mouth_tensors(log_odds))
    parts = net.split_edit(at_rest(), opened(net, strength))
    moved = net.strengths(parts.shift)
    torch.testing.assert_close(moved[:, MOUTH], torch.full((3,), 2.4 * strength))
    assert (moved[:, 1 - MOUTH].abs() < 1e-5).all()
    amount = parts.opening if strength > 0 else parts.closing
    torch.testing.assert_close(amount, torch.ones(3))


def test_without_the_tensors_of_mouths_all_is_drawn() -> None:
    net = rendered.load(random_tensors())
    parts = net.split_edit(at_rest(), codes())
    assert torch.equal(parts.target, codes())
    assert torch.equal(parts.shift, codes() - at_rest())
    assert not parts.opening.any()
    assert not parts.closing.any()


def test_mouths_open_little_by_little() -> None:
    net = rendered.load(mouth_tensors(-1.0))
    photos = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    steps = [net.apply_edit(photos, at_rest(), opened(net, s)) for s in torch.linspace(-0.1, 2, 64)]
    ways = [float((b - a).abs().mean()) for a, b in itertools.pairwise(steps)]
    assert max(ways) < 4 * sum(ways) / len(ways)
    drawn = [net.decode(opened(net, s)) for s in (0.0, 1e-3)]
    assert (drawn[1] - drawn[0]).abs().max() < 0.02


def test_a_gap_shows_teeth_above_the_dark_and_lips_stay() -> None:
    picture, motion = skin(), parting(12.0)
    made = fill_mouth(picture, motion, torch.zeros(1), parts_of(gap=1.0))
    line = round(LIPS * SIDE)
    middle = luminance(made)[0, 0, :, SIDE // 2]
    changed = (middle - luminance(picture)[0, 0, :, SIDE // 2]).abs() > 0.02
    rows = changed.nonzero()[:, 0]
    assert line - 3 <= rows.min()
    assert rows.max() <= line + 14
    assert len(rows) >= 7
    assert middle[rows[:4]].max() > middle[line - 10] > middle[rows[-3:]].min() + 0.2
    for lips in (slice(0, line - 6), slice(line + 18, SIDE)):
        assert torch.equal(made[:, :, lips], picture[:, :, lips])
    # the dark of a darker face is darker
    dim = fill_mouth(picture / 2, motion, torch.zeros(1), parts_of(gap=1.0))
    assert (dim[:, :, rows[-2], SIDE // 2] < made[:, :, rows[-2], SIDE // 2]).all()


def test_teeth_are_told_apart() -> None:
    picture, motion = torch.full((1, 3, 128, 128), 0.55), parting(12.0)
    made = luminance(fill_mouth(picture, motion, torch.zeros(1), parts_of(gap=1.0)))[0, 0]
    differs = made[70:110, 60] - made[70:110, 63]  # within a tooth, and between two
    across = made[70 + int(differs.argmax())]
    dips = [x for x in range(55, 73) if across[x - 1] > across[x] <= across[x + 1]]
    assert len(dips) == 3
    for x, place in zip(dips, (56.4, 63.5, 70.6), strict=True):
        assert abs(x - place) < 1
    assert across[63] < 0.9 * across[60]


def test_nothing_is_filled_where_nothing_opens_or_closes() -> None:
    picture = skin()
    assert torch.equal(fill_mouth(picture, parting(12.0), torch.zeros(1), parts_of()), picture)
    still = fill_mouth(picture, parting(0.0), torch.zeros(1), parts_of(gap=1.0, meeting=1.0))
    torch.testing.assert_close(still, picture, atol=1e-6, rtol=0)
    both = fill_mouth(
        picture.repeat(2, 1, 1, 1),
        parting(12.0).repeat(2, 1, 1, 1),
        torch.zeros(2),
        EditParts(torch.zeros(2, 4), torch.zeros(2, 4), torch.tensor([0.0, 1.0]), torch.zeros(2)),
    )
    assert torch.equal(both[:1], picture)
    assert (both[1:] - picture).abs().max() > 0.2


def test_lips_that_meet_leave_a_dark_line() -> None:
    picture = skin()
    rows = torch.arange(SIDE) + 0.5 - LIPS * SIDE
    motion = torch.zeros(1, 2, SIDE, SIDE)
    motion[:, 1] = (8 * ((rows + 1.5) / 3).clamp(0, 1) / SIDE)[:, None]
    made = fill_mouth(picture, motion, torch.zeros(1), parts_of(meeting=1.0))
    darker = (luminance(picture) - luminance(made))[0, 0]
    assert darker[:, SIDE // 2].max() > 0.1
    assert darker.min() >= 0
    across = (darker > 0.02).any(0).nonzero()[:, 0]
    assert across.min() >= SIDE // 2 - 20
    assert across.max() < SIDE // 2 + 20
    assert (darker[:, SIDE // 2] > 0.02).sum() <= 6


def test_a_chin_that_moves_up_is_not_drawn_there_as_well() -> None:
    change = torch.full((1, 3, SIDE, SIDE), 0.2)
    kept = fade_below_mouth(change, torch.zeros(1), parts_of(meeting=1.0))
    line = round(LIPS * SIDE)
    assert torch.equal(kept[:, :, : line + 8], change[:, :, : line + 8])
    torch.testing.assert_close(kept[:, :, line + 18 :], 0.5 * change[:, :, line + 18 :])
    assert torch.equal(fade_below_mouth(change, torch.zeros(1), parts_of(gap=1.0)), change)


def test_mirrored_faces_open_alike() -> None:
    tensors = mouth_tensors(-2.0)
    tensors["control.along"][:, 1::2] = 0
    tensors["control.fields"][MOUTH, 0] = 0
    net = rendered.load(tensors)
    after = opened(net, 2.0)
    made = net.decode(after)
    motion, mirrored = (net.motion_between(a, b) for a, b in (
        (at_rest(), after), (net.mirror(at_rest()), net.mirror(after))
    ))  # fmt: skip
    assert motion[:, 1].abs().max() > 0.01
    torch.testing.assert_close(mirrored[:, 1], motion[:, 1].flip(-1), atol=3e-3, rtol=0)
    assert torch.isfinite(made).all()


def test_openness_is_regressed_from_symmetric_coefficients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 8, generator=generator)
    parity = torch.tensor([1, -1, 1, -1, 1, 1, 1, -1], dtype=torch.int8)
    truth = torch.tensor([1.5, 0.0, -1.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    labels = (x @ truth + 0.7).sigmoid()
    weights = fit_openness(x, labels, parity)
    assert (weights[:-1][parity < 0] == 0).all()
    torch.testing.assert_close(weights, torch.cat([truth, torch.tensor([0.7])]), atol=0.4, rtol=0)
    assert torch.corrcoef(torch.stack([x @ weights[:-1], x @ truth]))[0, 1] > 0.999


def looking(net: RenderedFaceNet, openness: float) -> torch.Tensor:
    """A code whose mouth is as far from undecided as this: open, or closed if negative."""
    code = torch.zeros(1, *net.code_shape)
    code[:, : len(net.std)] = openness * net.open[:-1] / net.open[:-1].norm()
    return code


@pytest.mark.parametrize("openness", [-4.0, 0.0, 4.0])
def test_only_the_mouths_own_direction_opens_it(face_model: FaceModel, openness: float) -> None:
    net = face_model.module
    assert isinstance(net, RenderedFaceNet)
    code = looking(net, openness)
    for name, direction in face_model.directions.items():
        for strength in (2.0, -2.0):
            parts = net.split_edit(code, code + strength * direction.vector)
            if name == "mouth_open" and strength * openness <= 0:
                assert float(parts.opening if strength > 0 else parts.closing) > 0.1
            elif name != "mouth_open":
                assert float(parts.opening) == 0, name
                # a smile that fades lets an open mouth close a little
                assert float(parts.closing) == 0 or (name, strength) == ("smile", -2.0), name


def test_a_fading_smile_closes_an_open_mouth_a_little(face_model: FaceModel) -> None:
    net = face_model.module
    assert isinstance(net, RenderedFaceNet)
    smile = face_model.directions["smile"].vector
    closing = []
    for openness in (-4.0, 4.0):
        code = looking(net, openness)
        parts = net.split_edit(code, code - 2 * smile)
        closing.append(float(parts.closing))
        change = net.strengths(parts.target - code)[0]
        plain = net.strengths(-2 * smile[None])[0]
        mouth = int(net.mouth[1].argmax())
        assert 0 < change[mouth] <= plain[mouth] + 1e-5  # it is still held open for the most part
        assert torch.equal(net.split_edit(code, code).target, code)
    assert closing[0] < 0.05 < closing[1]


def test_lips_that_met_move_no_further() -> None:
    net = rendered.load(mouth_tensors(20.0))
    far, further = (net.split_edit(at_rest(), opened(net, -strength)) for strength in (3.0, 5.0))
    torch.testing.assert_close(
        net.strengths(far.shift)[:, MOUTH], net.strengths(further.shift)[:, MOUTH]
    )
    assert (further.target - far.target).abs().max() > 0.1


def test_the_bundled_model_opens_a_closed_mouth_where_its_lips_are(face_model: FaceModel) -> None:
    net = face_model.module
    assert isinstance(net, RenderedFaceNet)
    code = torch.zeros(1, *net.code_shape)
    code[:, : len(net.std)] = -4 * net.open[:-1] / net.open[:-1].norm()
    assert float(net.openness(code)) < 0.05
    photo = net.linear_picture(code).clamp(0, 1)
    made = net.apply_edit(photo, code, code + 3 * face_model.directions["mouth_open"].vector)
    rows = (made - photo).abs().mean(1)[0, :, 60:68].mean(1)
    assert abs(int(rows.argmax()) - LIPS * TIGHT.size) < 14
    assert rows[:40].max() < 0.2 * rows.max()  # eyes stay


def test_a_file_tells_of_mouths(tmp_path: Path) -> None:
    path = tmp_path / "mouth.safetensors"
    save_face_model(path, mouth_tensors(0.5), {}, TIGHT.resized(SIZE))
    net = load_face_model(path).module
    assert isinstance(net, RenderedFaceNet)
    torch.testing.assert_close(net.openness(at_rest()), torch.full((3,), 0.5).sigmoid())
    odd = {
        "control.mouth": torch.zeros(2, CONTROLS + 1),
        "control.open": torch.zeros(COUNT),
    }
    for name, tensor in odd.items():
        save_face_model(path, mouth_tensors(0.0) | {name: tensor}, {}, TIGHT.resized(SIZE))
        with pytest.raises(FaceLatentsError, match=name):
            load_face_model(path)

"""The frame in which all lips meet at one height."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.training.face.views import in_frame
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.motion import (
    compose_motions,
    invert_motion,
    move_pictures,
)
from face_latents.models.architectures.face.mouth import (
    LARGEST,
    LIPS,
    from_frame,
    lip_offsets,
    to_frame,
)
from rendered_support import CONTROLS, COUNT, SIZE, at_rest, codes, random_tensors

SIDE = 128


def mouths(rows: list[float], side: int = SIDE, dark: float = 0.3) -> torch.Tensor:
    """Skin with a dark line across the mouth, its middle at the given row (of `side`)."""
    places = torch.arange(side, dtype=torch.float32)
    line = torch.exp(-((places - torch.tensor(rows)[:, None]) / (0.012 * side)).square() / 2)
    across = ((places > 0.3 * side) & (places < 0.7 * side)).float()
    shade = 0.6 + 0.1 * (places / side)[:, None] - dark * line[:, :, None] * across
    return shade[:, None].expand(-1, 3, -1, -1).contiguous()


@pytest.mark.parametrize("side", [128, 256])
def test_lips_are_found_where_the_line_is(side: int) -> None:
    usual = LIPS * 128 - 0.5
    rows = [usual - 3, usual, usual + 2, usual + 5]
    offsets = lip_offsets(mouths([(row + 0.5) * side / 128 - 0.5 for row in rows], side)) * 128
    expected = 6 * torch.tanh(torch.tensor([-3.0, 0.0, 2.0, 5.0]) / 6)
    torch.testing.assert_close(offsets, expected, atol=0.4, rtol=0)
    mirrored = lip_offsets(mouths(rows).flip(-1)) * 128
    torch.testing.assert_close(mirrored, lip_offsets(mouths(rows)) * 128, atol=0.02, rtol=0)


def test_lines_far_from_a_mouth_and_faces_without_any_are_no_mouths() -> None:
    usual = LIPS * 128 - 0.5
    far = lip_offsets(mouths([60.0, 115.0])) * 128
    assert far.abs().max() < 2.5
    flat = lip_offsets(torch.full((1, 3, 32, 32), 0.5))
    assert flat.abs().max() * 128 < 2.5
    both = torch.minimum(mouths([usual + 4]), mouths([110.0], dark=0.35))
    torch.testing.assert_close(
        lip_offsets(both) * 128, lip_offsets(mouths([usual + 4])) * 128, atol=0.5, rtol=0
    )
    worst = lip_offsets(torch.rand(20, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert worst.abs().max() < LARGEST


def test_the_frame_is_entered_and_left() -> None:
    rows = [LIPS * 128 - 0.5 + down for down in (-4.0, -1.0, 3.0, 5.0)]
    faces = mouths(rows)
    offsets = lip_offsets(faces)
    framed = move_pictures(faces, to_frame(offsets, SIDE))
    assert (lip_offsets(framed).abs() < 0.35 * offsets.abs() + 0.3 / 128).all()
    torch.testing.assert_close(
        move_pictures(framed, from_frame(offsets, SIDE)), faces, atol=0.02, rtol=0
    )
    motion = to_frame(offsets, SIDE)
    torch.testing.assert_close(motion.flip(-1), motion)
    assert (motion[:, 0] == 0).all()
    assert (motion[:, 1, :64] == 0).all()  # eyes and nose stay
    assert (motion[:, 1, :, :12] == 0).all()
    inside = motion[:, 1, 84:98, 40:88]
    torch.testing.assert_close(inside, offsets[:, None, None].expand_as(inside))


def test_motions_add_up_and_are_undone() -> None:
    axis = torch.sin(torch.linspace(0, torch.pi, 64))
    bump = (axis * axis[:, None])[None, None]
    motion = torch.cat([0.03 * bump, -0.04 * bump], 1)
    picture = (0.5 + 0.3 * torch.sin(torch.arange(64) / 5) * axis[:, None])[None, None]
    twice = move_pictures(move_pictures(picture, motion), 0.5 * motion)
    torch.testing.assert_close(
        move_pictures(picture, compose_motions(motion, 0.5 * motion)), twice, atol=8e-3, rtol=0
    )
    still = compose_motions(motion, invert_motion(motion))
    assert still[..., 4:-4, 4:-4].abs().max() < 2e-4


def test_motion_goes_where_the_lips_are() -> None:
    net = rendered.load(random_tensors())
    usual = net.motion(codes())
    lower = net.motion(codes(), torch.full((3,), 0.5 / SIZE))  # half a pixel
    row, column = int(LIPS * SIZE), SIZE // 2
    expected = (usual[:, :, row - 1, column] + usual[:, :, row, column]) / 2
    torch.testing.assert_close(lower[:, :, row, column], expected, atol=3e-3, rtol=0)
    assert (usual[:, :, row, column] - expected).abs().max() > 5e-3
    torch.testing.assert_close(lower[:, :, :7], usual[:, :, :7], atol=2e-3, rtol=0)
    assert torch.equal(net.motion(codes(), torch.zeros(3)), usual)


def test_edits_do_not_move_where_lips_meet() -> None:
    tensors = random_tensors()
    tensors["control.along"] = torch.randn(
        CONTROLS, COUNT, generator=torch.Generator().manual_seed(3)
    )
    tensors["control.lights"] = torch.zeros(CONTROLS, dtype=torch.int8)
    net = rendered.load(tensors)
    strengths = torch.tensor([[1.5, -0.5], [0.0, 2.0], [-1.0, 1.0]])
    edited = at_rest() + torch.cat([strengths @ net.along, 0.2 * strengths], 1)
    torch.testing.assert_close(net.at_rest(edited), at_rest(), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        net.lip_offsets(edited), net.lip_offsets(at_rest()), atol=1e-5, rtol=0
    )


def test_decodes_enter_the_frame_little_by_little() -> None:
    net = rendered.load(random_tensors())
    change = codes() - at_rest()
    still, slight = net.decode(at_rest()), net.decode(at_rest() + 1e-3 * change)
    assert (net.draw(at_rest(), net.lip_offsets(at_rest())) - still).abs().max() > 0.01
    assert (slight - still).abs().max() < 5e-3


def test_training_faces_are_brought_into_the_frame() -> None:
    net = rendered.load(random_tensors())
    photos = (torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(4)) * 255).byte()
    framed = in_frame(net, FaceSet(photos, ({}, {}, {})))
    offsets = net.lip_offsets(net.encode(photos.float() / 255))
    expected = move_pictures(photos.float() / 255, to_frame(offsets, SIZE))
    torch.testing.assert_close(framed.floats(), expected.clamp(0, 1), atol=0.003, rtol=0)
    assert (framed.crops != photos).any()

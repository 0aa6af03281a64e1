"""What edits of codes do to photos, before any photo is touched."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.architectures.face.editor import (
    DRAFT_GRID,
    EXTENT,
    GRID,
    appearance_change,
    colourfulness,
    frame_mask,
    tone_of,
)
from face_latents.models.architectures.face.net import POSES, FaceShapeAppearanceNet
from face_latents.models.face_model import FaceModel
from face_latents.models.imaging.edit_maps import EditMaps
from face_latents.models.imaging.light import apply_log_odds, light_of
from face_latents.models.imaging.maps import resize
from face_support import COUNT, SHAPES, SIZE, random_codes, small_net

SKIP = POSES + SHAPES


@pytest.fixture(scope="module")
def net() -> FaceShapeAppearanceNet:
    return small_net(drawn=0.1)


@pytest.fixture(scope="module")
def face(net: FaceShapeAppearanceNet) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos `(2, 3, S, S)` and their codes."""
    codes = random_codes(2, scale=0.5)
    return net.decode(codes).clamp(0, 1), codes


def changed(codes: torch.Tensor, first: int, last: int, by: float = 1.0) -> torch.Tensor:
    """Codes of which only some numbers differ."""
    away = torch.zeros(COUNT)
    away[first:last] = by
    return codes + away


def maps_of(
    net: FaceShapeAppearanceNet, photos: torch.Tensor, before: torch.Tensor, after: torch.Tensor
) -> list[EditMaps]:
    stacked = net.edit(photos, before, after, draft=True)
    return [EditMaps.unstacked(each, net.extent) for each in stacked]


def test_equal_codes_do_nothing(net: FaceShapeAppearanceNet, face) -> None:
    photos, codes = face
    for maps in maps_of(net, photos, codes, codes.clone()):
        for name in ("motion", "change", "weight"):
            assert (getattr(maps, name) == 0).all(), name


def test_shape_moves_and_appearance_colours(net: FaceShapeAppearanceNet, face) -> None:
    photos, codes = face
    for moved in maps_of(net, photos, codes, changed(codes, 0, SKIP, 0.4)):
        assert moved.motion.abs().max() > 0.005
        assert (moved.change == 0).all()
    for coloured in maps_of(net, photos, codes, changed(codes, SKIP, COUNT)):
        assert (coloured.motion == 0).all()
        assert coloured.change.abs().max() > 0.05
        assert (coloured.weight == 0).all()


def test_a_face_moved_aside_shows_what_was_there(net: FaceShapeAppearanceNet, face) -> None:
    photos, codes = face
    by = 0.05
    after = codes.clone()
    after[:, 3] += by / net.shape.pose_std[3]  # to the right
    for maps in maps_of(net, photos, codes, after):
        middle = maps.motion[:, DRAFT_GRID // 2, DRAFT_GRID // 2]
        torch.testing.assert_close(middle, torch.tensor([-by, 0.0]), atol=2e-3, rtol=0)


def test_maps_are_nothing_along_their_frame(net: FaceShapeAppearanceNet, face) -> None:
    photos, codes = face
    after = changed(codes, 0, COUNT, 0.5)
    stacked = net.edit(photos, codes, after, draft=True)
    for edge in (stacked[..., 0, :], stacked[..., -1, :], stacked[..., 0], stacked[..., -1]):
        assert (edge[:, :6] == 0).all()
    beyond = stacked[:, :2, :, : DRAFT_GRID // 5]
    assert beyond.abs().max() > 0  # but hair and ears come along
    mask = frame_mask(50, 0.1)
    assert mask[25, 25] == 1
    assert (mask.diff(dim=0)[:25] >= 0).all()


def test_a_draft_is_the_exact_edit_at_half_the_resolution(face_model: FaceModel) -> None:
    net = face_model.capabilities.editor
    codes = face_model.sample(1, seed=3, truncation_psi=0.7)
    photos = face_model.decode(codes).clamp(0, 1)
    after = codes + sum(face_model.directions[name].vector for name in ("smile", "age"))
    exact, draft = net.edit(photos, codes, after)[0], net.edit(photos, codes, after, draft=True)[0]
    assert exact.shape == (9, GRID, GRID)
    assert draft.shape == (9, DRAFT_GRID, DRAFT_GRID)
    small = resize(exact[:5], DRAFT_GRID)
    for name, part, most in (("motion", slice(0, 2), 0.03), ("change", slice(2, 5), 0.13)):
        error = (small[part] - draft[part]).abs().mean() / small[part].abs().mean()
        assert error < most, f"{name}: {error:.3f}"


def test_photos_of_a_batch_do_not_touch_each_other(net: FaceShapeAppearanceNet, face) -> None:
    photos, codes = face
    after = torch.stack([codes[0], changed(codes, 0, COUNT, 0.5)[1]])
    together = net.edit(photos, codes, after, draft=True)
    for i in range(2):
        one = slice(i, i + 1)
        alone = net.edit(photos[one], codes[one], after[one], draft=True)[0]
        torch.testing.assert_close(together[i], alone, atol=1e-4, rtol=0)
    assert (together[0, :6] == 0).all()


def test_lips_that_part_show_a_drawn_inside(net: FaceShapeAppearanceNet) -> None:
    photos, codes = torch.full((1, 3, SIZE, SIZE), 0.5), torch.zeros(1, COUNT)
    closed, opened = net.points(codes), net.points(codes)
    closed[:, (14, 87, 317, 178, 402)] = closed[:, (13, 82, 312, 81, 311)]
    opened[:, (14, 87, 317, 178, 402), 1] = closed[:, (13, 82, 312, 81, 311), 1] + 0.08
    points = iter((closed, opened, opened, closed, opened, opened.clone()))
    net = small_net()
    net.points = lambda codes: next(points)  # type: ignore[method-assign,assignment]
    opening, closing, kept = (
        EditMaps.unstacked(net.edit(photos, codes, codes, draft=True)[0]) for _ in range(3)
    )
    assert opening.weight.max() > 0.9
    mouth = (opening.weight > 0.1).float().mean()
    assert 0.0005 < mouth < 0.02
    assert (closing.weight == 0).all()
    assert (kept.weight == 0).all()  # a mouth that was open keeps its own teeth
    assert opening.face.min() >= 0
    assert opening.face.max() <= 1


def canonical(net: FaceShapeAppearanceNet, seed: int) -> torch.Tensor:
    return net.texture(random_codes(1, seed, 0.6)[:, -8:]).clamp(0.05, 0.95)


def test_a_grey_photo_stays_grey(net: FaceShapeAppearanceNet) -> None:
    before, after = canonical(net, 1), canonical(net, 2)
    grey = before.mean(1, keepdim=True).expand(1, 3, SIZE, SIZE).contiguous()
    change = appearance_change(net, grey, colourfulness(grey), before, after)
    assert torch.equal(change[:, 0], change[:, 1])
    assert torch.equal(change[:, 0], change[:, 2])
    assert change.abs().max() > 0.05
    edited = apply_log_odds(grey, change)
    torch.testing.assert_close(edited, edited[:, :1].expand_as(edited))


def test_a_sepia_photo_stays_on_its_tone_line(net: FaceShapeAppearanceNet) -> None:
    before, after = canonical(net, 1), canonical(net, 2)
    tone = torch.tensor([1.0, 0.85, 0.65])[:, None, None]
    sepia = before.mean(1, keepdim=True) * tone
    assert colourfulness(sepia) == 0
    change = appearance_change(net, sepia, colourfulness(sepia), before, after)
    edited = apply_log_odds(sepia, change)
    assert (edited - sepia).abs().max() > 0.02
    assert colourfulness(edited) == 0
    line = edited.mean(1, keepdim=True) * tone / tone.mean()
    assert (edited - line).abs().mean() < 0.1 * (edited - sepia).abs().mean()
    drawn = tone_of(sepia, colourfulness(sepia), after)
    line = drawn.mean(1, keepdim=True) * tone / tone.mean()
    torch.testing.assert_close(drawn, line, atol=5e-3, rtol=0)


def test_colours_are_told_from_tones() -> None:
    generator = torch.Generator().manual_seed(0)
    light = resize(torch.rand(1, 5, 5, generator=generator), 64)[None]
    assert colourfulness(light.expand(1, 3, 64, 64)) == 0
    other = resize(torch.rand(3, 5, 5, generator=generator), 64)[None]
    assert colourfulness(other) == 1
    grey = light.expand(1, 3, 64, 64)
    torch.testing.assert_close(
        tone_of(other, colourfulness(other), grey), grey
    )  # a photo with colours keeps any


def test_what_hides_the_face_is_left_alone(net: FaceShapeAppearanceNet) -> None:
    before, after = canonical(net, 1), canonical(net, 2)
    hidden = before.clone()
    half = SIZE // 2
    hidden[..., half:, :] = 0.97  # a white mask over the lower half
    plain = appearance_change(net, before, colourfulness(before), before, after)
    change = appearance_change(net, hidden, colourfulness(hidden), before, after)
    below = slice(half + 5, None)
    inside = plain[..., below, :].abs()
    assert change[..., below, :].abs().sum() < 0.2 * inside.sum()
    assert inside.sum() > 0


def test_light_is_what_most_of_a_face_agrees_on() -> None:
    mask = torch.ones(10, 10)
    change = torch.full((3, 3, 10, 10), 0.6)
    change[1] = -0.6
    change[2, :, :3] = -0.3  # three tenths become darker
    torch.testing.assert_close(light_of(change.mean(1), mask), torch.tensor([0.5, -0.5, 0.0]))
    half = torch.zeros(10, 10)
    half[5:] = 1
    assert light_of(change.mean(1), half)[2] == pytest.approx(0.5)  # only the face counts


def test_light_falls_on_what_surrounds_a_face() -> None:
    net = small_net()
    photos, codes = torch.full((1, 3, SIZE, SIZE), 0.5), torch.zeros(1, COUNT)
    shape = (1, 3, SIZE // 2, SIZE // 2)
    net.appearance.linear_sum = (  # type: ignore[method-assign]
        lambda looks: torch.full(shape, 0.7 if looks.any() else 0.5)
    )
    lit = changed(codes, COUNT - 1, COUNT)
    change = EditMaps.unstacked(net.edit(photos, codes, lit, draft=True)[0]).change[0]
    middle, side = DRAFT_GRID // 2, DRAFT_GRID
    whole = change[middle, middle]
    assert whole == pytest.approx(0.847, abs=0.05)  # log-odds of 0.7
    row = change[middle]
    assert row[int(0.28 * side)] > 0.7 * whole  # beside the face
    assert row[[0, -1]].abs().max() < 1e-3 * whole
    assert row.diff().abs().max() < 0.05 * whole  # no border
    torch.testing.assert_close(change, change.flip(-1), atol=0.06, rtol=0)


def test_the_extent_is_what_the_maps_cover(net: FaceShapeAppearanceNet) -> None:
    editor = net.capabilities().editor
    assert editor is not None
    assert editor.extent == EXTENT > 1


def test_what_darkens_takes_on_the_warmth_of_the_skin(net: FaceShapeAppearanceNet) -> None:
    skin = torch.tensor([0.8, 0.6, 0.5]).view(1, 3, 1, 1).expand(1, 3, SIZE, SIZE).contiguous()
    cold = torch.tensor([0.6, 0.8, 1.0]).view(1, 3, 1, 1)

    def spread(after: torch.Tensor) -> float:
        change = appearance_change(net, skin, torch.ones(1), skin, after)
        return float((change.amax(1) - change.amin(1)).max())

    assert spread(skin * cold * 0.4) < 1e-5  # a grey beard
    assert spread(skin * cold) > 0.1
    assert spread(torch.ones_like(skin) * 0.9) > 0.1


@torch.no_grad()
@pytest.mark.parametrize("draft", [False, True])
def test_what_was_seen_of_a_photo_serves_that_photo_alone(draft: bool) -> None:
    photos, codes = torch.rand(2, 3, SIZE, SIZE), torch.zeros(2, COUNT)
    after, net = changed(codes, COUNT - 1, COUNT), small_net()

    def fresh(photo: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        return small_net().edit(photo, code, after[:1], draft=draft)

    first, second = photos[:1].clone(), photos[1:]
    other = changed(codes[:1], COUNT - 2, COUNT - 1)
    for photo, code in ((first, codes[:1]), (second, codes[:1]), (second, other)):
        for _ in range(2):
            assert torch.equal(net.edit(photo, code, after[:1], draft=draft), fresh(photo, code))
    second.mul_(0.5)  # the caller's own tensor
    assert torch.equal(net.edit(second, other, after[:1], draft=draft), fresh(second, other))
    assert net.looks
    assert not net.double().looks

"""Detail of the photo goes with what it belonged to, and only with that."""

from __future__ import annotations

import torch
from face_latents.models.imaging.maps import gaussian_blur
from face_latents.models.paste.detail import fade_detail, lost_detail, reach_of
from face_latents.models.paste.edit import Source
from face_latents.models.paste.face import cut_face
from paste_support import make_context, paste


def face(side: int = 64) -> torch.Tensor:
    """A smooth face `(3, side, side)`."""
    axis = torch.linspace(0, 3, side)
    return (0.5 + 0.15 * torch.sin(axis + axis[:, None])).expand(3, side, side).clone()


def teeth(side: int = 64) -> torch.Tensor:
    """Vertical stripes where the mouth is, 0 elsewhere, `(side, side)`."""
    place = (torch.arange(side) + 0.5) / side
    stripes = 0.2 * torch.sign(torch.sin(place * 64 * torch.pi / 2))
    mouth = ((place[:, None] - 0.68).abs() < 0.06) & ((place - 0.5).abs() < 0.14)
    return stripes * mouth


def test_what_stays_keeps_its_detail() -> None:
    grain = 0.015 * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    before = face() + teeth() + grain
    assert (lost_detail(before, before) == 0).all()
    for after in (before * 1.2, before - 0.1, before + 0.2 * face()):
        assert (lost_detail(before, after) == 0).all()
    smoothed = torch.where(teeth() != 0, before, face())  # grain is not what anything consists of
    assert lost_detail(before, smoothed)[:, :30].max() < 0.1


def test_what_goes_takes_its_detail_along() -> None:
    lost = lost_detail(face() + teeth(), face())
    assert lost[0, 42:45, 28:36].min() > 0.95
    assert (lost[0, :32] == 0).all()
    assert lost.min() >= 0
    assert lost.max() <= 1
    assert lost_detail(face() + teeth(), face() - teeth())[0, 42:45, 28:36].min() > 0.95  # others
    assert (lost_detail(face(), face() + teeth()) == 0).all()  # there was nothing to take


def test_fading_leaves_what_is_not_lost() -> None:
    picture = torch.rand(3, 40, 30, generator=torch.Generator().manual_seed(0))
    lost = torch.zeros(1, 40, 30)
    assert torch.equal(fade_detail(picture, lost, 3.0), picture)
    lost[:, 20:] = 1
    assert torch.equal(fade_detail(picture, lost, 0.4), picture)  # finer than its pixels
    faded = fade_detail(picture, lost, 3.0)
    assert torch.equal(faded[:, :20], picture[:, :20])
    torch.testing.assert_close(faded[:, 20:], gaussian_blur(picture, 3.0)[:, 20:])
    assert reach_of(0.4) == 0
    assert reach_of(3.0) >= 9


def test_a_mouth_that_closes_shows_no_outlines_of_teeth() -> None:
    """A photo six times as fine as the crop."""
    scale = 6
    photo = (face(64 * scale) + teeth(64 * scale)).permute(1, 2, 0).contiguous()
    side = 64 * scale
    context = make_context(photo, (side / 2 - 0.5, side / 2 - 0.5), side)
    before = cut_face(photo, context, 64)
    after = torch.where(torch.arange(64)[:, None] > 32, face(), before)
    made = paste(photo, context, before, after, source=Source.PHOTO)
    drawn = paste(photo, context, before, after, motion=torch.zeros(2, 64, 64))
    rows = slice(int(0.66 * side), int(0.70 * side))
    columns = slice(int(0.42 * side), int(0.58 * side))

    def detail(picture: torch.Tensor) -> float:
        inside = picture[rows, columns, 0]
        return float((inside - gaussian_blur(inside[None], 4.0)[0]).std())

    assert detail(made) < 0.45 * detail(photo)
    assert detail(made) < 0.7 * detail(drawn)
    assert torch.equal(made[: side // 3], photo[: side // 3])

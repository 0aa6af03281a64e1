"""Which colours an edit may bring to a photo."""

from __future__ import annotations

import torch
from face_latents.models.architectures.face.hue import keep_hue, keep_near_skin
from face_latents.models.imaging.light import luminance
from torch import Tensor

SIDE = 32
SKIN = (0.8, 0.55, 0.45)


def plain(*colour: float) -> Tensor:
    return torch.tensor(colour)[:, None, None].expand(1, 3, SIDE, SIDE).contiguous()


def noise(seed: int) -> Tensor:
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def colourful(picture: Tensor) -> Tensor:
    """Red against blue, in proportion to brightness, `(S, S)`."""
    return ((picture[:, 0] - picture[:, 2]) / luminance(picture)[:, 0])[0]


def test_what_becomes_darker_keeps_its_hue() -> None:
    skin, line = plain(*SKIN), torch.zeros(1, 1, SIDE, SIDE)
    line[..., 15:17, :] = -0.4
    put = skin + keep_hue(skin, line.expand(1, 3, SIDE, SIDE))
    torch.testing.assert_close(luminance(put), luminance(skin) + line, atol=1e-5, rtol=0)
    own = colourful(skin)[15, 9]
    added = colourful(skin + line)[15, 9] - own
    assert 0 < colourful(put)[15, 9] - own < 0.65 * added


def test_dark_frames_are_neither_blue_nor_violet() -> None:
    skin = plain(*SKIN)
    frame = torch.zeros_like(skin)
    frame[..., 4:12, :] = torch.tensor([0.25, 0.18, 0.35])[:, None, None] - skin[..., 4:12, :]
    put = skin + keep_hue(skin, frame)
    red, green, blue = put[0, :, 8, 9].tolist()
    assert red > blue + 0.05
    assert blue - green < 0.03
    assert colourful(put)[8, 9] > 0.3 * colourful(skin)[8, 9]


def test_teeth_that_are_drawn_on_lips_are_whiter_than_skin() -> None:
    photo = plain(*SKIN)
    photo[..., 4:12, :] = torch.tensor([0.45, 0.25, 0.22])[:, None, None]
    teeth = torch.zeros_like(photo)
    teeth[..., 4:12, :] = torch.tensor([0.8, 0.78, 0.76])[:, None, None] - photo[..., 4:12, :]
    assert colourful(photo + keep_hue(photo, teeth))[8, 9] < 0.3 * colourful(photo)[18, 9]


def test_a_grey_photo_stays_grey() -> None:
    grey = noise(1).mean(1, keepdim=True).expand(1, 3, SIDE, SIDE)
    put = grey + keep_hue(grey, noise(2) - 0.5)
    assert (put - luminance(put)).abs().max() < 1e-4
    assert (put - grey).abs().mean() > 0.05


def test_colours_of_the_photo_itself_stay_whatever_they_are() -> None:
    """Blue eyes, green paint: beyond what skin has, but nothing that the edit has brought."""
    photo = plain(*SKIN)
    photo[..., 4:8, 4:8] = torch.tensor([0.2, 0.4, 0.9])[:, None, None]
    photo[..., 4:8, 20:24] = torch.tensor([0.1, 0.8, 0.2])[:, None, None]
    assert torch.equal(photo + keep_hue(photo, torch.zeros_like(photo)), photo)
    darker = photo + keep_hue(photo, -0.3 * photo)
    torch.testing.assert_close(darker, 0.7 * photo, atol=0.02, rtol=0)


def test_colours_come_softly_and_brightness_as_it_is() -> None:
    photo, change = noise(1), 0.3 * (noise(2) - 0.5)
    made = keep_hue(photo, change)
    torch.testing.assert_close(luminance(made), luminance(change), atol=1e-5, rtol=0)
    skin = plain(*SKIN)
    tint = plain(0.04, -0.02, -0.02)
    tint = tint - luminance(tint)
    torch.testing.assert_close(
        keep_hue(skin, tint), tint, atol=3e-3, rtol=0
    )  # coarse colour arrives
    spots = torch.zeros(1, 1, SIDE, SIDE)
    spots[..., 2::4, 2::4] = 1
    assert keep_hue(skin, spots * tint).abs().max() < 0.2 * tint.abs().max()


def test_each_photo_is_bound_by_its_own_skin() -> None:
    own = torch.cat([plain(*SKIN), plain(0.45, 0.55, 0.8)])
    wanted = torch.cat([plain(0.3, 0.3, 0.5), plain(0.3, 0.3, 0.5)])
    shaded = own * (wanted.mean((1, 2, 3)) / own.mean((1, 2, 3)))[:, None, None, None]
    made = keep_near_skin(wanted, shaded, own)
    assert made[0, 0, 0, 0] > made[0, 2, 0, 0]
    assert made[1, 2, 0, 0] > made[1, 0, 0, 0]
    torch.testing.assert_close(made.mean(1), wanted.mean(1))

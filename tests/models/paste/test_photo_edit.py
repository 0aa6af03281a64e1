"""Paste Back of what a model does to the photo itself: motion, change, what is laid over."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging.edit_maps import EditMaps
from face_latents.models.imaging.light import apply_log_odds
from face_latents.models.imaging.maps import gaussian_blur
from face_latents.models.paste.draft import draft_mask, paste_draft
from face_latents.models.paste.edit import PhotoEdit
from face_latents.models.paste.face import PhotoFace
from face_latents.models.paste.pixels import end_before_border
from hypothesis import given, settings
from hypothesis import strategies as st
from paste_support import make_context, make_maps, paste_maps
from torch import Tensor


def make_photo(height: int, width: int, soft: float = 0.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(3, height, width, generator=generator)
    if soft:
        noise = gaussian_blur(noise, soft)
        noise = (noise - noise.amin()) / (noise.amax() - noise.amin())
    return noise.permute(1, 2, 0).contiguous() * 0.6 + 0.2


def lively_maps(extent: float = 1.75) -> EditMaps:
    """Smooth maps that are nothing along their frame, as models give them."""
    axis = torch.linspace(0, torch.pi, 64)
    bump = (axis.sin() * axis.sin()[:, None]).square()
    return EditMaps(
        torch.stack([0.04 * bump, -0.03 * bump]),
        0.5 * bump.expand(3, 64, 64).clone(),
        (2 * bump - 1.5).clamp(min=0)[None],
        torch.full((3, 64, 64), 0.3),
        extent,
    )


@pytest.mark.parametrize("side", [30, 90, 300])
def test_an_edit_of_nothing_is_the_photo_to_the_last_bit(side: int) -> None:
    photo = make_photo(120, 140)
    photo[40, 40] = torch.tensor([1.7, -0.3, 0.5])
    context = make_context(photo, (70, 60), side, 12)
    out = paste_maps(photo, context, make_maps(extent=1.75))
    assert torch.equal(out, photo)
    assert out.data_ptr() != photo.data_ptr()
    assert torch.equal(paste_maps(photo, context, lively_maps(), strength=0), photo)
    assert not torch.equal(paste_maps(photo, context, lively_maps()), photo)


@pytest.mark.parametrize("extent", [1.0, 1.75])
def test_nothing_outside_of_the_extent_changes(extent: float) -> None:
    photo = make_photo(240, 240)
    maps = make_maps((0.05, 0.0), 0.5, 0.2, extent)
    out = paste_maps(photo, make_context(photo, (120, 120), 100), maps)
    axis = (torch.arange(240.0) - 120).abs()
    away = torch.maximum(axis[None], axis[:, None])
    changed = (out != photo).any(-1)
    assert not changed[away > 50 * extent + 2].any()
    assert changed[away < 50 * extent - 4].all()


def test_pixels_come_from_where_the_motion_says() -> None:
    photo = make_photo(200, 200, soft=1.5)
    maps = make_maps((0.08, -0.04))
    out = paste_maps(photo, make_context(photo, (100, 100), 100), maps)
    middle = out[90:110, 90:110]
    torch.testing.assert_close(middle, photo[86:106, 98:118], atol=0.01, rtol=0)


def test_motion_turns_with_the_face() -> None:
    """A face lying on its side in a photo, or the photo turned upright: the same."""
    photo, maps = make_photo(160, 160, soft=1.0), lively_maps()
    lying = paste_maps(photo, make_context(photo, (79.5, 79.5), 80, 90), maps)
    upright_photo = torch.rot90(photo)
    upright = paste_maps(upright_photo, make_context(upright_photo, (79.5, 79.5), 80), maps)
    torch.testing.assert_close(torch.rot90(lying), upright, atol=1e-4, rtol=0)
    assert (lying - photo).abs().max() > 0.05


def test_change_is_a_shift_of_log_odds_and_weight_lays_over() -> None:
    photo = make_photo(100, 100)
    context = make_context(photo, (50, 50), 60)
    middle = slice(40, 60)
    lit = paste_maps(photo, context, make_maps(change=0.7))[middle, middle]
    expected = apply_log_odds(photo[middle, middle], torch.tensor(0.7))
    torch.testing.assert_close(lit, expected, atol=1e-5, rtol=0)
    laid = paste_maps(photo, context, make_maps(weight=1.0))[middle, middle]
    torch.testing.assert_close(laid, torch.tensor([0.1, 0.9, 0.2]).expand_as(laid))


def test_strength_is_a_share_of_everything() -> None:
    photo = make_photo(200, 200, soft=1.5)
    context = make_context(photo, (100, 100), 100)
    half = paste_maps(photo, context, make_maps((0.08, 0.0)), strength=0.5)
    torch.testing.assert_close(half, paste_maps(photo, context, make_maps((0.04, 0.0))))
    half = paste_maps(photo, context, make_maps(change=0.8), strength=0.5)
    torch.testing.assert_close(half, paste_maps(photo, context, make_maps(change=0.4)))
    half = paste_maps(photo, context, make_maps(weight=0.9), strength=0.5)
    torch.testing.assert_close(half, paste_maps(photo, context, make_maps(weight=0.45)))


@settings(max_examples=40, deadline=None)
@given(
    dx=st.floats(-0.6, 0.6),
    dy=st.floats(-0.6, 0.6),
    side=st.floats(5, 200),
    left=st.integers(0, 20),
    top=st.integers(0, 20),
)
def test_motion_never_reads_outside_of_the_photo(
    dx: float, dy: float, side: float, left: int, top: int
) -> None:
    photo, box = torch.zeros(40, 50, 3), (left, top, 50, 40)
    motion = torch.tensor([dx, dy])[:, None, None].expand(2, 40 - top, 50 - left)
    scale = side * torch.eye(2, dtype=torch.float64)
    ended = end_before_border(motion, photo, box, scale)
    x = torch.arange(left, 50) + ended[0] * side
    y = torch.arange(top, 40)[:, None] + ended[1] * side
    slack = 1e-3
    assert x.min() >= -slack
    assert x.max() <= 49 + slack
    assert y.min() >= -slack
    assert y.max() <= 39 + slack
    assert ended.abs().max() <= motion.abs().max() + 1e-6
    assert (ended[:, -1] == 0).all()
    assert (ended[:, :, -1] == 0).all()


def test_a_face_at_the_border_keeps_the_border() -> None:
    photo = make_photo(100, 100)
    for motion in ((0.3, 0.0), (-0.3, 0.0), (0.0, 0.3)):
        out = paste_maps(photo, make_context(photo, (20, 50), 80), make_maps(motion, extent=1.75))
        assert torch.equal(out[:, 0], photo[:, 0])
        assert not torch.equal(out[:, 10], photo[:, 10])


def test_long_motion_far_from_the_border_is_kept() -> None:
    motion = torch.full((2, 9, 9), 0.1)
    ended = end_before_border(
        motion, torch.zeros(500, 500, 3), (246, 246, 255, 255), 100 * torch.eye(2)
    )
    assert torch.equal(ended, motion)


def test_a_mask_protects() -> None:
    photo, mask = make_photo(100, 100), torch.ones(100, 100)
    mask[:, :50] = 0
    context = make_context(photo, (50, 50), 60)
    out = paste_maps(photo, context, lively_maps(), mask=mask)
    assert torch.equal(out[:, :50], photo[:, :50])
    beyond = slice(70, None)  # as far as fine detail is judged
    assert torch.equal(out[:, beyond], paste_maps(photo, context, lively_maps())[:, beyond])
    with pytest.raises(FaceLatentsError, match="mask has shape"):
        paste_maps(photo, context, lively_maps(), mask=torch.ones(50, 100))


def test_alpha_passes_through() -> None:
    photo, alpha = make_photo(90, 90), torch.rand(90, 90, 1)
    context = make_context(photo, (45, 45), 60)
    out = paste_maps(torch.cat([photo, alpha], -1), context, lively_maps())
    assert torch.equal(out[..., 3:], alpha)
    assert torch.equal(out[..., :3], paste_maps(photo, context, lively_maps()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_photos_type_is_kept(dtype: torch.dtype) -> None:
    photo = make_photo(80, 80).to(dtype)
    context = make_context(photo, (40, 40), 60)
    out = paste_maps(photo, context, lively_maps())
    assert out.dtype == dtype
    torch.testing.assert_close(
        out.float(), paste_maps(photo.float(), context, lively_maps()), atol=0.02, rtol=0
    )


def test_what_cannot_be_pasted_is_refused() -> None:
    photo = make_photo(64, 64)
    context, maps = make_context(photo, (32, 32), 60), lively_maps()
    for wrong, words in (
        ((photo * 255).byte(), "Divide 8-bit values by 255"),
        (photo[None], "one photo at a time"),
        (photo[..., :1], "expected"),
    ):
        with pytest.raises(FaceLatentsError, match=words):
            paste_maps(wrong, context, maps)
    with pytest.raises(FaceLatentsError, match="finite"):
        paste_maps(photo, context, maps, strength=float("nan"))
    near = photo.clone()
    near[32, 32] = torch.nan
    with pytest.raises(FaceLatentsError, match="not numbers"):
        paste_maps(near, context, maps)


def test_resolutions_agree() -> None:
    large = make_photo(512, 512, soft=12)
    small = torch.nn.functional.avg_pool2d(large.permute(2, 0, 1), 4).permute(1, 2, 0)
    pasted = paste_maps(large, make_context(large, (255.5, 255.5), 260, 8), lively_maps())
    shrunk = torch.nn.functional.avg_pool2d(pasted.permute(2, 0, 1), 4).permute(1, 2, 0)
    out = paste_maps(small, make_context(small, (63.5, 63.5), 65, 8), lively_maps())
    torch.testing.assert_close(out, shrunk, atol=0.015, rtol=0)


def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = make_photo(150, 140)
    context = make_context(photo, (70, 75), 80, -7)
    whole = paste_maps(photo, context, lively_maps())
    monkeypatch.setattr("face_latents.models.paste.back._TILE", 32)
    torch.testing.assert_close(paste_maps(photo, context, lively_maps()), whole, atol=1e-4, rtol=0)


def test_fine_lines_that_move_stay_sharp() -> None:
    lines = (torch.arange(240) % 4 < 2).float() * 0.4 + 0.3
    photo = lines[:, None, None].expand(240, 240, 3).contiguous()
    context = make_context(photo, (120, 120), 120)
    out = paste_maps(photo, context, make_maps((0.0, 2.5 / 120)))  # between pixels

    def detail(picture: Tensor) -> float:
        return float(picture[100:140, 100:140].diff(dim=0).abs().mean())

    assert detail(out) > 0.75 * detail(photo)


def test_a_draft_is_close_to_the_exact_edit() -> None:
    photo = make_photo(300, 300, soft=2.0)
    face = PhotoFace(make_context(photo, (150, 150), 120, 6))
    square = face.in_square(128, 1.75).context
    edit = PhotoEdit(lively_maps())
    exact = paste_maps(square.photo, square, edit.maps)
    draft = paste_draft(square, edit, draft_mask(square))
    error = (draft - exact).abs()
    assert error.mean() < 0.1 * (exact - square.photo).abs().mean()
    assert error.max() < 0.06
    unedited = paste_draft(square, PhotoEdit(make_maps(extent=1.75)), draft_mask(square))
    torch.testing.assert_close(unedited, square.photo, atol=1e-5, rtol=0)
    assert torch.equal(paste_draft(square, None, None), square.photo.clamp(0, 1))

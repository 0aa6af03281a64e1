"""Paste Back: the edit is a change of the photo, never a replacement of it."""

from __future__ import annotations

import math

import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging import maps as paste_maps
from face_latents.models.imaging.light import apply_log_odds, light_of, log_odds_change
from face_latents.models.imaging.maps import gaussian_blur, prepare_maps, resize, sample_maps
from face_latents.models.paste.edit import METHODS
from face_latents.models.paste.mask import face_mask, smootherstep
from face_latents.models.values import PhotoContext
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paste_support import SIZE, TIGHT, make_context, paste
from torch import Tensor


def make_photo(height: int, width: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(height, width, 3, generator=generator) * 0.6 + 0.2


def make_pair(size: int = SIZE, seed: int = 1) -> tuple[Tensor, Tensor]:
    """A blurry face-like picture and the same with a darker blob at the mouth."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(3, 8, 8, generator=generator) * 0.5 + 0.25
    before = resize(noise, size).clamp(0.05, 0.95)
    axis = (torch.arange(size) + 0.5) / size
    blob = torch.exp(-((axis[None] - 0.5) ** 2 + (axis[:, None] - 0.68) ** 2) / 0.01)
    return before, (before - 0.2 * blob).clamp(0.02, 0.98)


@pytest.mark.parametrize("method", METHODS)
def test_output_is_new_same_shape_dtype_and_in_range(method: str) -> None:
    photo, (before, after) = make_photo(150, 120), make_pair()
    out = paste(photo, make_context(photo, (60, 75), 90), before, after, method=method)
    assert out.shape == photo.shape
    assert out.dtype == torch.float32
    assert out.data_ptr() != photo.data_ptr()
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(out, photo)


@pytest.mark.parametrize("side", [40, 64, 200])
def test_no_change_gives_the_photo_bit_for_bit(side: int) -> None:
    photo, (before, _) = make_photo(180, 160), make_pair()
    photo[40, 40] = torch.tensor([1.7, -0.3, 0.5])
    for method in METHODS:
        context = make_context(photo, (80, 90), side, 12)
        out = paste(photo, context, before, before.clone(), method=method)
        assert torch.equal(out, photo)
        assert out.data_ptr() != photo.data_ptr()


@pytest.mark.parametrize("method", METHODS)
def test_strength_zero_gives_the_photo_bit_for_bit(method: str) -> None:
    photo, (before, after) = make_photo(90, 90), make_pair()
    context = make_context(photo, (45, 45), 60)
    assert torch.equal(paste(photo, context, before, after, method=method, strength=0), photo)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("degrees", [0.0, 30.0])
def test_pixels_outside_the_face_stay_bit_for_bit(method: str, degrees: float) -> None:
    photo, (before, after) = make_photo(200, 220), make_pair()
    photo[:10] += 0.9  # out of range, far from the face
    context = make_context(photo, (110, 100), 100, degrees)
    out = paste(photo, context, before, after, method=method)
    y, x = torch.meshgrid(torch.arange(200.0), torch.arange(220.0), indexing="ij")
    outside = (x - 110) ** 2 + (y - 100) ** 2 > (0.72 * 100) ** 2
    assert torch.equal(out[outside], photo[outside])
    assert not torch.equal(out, photo)


def test_pixels_without_change_stay_bit_for_bit_inside_the_face() -> None:
    photo, (before, _) = make_photo(140, 140), make_pair()
    after = before.clone()
    after[:, 40:50, 28:36] += 0.1
    context = make_context(photo, (70, 70), 128)
    out = paste(photo, context, before, after, method="residual")
    changed = (out != photo).any(-1)
    assert changed.any()
    assert not changed[:60].any()


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_decode_gives_the_edited_face_in_the_middle(method: str) -> None:
    """Where the decode before the edit is the photo itself, the decode after it comes out."""
    before, after = make_pair(96)
    photo = before.permute(1, 2, 0).contiguous()
    context = make_context(photo, (47.5, 47.5), 96, size=96)
    out = paste(photo, context, before, after, method=method)
    middle = slice(36, 60)
    torch.testing.assert_close(
        out[middle, middle], after.permute(1, 2, 0)[middle, middle], atol=0.02, rtol=0
    )


@pytest.mark.parametrize("method", [m for m in METHODS if m != "blend"])
def test_brightness_shift_is_the_shift_in_the_middle(method: str) -> None:
    photo = torch.full((120, 120, 3), 0.45)
    before = torch.full((3, SIZE, SIZE), 0.45)
    context = make_context(photo, (60, 60), 100)
    out = paste(photo, context, before, before + 0.1, method=method)
    torch.testing.assert_close(out[50:70, 50:70], torch.full((20, 20, 3), 0.55), atol=1e-4, rtol=0)


def test_moved_detail_is_moved_and_not_doubled() -> None:
    """The decoder shows only a soft blob that wanders; the photo's fine lines go along with it."""
    size, side = 64, 512
    axis = (torch.arange(size) + 0.5) / size

    def soft_face(shift: float) -> Tensor:
        blobs = torch.full((size, size), 0.6)
        for x, y in ((0.35, 0.35), (0.65, 0.35), (0.5, 0.52), (0.42, 0.66), (0.58, 0.66)):
            distance = (axis[None] - x) ** 2 + (axis[:, None] - y - shift) ** 2
            blobs = blobs - 0.25 * torch.exp(-distance / 0.004)
        return blobs.expand(3, size, size).contiguous()

    fine = torch.arange(side) % 8 < 3  # horizontal lines that no decoder of 64 px shows
    lines = torch.nn.functional.interpolate(soft_face(0)[None], (side, side), mode="bicubic")[0]
    photo = (lines - 0.1 * fine[:, None]).clamp(0, 1).permute(1, 2, 0).contiguous()
    context = make_context(photo, (255.5, 255.5), side, size=size)
    shift = 0.03
    before, after = soft_face(0), soft_face(shift)
    pixels = round(shift * side)

    def line_error(picture: Tensor) -> float:
        """Distance of the fine lines to those of the photo moved down, around the nose."""
        got, wanted = picture[240:320, 230:280, 1], photo[240 - pixels : 320 - pixels, 230:280, 1]
        return float((got - wanted).square().mean().sqrt())

    warped = paste(photo, context, before, after, method="warp")
    shifted = paste(photo, context, before, after, method="residual")
    assert line_error(warped) < 0.6 * line_error(shifted)
    lines_kept = warped[240:320, 230:280, 1].diff(dim=0).abs().mean()
    assert lines_kept > 0.85 * photo[240:320, 230:280, 1].diff(dim=0).abs().mean()


def test_texture_survives_a_brightness_shift_but_not_a_plain_blend() -> None:
    photo = make_photo(256, 256)
    before = torch.full((3, SIZE, SIZE), 0.5)
    context = make_context(photo, (128, 128), 240)

    def texture(picture: Tensor) -> float:
        middle = picture[100:156, 100:156]
        return float(middle.var(dim=(0, 1)).mean())

    residual = paste(photo, context, before, before + 0.08, method="residual")
    blend = paste(photo, context, before, before + 0.08, method="blend")
    assert texture(residual) > 0.9 * texture(photo)
    assert texture(blend) < 0.1 * texture(photo)


def test_resolutions_agree() -> None:
    """The same face in a small and in a large photo gets the same edit."""
    before, after = make_pair()
    grey = torch.full((128, 128, 3), 0.5)
    small = paste(grey, make_context(grey, (63.5, 63.5), 110, 8), before, after)
    large_photo = torch.full((512, 512, 3), 0.5)
    context = make_context(large_photo, (255.5, 255.5), 440, 8)
    large = paste(large_photo, context, before, after)
    shrunk = torch.nn.functional.avg_pool2d(large.permute(2, 0, 1), 4).permute(1, 2, 0)
    torch.testing.assert_close(shrunk, small, atol=0.01, rtol=0)


def test_resolution_of_the_decoded_pair_does_not_matter() -> None:
    photo = make_photo(200, 200)
    before, after = make_pair(SIZE)
    context = make_context(photo, (100, 100), 180)
    small = paste(photo, context, before, after, method="residual")
    doubled = paste(photo, context, resize(before, 128), resize(after, 128), method="residual")
    torch.testing.assert_close(small, doubled, atol=0.02, rtol=0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("centre", [(0.0, 30.0), (95.0, 0.0), (48.0, 96.0)])
def test_face_partly_outside_the_frame(method: str, centre: tuple[float, float]) -> None:
    photo, (before, after) = make_photo(96, 96), make_pair()
    context = make_context(photo, centre, 80)
    out = paste(photo, context, before, after - 0.1, method=method)
    assert torch.isfinite(out).all()
    assert not torch.equal(out, photo)


@pytest.mark.parametrize("method", METHODS)
def test_face_wholly_outside_the_frame_changes_nothing(method: str) -> None:
    photo, (before, after) = make_photo(64, 64), make_pair()
    context = make_context(photo, (400, 400), 80)
    assert torch.equal(paste(photo, context, before, after, method=method), photo)


@pytest.mark.parametrize("method", METHODS)
def test_tiles_do_not_show(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photo, (before, after) = make_photo(150, 140), make_pair()
    context = make_context(photo, (70, 75), 120, -7)
    whole = paste(photo, context, before, after, method=method)
    monkeypatch.setattr("face_latents.models.paste.back._TILE", 32)
    tiled = paste(photo, context, before, after, method=method)
    torch.testing.assert_close(whole, tiled, atol=1e-4, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_border_of_the_mask_makes_no_step(method: str) -> None:
    photo = torch.full((256, 256, 3), 0.5)
    before = torch.full((3, SIZE, SIZE), 0.5)
    out = paste(photo, make_context(photo, (128, 128), 240), before, before + 0.1, method=method)
    assert float(out.diff(dim=0).abs().max()) < 0.1 / 20
    assert float(out.diff(dim=1).abs().max()) < 0.1 / 20
    if method == "blend":  # light goes on around the face, a decode does not
        assert torch.equal(out[:8], photo[:8])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtype_of_the_photo_is_kept(dtype: torch.dtype) -> None:
    photo, (before, after) = make_photo(80, 80).to(dtype), make_pair()
    context = make_context(photo, (40, 40), 70)
    out = paste(photo, context, before, after)
    assert out.dtype == dtype
    assert torch.equal(paste(photo, context, before, before), photo)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_are_not_mutated_and_result_repeats(method: str) -> None:
    photo, (before, after) = make_photo(100, 100), make_pair()
    mask = torch.rand(100, 100)
    context = make_context(photo, (50, 50), 90, 5)
    inputs = (photo, before, after, mask, context.transform, context.landmarks)
    copies = [tensor.clone() for tensor in inputs]
    first = paste(photo, context, before, after, method=method, mask=mask)
    second = paste(photo, context, before, after, method=method, mask=mask)
    assert torch.equal(first, second)
    for tensor, copy in zip(inputs, copies, strict=True):
        assert torch.equal(tensor, copy)


def test_alpha_passes_through() -> None:
    photo, (before, after) = make_photo(90, 90), make_pair()
    alpha = torch.rand(90, 90, 1)
    context = make_context(photo, (45, 45), 80)
    out = paste(torch.cat([photo, alpha], -1), context, before, after)
    assert torch.equal(out[..., 3:], alpha)
    assert torch.equal(out[..., :3], paste(photo, context, before, after))


@pytest.mark.parametrize("method", METHODS)
def test_own_mask_protects(method: str) -> None:
    photo, (before, after) = make_photo(100, 100), make_pair()
    mask = torch.ones(100, 100)
    mask[:, :50] = 0
    context = make_context(photo, (50, 50), 90)
    out = paste(photo, context, before, after - 0.1, method=method, mask=mask)
    assert torch.equal(out[:, :50], photo[:, :50])
    assert not torch.equal(out[:, 50:], photo[:, 50:])


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    x=st.floats(-40, 110),
    y=st.floats(-40, 110),
    side=st.floats(2, 300),
    degrees=st.floats(-180, 180),
    light=st.sampled_from([-0.3, 0.0, 0.2]),
)
@example(  # once ended at 1 + 1e-7
    width=4, height=42, x=0.0, y=0.0, side=263.0, degrees=2.0, light=0.0
)
def test_any_placement_works(
    width: int,
    height: int,
    x: float,
    y: float,
    side: float,
    degrees: float,
    light: float,
) -> None:
    photo, (before, after) = make_photo(height, width), make_pair(32)
    context = make_context(photo, (x, y), side, degrees, size=32)
    after = (after + light).clamp(0, 1)
    for method in METHODS:
        out = paste(photo, context, before, after, method=method)
        assert out.shape == photo.shape
        assert torch.isfinite(out).all()
        assert out.min() >= 0
        assert out.max() <= 1


def test_errors_say_what_to_do() -> None:
    photo, (before, after) = make_photo(64, 64), make_pair()
    context = make_context(photo, (32, 32), 60)
    nan = after.clone()
    nan[0, 3, 3] = math.nan
    cases: list[tuple[dict[str, object], str]] = [
        ({"photo": photo[None]}, "one photo at a time"),
        ({"photo": photo[..., :1]}, "expected"),
        ({"photo": (photo * 255).byte()}, "floating point"),
        ({"before": before[None]}, "square"),
        ({"after": after[:, :32]}, "square"),
        ({"after": make_pair(32)[1]}, "same face model"),
        ({"after": nan}, "not finite"),
        ({"before": nan}, "not finite"),
        ({"method": "magic"}, "residual"),
        ({"strength": math.nan}, "finite"),
        ({"mask": torch.ones(3, 3)}, "mask"),
    ]
    for change, words in cases:
        arguments: dict[str, object] = {"photo": photo, "before": before, "after": after}
        arguments.update(change)
        with pytest.raises(FaceLatentsError, match=words):
            paste(context=context, **arguments)  # type: ignore[arg-type]


def test_a_photo_with_nan_on_the_face_is_refused_and_elsewhere_kept() -> None:
    photo, (before, after) = make_photo(120, 120), make_pair()
    context = make_context(photo, (60, 60), 60)
    far = photo.clone()
    far[2, 2] = math.nan
    assert torch.isnan(paste(far, context, before, after)[2, 2]).all()
    near = photo.clone()
    near[60, 60] = math.nan
    with pytest.raises(FaceLatentsError, match="not numbers"):
        paste(near, context, before, after)


def test_degenerate_context_is_refused() -> None:
    photo, (before, after) = make_photo(64, 64), make_pair()
    good = make_context(photo, (32, 32), 60)
    facts = {"photo": photo, "size": SIZE, "code": good.code, "photo_key": "k", "face_index": 0}
    with pytest.raises(FaceLatentsError, match="maps the photo to a line"):
        PhotoContext(transform=torch.zeros(2, 3), landmarks=good.landmarks, **facts)
    tiny = PhotoContext(transform=1e-9 * torch.eye(2, 3), landmarks=good.landmarks, **facts)
    with pytest.raises(FaceLatentsError, match="not a valid transform"):
        paste(photo, tiny, before, after)
    point = PhotoContext(transform=good.transform, landmarks=torch.ones(5, 2), **facts)
    with pytest.raises(FaceLatentsError, match="landmarks"):
        paste(photo, point, before, after)


def test_mask_covers_the_face_and_ends_inside_the_crop() -> None:
    mask = face_mask(TIGHT * 128 - 0.5, 128, 128)
    assert mask.min() == 0
    assert mask.max() == 1
    assert mask[[0, -1]].abs().max() == 0
    assert mask[:, [0, -1]].abs().max() == 0
    for x, y in (TIGHT * 128).long().tolist():
        assert mask[y, x] > 0.95
    assert float(mask.diff(dim=0).abs().max()) < 0.075
    torch.testing.assert_close(mask, mask.flip(-1))


def test_mask_follows_a_wider_template() -> None:
    wide = (TIGHT - 0.5) * 0.5 + 0.5
    assert (
        face_mask(wide * 128 - 0.5, 128, 128).sum()
        < 0.35 * face_mask(TIGHT * 128 - 0.5, 128, 128).sum()
    )


def test_smootherstep_is_monotone_between_its_ends() -> None:
    t = torch.linspace(-1, 2, 301)
    values = smootherstep(t)
    assert values[0] == 0
    assert values[-1] == 1
    assert (values.diff() >= 0).all()


@settings(max_examples=50, deadline=None)
@given(value=st.floats(0.05, 0.95), target=st.floats(0.05, 0.95))
def test_log_odds_change_sends_before_to_after(value: float, target: float) -> None:
    before, after = torch.tensor([value]), torch.tensor([target])
    change = log_odds_change(before, after)
    torch.testing.assert_close(apply_log_odds(before, change), after, atol=1e-5, rtol=0)
    ends = apply_log_odds(torch.tensor([0.0, 1.0]), change.expand(2))
    torch.testing.assert_close(ends, torch.tensor([0.0, 1.0]))


def test_values_out_of_range_keep_their_distance() -> None:
    values = torch.tensor([-0.5, 1.5])
    torch.testing.assert_close(apply_log_odds(values, torch.tensor(0.7)), values)


def test_blur_keeps_constants_and_the_mean() -> None:
    torch.testing.assert_close(gaussian_blur(torch.ones(2, 9, 9), 1.5), torch.ones(2, 9, 9))
    spike = torch.zeros(1, 31, 31)
    spike[0, 15, 15] = 1
    blurred = gaussian_blur(spike, 2.0)
    torch.testing.assert_close(blurred.sum(), torch.tensor(1.0))
    x = torch.arange(31.0) - 15
    assert float((blurred[0].sum(0) * x**2).sum()) == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("pixels", [10.0, 64.0, 900.0])
def test_prepared_maps_keep_a_ramp(pixels: float) -> None:
    ramp = ((torch.arange(64.0) + 0.5) / 64).expand(1, 64, 64)
    maps = prepare_maps(ramp, pixels)
    x = torch.linspace(0.3, 0.7, 21).expand(3, 21)
    torch.testing.assert_close(
        sample_maps(maps, x, torch.full_like(x, 0.5))[0], x, atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("shift", [1.0, -1.0])
def test_light_on_the_whole_face_falls_on_what_surrounds_it(shift: float) -> None:
    photo = torch.full((400, 400, 3), 0.5)
    context = make_context(photo, (200, 200), 128)
    before = torch.full((3, SIZE, SIZE), 0.5)
    lit = paste(photo, context, before, apply_log_odds(before, torch.tensor(shift)))
    change = torch.logit(lit)[..., 0]
    middle = change[170:230, 170:230]
    torch.testing.assert_close(middle, torch.full((60, 60), shift), atol=0.01, rtol=0)
    assert (change[200, 137:263] / shift > 0.85).all()  # no border where the face ends
    steps = change[200].diff().abs()
    assert float(steps.max()) < 0.03
    assert float(change[200, 80] / shift) < 0.05
    assert (change[:70] == 0).all()
    assert (change[:, 330:] == 0).all()
    half = paste(photo, context, before, apply_log_odds(before, torch.tensor(shift)), strength=0.5)
    torch.testing.assert_close(torch.logit(half)[..., 0], change / 2, atol=1e-4, rtol=0)
    own = torch.zeros(400, 400)
    own[:, :200] = 1
    covered = paste(photo, context, before, apply_log_odds(before, torch.tensor(shift)), mask=own)
    assert torch.equal(covered[:, 200:], photo[:, 200:])
    assert torch.equal(covered[:, :200], lit[:, :200])


def test_light_is_what_most_of_a_face_agrees_on() -> None:
    mask, change = torch.ones(10, 10), torch.full((10, 10), 0.6)
    assert light_of(change, mask) == pytest.approx(0.5)
    assert light_of(-change, mask) == pytest.approx(-0.5)
    change[:3] = -0.3  # three tenths become darker
    assert light_of(change, mask) == 0
    assert light_of(change, mask, least=0.7) == 0
    change[:3] = 3  # or much lighter
    assert light_of(change, mask) == pytest.approx(0.5)
    assert light_of(torch.full((10, 10), 0.09), mask) == 0
    assert light_of(change, torch.zeros(10, 10)) == 0


@pytest.mark.parametrize("sigma", [0.4, 1.5, 12.0])
def test_small_and_large_maps_are_blurred_alike(
    sigma: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = torch.rand(2, 30, 41, generator=torch.Generator().manual_seed(0))
    product = gaussian_blur(maps, sigma)
    monkeypatch.setattr(paste_maps, "_SMALL", 0)
    torch.testing.assert_close(gaussian_blur(maps, sigma), product, atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_of_the_photo_takes_the_result(method: str) -> None:
    photo, (before, after) = make_photo(150, 120), make_pair()
    context = make_context(photo, (60, 75), 90)
    kept = photo.clone()
    copy = torch.cat([photo, torch.full((150, 120, 1), 0.5)], -1)
    out = paste(photo, context, before, after, method=method, out=copy)
    assert out is copy
    assert torch.equal(photo, kept)
    assert torch.equal(out[..., :3], paste(photo, context, before, after, method=method))
    assert bool((out[..., 3] == 0.5).all())

"""Alignment: transforms against scikit-image and hand values, crops against exact samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError
from face_latents.models.geometry.similarity import (
    compose_transforms,
    invert_transform,
    similarity_transform,
    transform_points,
    transform_scale,
)
from face_latents.models.geometry.templates import TIGHT, WIDE, AlignmentTemplate
from face_latents.models.imaging.align import (
    align,
    align_with_transform,
    box_reduce,
    to_bytes,
    warp_affine,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import estimate_transform

coordinate = st.floats(-500, 500, allow_nan=False)


def rotation(degrees: float, scale: float, shift: tuple[float, float]) -> torch.Tensor:
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, shift[0]], [s, c, shift[1]]], dtype=torch.float64)


def smooth_photo(height: int, width: int, wave: float = 40.0) -> torch.Tensor:
    """(H, W, 3) of long waves, which sampling reproduces closely."""
    ys, xs = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    return torch.stack([wave_at(xs, ys, wave, k) for k in range(3)], -1).float()


def wave_at(xs: torch.Tensor, ys: torch.Tensor, wave: float, channel: int) -> torch.Tensor:
    return 0.5 + 0.4 * torch.sin(xs * 2 * math.pi / wave + channel) * torch.cos(
        ys * 2 * math.pi / wave
    )


def test_hand_values() -> None:
    src = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    dst = torch.tensor([[10.0, 20.0], [10.0, 22.0], [8.0, 20.0]])  # 90 degrees, scale 2
    expected = torch.tensor([[0.0, -2.0, 10.0], [2.0, 0.0, 20.0]], dtype=torch.float64)
    torch.testing.assert_close(similarity_transform(src, dst), expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(coordinate, coordinate, coordinate, coordinate), min_size=5, max_size=5))
def test_matches_scikit_image_unless_it_would_reflect(rows: list[tuple[float, ...]]) -> None:
    values = np.array(rows)
    src, dst = values[:, :2], values[:, 2:]
    cross = np.linalg.det((src - src.mean(0)).T @ (dst - dst.mean(0)))
    if src.std() < 1 or dst.std() < 1 or cross < 1:
        return  # degenerate, or the best fit of scikit-image treats a reflection differently
    reference = estimate_transform("similarity", src, dst)
    ours = similarity_transform(torch.from_numpy(src), torch.from_numpy(dst))
    np.testing.assert_allclose(ours.numpy(), reference.params[:2], rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.floats(-180, 180), st.floats(0.02, 50), st.tuples(coordinate, coordinate))
def test_recovers_and_inverts(degrees: float, scale: float, shift: tuple[float, float]) -> None:
    matrix = rotation(degrees, scale, shift)
    points = TIGHT.pixels()
    found = similarity_transform(points, transform_points(matrix, points))
    torch.testing.assert_close(found, matrix, rtol=1e-8, atol=1e-6)
    back = transform_points(invert_transform(matrix), transform_points(matrix, points))
    torch.testing.assert_close(back, points, rtol=1e-8, atol=1e-6)
    identity = compose_transforms(invert_transform(matrix), matrix)
    torch.testing.assert_close(identity, torch.eye(3).double()[:2], rtol=1e-7, atol=1e-6)
    torch.testing.assert_close(float(transform_scale(matrix)), scale)


def test_is_the_least_squares_optimum() -> None:
    generator = torch.Generator().manual_seed(0)
    src = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    dst = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    best = similarity_transform(src, dst)
    cost = (transform_points(best, src) - dst).square().sum()
    for _ in range(50):
        a, b, x, y = (0.02 * torch.randn(4, generator=generator, dtype=torch.float64)).tolist()
        other = best + torch.tensor([[a, -b, x], [b, a, y]], dtype=torch.float64)
        assert (transform_points(other, src) - dst).square().sum() >= cost


def test_never_reflects() -> None:
    src = TIGHT.points
    mirrored = src * torch.tensor([-1.0, 1.0])
    assert float(torch.det(similarity_transform(src, mirrored)[:, :2])) > 0


def test_batches() -> None:
    src = TIGHT.points.expand(4, 5, 2)
    dst = src * torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)
    torch.testing.assert_close(
        transform_scale(similarity_transform(src, dst)), torch.arange(1.0, 5.0).double()
    )


@pytest.mark.parametrize(
    "bad",
    [
        torch.full((5, 2), 7.0),
        torch.full((5, 2), float("nan")),
        torch.full((5, 2), float("inf")),
        torch.rand(4, 2),
        torch.rand(5, 3),
    ],
    ids=["coincident", "nan", "inf", "four points", "three coordinates"],
)
def test_degenerate_landmarks_are_refused(bad: torch.Tensor) -> None:
    with pytest.raises(FaceLatentsError, match=r"landmark|Alignment"):
        similarity_transform(bad, TIGHT.pixels())
    with pytest.raises(FaceLatentsError):
        align(torch.rand(32, 32, 3), bad, TIGHT)


def test_coincident_target_is_refused() -> None:
    with pytest.raises(FaceLatentsError):
        similarity_transform(TIGHT.pixels(), torch.zeros(5, 2))


def test_singular_transform_has_no_inverse() -> None:
    with pytest.raises(FaceLatentsError, match="inverted"):
        invert_transform(torch.zeros(2, 3))


@pytest.mark.parametrize("shape", [(32, 32), (32, 32, 4), (0, 32, 3), (1, 32, 32, 3)])
def test_wrong_photos_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceLatentsError, match="channels"):
        align(torch.rand(shape), TIGHT.pixels(), TIGHT)


def test_wrong_templates_are_refused() -> None:
    with pytest.raises(FaceLatentsError, match="5 finite"):
        AlignmentTemplate("bad", torch.rand(4, 2), 64)
    with pytest.raises(FaceLatentsError, match="1 px"):
        AlignmentTemplate("bad", TIGHT.points, 0)


def test_templates_have_the_same_shape() -> None:
    matrix = similarity_transform(TIGHT.points, WIDE.points)
    fitted = transform_points(matrix, TIGHT.points)
    torch.testing.assert_close(fitted, WIDE.points, atol=2e-3, rtol=0)
    assert TIGHT.resized(64).size == 64
    # Fractions count from the crop's corner, pixels from the centre of its first pixel.
    torch.testing.assert_close(
        TIGHT.pixels()[0], torch.tensor([0.31 * 128 - 0.5] * 2, dtype=torch.float64)
    )


def test_whole_pixel_crop_is_exact() -> None:
    photo = torch.rand(200, 210, 3)
    landmarks = TIGHT.pixels() + torch.tensor([31.0, 17.0])
    crop, transform = align(photo, landmarks, TIGHT)
    assert crop.shape == (3, 128, 128)
    assert crop.dtype == torch.float32
    torch.testing.assert_close(
        transform, torch.tensor([[1.0, 0.0, -31.0], [0.0, 1.0, -17.0]], dtype=torch.float64)
    )
    expected = photo[17:145, 31:159].permute(2, 0, 1)
    torch.testing.assert_close(crop, expected, atol=2e-5, rtol=0)


def test_quarter_turn_is_exact() -> None:
    photo = torch.rand(128, 128, 3)
    matrix = torch.tensor([[0.0, -1.0, 127.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    crop = align_with_transform(photo, matrix, 128)
    expected = torch.rot90(photo, -1).permute(2, 0, 1)
    torch.testing.assert_close(crop, expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("scale", [2.3, 1.0, 0.71, 0.4, 0.15])
@pytest.mark.parametrize("degrees", [0.0, 31.0, -45.0])
def test_samples_lie_where_the_transform_says(scale: float, degrees: float) -> None:
    wave = 60.0 / min(scale, 1.0)
    side = math.ceil(96 / scale)
    photo = smooth_photo(side, side, wave)
    size = 32
    centre = transform_points(rotation(degrees, scale, (0.0, 0.0)), torch.full((1, 2), side / 2.0))
    shift = (size / 2 - centre[0]).tolist()
    matrix = rotation(degrees, scale, (shift[0] + 0.37, shift[1] - 0.21))
    crop = align_with_transform(photo, matrix, size)
    axis = torch.arange(size, dtype=torch.float64)
    ys, xs = torch.meshgrid(axis, axis, indexing="ij")
    source = transform_points(invert_transform(matrix), torch.stack([xs, ys], -1).reshape(-1, 2))
    expected = torch.stack([wave_at(source[:, 0], source[:, 1], wave, k) for k in range(3)])
    # Shifting the samples by a tenth of a crop pixel would cost about 0.004.
    error = (crop.double() - expected.reshape(3, size, size)).abs().mean()
    assert float(error) < 0.002


def test_shrinking_is_anti_aliased() -> None:
    photo = ((torch.arange(600)[:, None] + torch.arange(600)[None]) % 2).float()
    photo = photo[..., None].expand(600, 600, 3)
    crop = align_with_transform(photo, rotation(7.0, 0.11, (0.0, 0.0)), 60)
    assert float((crop - 0.5).abs().max()) < 0.06


def test_moving_a_shrunk_face_by_one_photo_pixel_moves_the_crop_smoothly() -> None:
    photo = smooth_photo(400, 400, 160.0)
    first = align_with_transform(photo, rotation(0.0, 0.2, (-3.0, -3.0)), 64)
    second = align_with_transform(photo, rotation(0.0, 0.2, (-3.2, -3.0)), 64)
    shifted = photo[:, 1:]  # the same content, one pixel to the left
    third = align_with_transform(shifted, rotation(0.0, 0.2, (-3.0, -3.0)), 64)
    torch.testing.assert_close(second, third, atol=4e-3, rtol=0)
    assert float((first - second).abs().max()) > 5e-3


def test_outside_repeats_the_border() -> None:
    photo = torch.rand(20, 20, 3)
    crop = align_with_transform(photo, rotation(0.0, 1.0, (10.0, 10.0)), 40)
    torch.testing.assert_close(crop[:, 0, 0], photo[0, 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(crop[:, 39, 39], photo[19, 19], atol=1e-5, rtol=0)
    far = align_with_transform(photo, rotation(0.0, 1.0, (-900.0, 0.0)), 8)
    torch.testing.assert_close(far[:, 2, 3], photo[2, 19], atol=1e-5, rtol=0)


def test_eight_bit_and_float_photos_agree() -> None:
    photo = torch.randint(0, 256, (90, 80, 3), dtype=torch.uint8)
    before = photo.clone()
    matrix = rotation(20.0, 0.6, (5.0, 2.0))
    eight = align_with_transform(photo, matrix, 48)
    torch.testing.assert_close(eight, align_with_transform(photo.float() / 255, matrix, 48))
    assert torch.equal(photo, before)


def test_nan_pixels_count_as_black_and_the_photo_is_untouched() -> None:
    photo = torch.rand(64, 64, 3)
    photo[10:20, 10:20] = float("nan")
    crop = align_with_transform(photo, rotation(0.0, 1.0, (0.0, 0.0)), 64)
    assert bool(torch.isfinite(crop).all())
    assert float(crop[:, 13:17, 13:17].abs().max()) < 1e-5
    assert bool(torch.isnan(photo[15, 15]).all())


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (2, 1, 3)])
def test_tiny_photos(shape: tuple[int, ...]) -> None:
    photo = torch.full(shape, 0.25)
    crop, _ = align(photo, TIGHT.pixels() / 40, TIGHT)
    torch.testing.assert_close(crop, torch.full((3, 128, 128), 0.25), atol=1e-5, rtol=0)


def test_only_the_region_is_read() -> None:
    photo = torch.zeros(3000, 4000, 3, dtype=torch.uint8)
    photo[1000:1128, 2000:2128] = 200
    seen: list[int] = []
    original = torch.Tensor.to

    def spy(self: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        seen.append(self.numel())
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "to", spy)
        crop, _ = align(photo, TIGHT.pixels() + torch.tensor([2000.0, 1000.0]), TIGHT)
    assert max(seen) < 200 * 200 * 3
    torch.testing.assert_close(crop, torch.full((3, 128, 128), 200 / 255))


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
@pytest.mark.parametrize("shape", [(1024, 20), (1100, 33), (5, 5), (1, 1)])
def test_box_reduce(factor: int, shape: tuple[int, int]) -> None:
    photo = torch.rand(*shape, 3)
    reduced = box_reduce(photo, factor)
    rows, columns = -(-shape[0] // factor), -(-shape[1] // factor)
    assert reduced.shape == (3, rows, columns)
    inner = photo[: shape[0] // factor * factor, : shape[1] // factor * factor]
    blocks = inner.reshape(shape[0] // factor, factor, shape[1] // factor, factor, 3)
    torch.testing.assert_close(
        reduced[:, : shape[0] // factor, : shape[1] // factor],
        blocks.mean((1, 3)).permute(2, 0, 1),
    )


def test_box_reduce_takes_photos_in_any_layout() -> None:
    planes = torch.rand(3, 30, 40)
    photo = planes.permute(1, 2, 0)
    torch.testing.assert_close(box_reduce(photo, 3), box_reduce(photo.contiguous(), 3))
    part = photo[5:27, 4:36]
    torch.testing.assert_close(box_reduce(part, 2), box_reduce(part.contiguous(), 2))


def test_bytes_are_rounded_and_damaged_pixels_black() -> None:
    photo = torch.rand(1100, 7, 3, generator=torch.Generator().manual_seed(0))
    photo[600, 3] = torch.tensor([float("nan"), float("inf"), -3.0])
    photo[1099, 0] = 7.0
    made = to_bytes(photo)
    assert made[600, 3].tolist() == [0, 0, 0]
    assert made[1099, 0].tolist() == [255, 255, 255]
    good = torch.isfinite(photo) & (photo >= 0) & (photo <= 1)
    assert (made.float()[good] - 255 * photo[good]).abs().max() <= 0.5 + 1e-4
    assert to_bytes(made) is made


def test_inverse_of_a_transform() -> None:
    transforms = torch.randn(50, 2, 3, generator=torch.Generator().manual_seed(0)).double()
    square = torch.cat([transforms, torch.tensor([0.0, 0.0, 1.0]).expand(50, 1, 3)], 1)
    expected = torch.linalg.inv(square)[:, :2]
    torch.testing.assert_close(invert_transform(transforms), expected)
    torch.testing.assert_close(invert_transform(transforms[0]), expected[0])


def test_warp_round_trip() -> None:
    image = smooth_photo(96, 96).permute(2, 0, 1).unsqueeze(0)
    matrix = rotation(25.0, 1.2, (10.0, -14.0))
    there = warp_affine(image, matrix, (96, 96), mode="bicubic")
    back = warp_affine(there, invert_transform(matrix), (96, 96), mode="bicubic")
    torch.testing.assert_close(back[..., 40:56, 40:56], image[..., 40:56, 40:56], atol=5e-3, rtol=0)


def test_warp_batches_take_one_transform_each() -> None:
    images = torch.rand(2, 1, 12, 12)
    shifts = torch.stack([rotation(0.0, 1.0, (1.0, 0.0)), rotation(0.0, 1.0, (0.0, 2.0))])
    warped = warp_affine(images, shifts, (12, 12))
    torch.testing.assert_close(warped[0, :, :, 1:], images[0, :, :, :-1], atol=1e-5, rtol=0)
    torch.testing.assert_close(warped[1, :, 2:], images[1, :, :-2], atol=1e-5, rtol=0)

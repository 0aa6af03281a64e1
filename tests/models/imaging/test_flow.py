"""The motion between two pictures of a face, and moving a photo's pixels by it."""

from __future__ import annotations

import pytest
import torch
from face_latents.models.imaging.flow import estimate_motion, jacobian, unfold, warp
from face_latents.models.imaging.maps import gaussian_blur
from face_latents.models.paste.mask import follow_edges
from face_latents.models.paste.pixels import move_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

SIZE = 96


def texture(size: int, sigma: float, seed: int = 0) -> Tensor:
    """Smooth random colours in about [0.15, 0.85]."""
    noise = torch.randn(3, size, size, generator=torch.Generator().manual_seed(seed))
    smooth = gaussian_blur(noise, sigma)
    return 0.5 + 0.35 * torch.tanh(smooth / smooth.std() * 0.7)


def soft_disc(size: int, radius: float) -> Tensor:
    """1 within `radius` of the centre (share of the side), 0 from 0.1 further on."""
    axis = (torch.arange(size) + 0.5) / size - 0.5
    distance = (axis[None] ** 2 + axis[:, None] ** 2).sqrt()
    return ((radius + 0.1 - distance) / 0.1).clamp(0, 1)


def bump(size: int, dx: float, dy: float) -> Tensor:
    """A motion of (dx, dy) pixels in the middle that falls to 0 towards the frame."""
    axis = (torch.arange(size) + 0.5) / size - 0.5
    bell = torch.exp(-(axis[None] ** 2 + axis[:, None] ** 2) / (2 * 0.17**2))
    return torch.stack([bell * dx, bell * dy])


def swell(size: int, amount: float) -> Tensor:
    """A motion that enlarges the middle: pixels are read nearer to the centre."""
    axis = torch.arange(size) - (size - 1) / 2
    bell = torch.exp(-((axis[None] / size) ** 2 + (axis[:, None] / size) ** 2) / (2 * 0.17**2))
    return torch.stack([-amount * bell * axis[None], -amount * bell * axis[:, None]])


@pytest.mark.parametrize("true", [bump(SIZE, 2.5, 0), bump(SIZE, -1.5, 2), swell(SIZE, 0.15)])
@pytest.mark.parametrize("light", [0.0, 0.1])
def test_known_motion_is_recovered(true: Tensor, light: float) -> None:
    """Also under a change of light that varies over the face."""
    before = texture(SIZE, 3)
    shade = light * torch.linspace(-1, 1, SIZE)
    after = warp(before, true) + shade
    found = estimate_motion(before, after, soft_disc(SIZE, 0.4))
    middle = soft_disc(SIZE, 0.25) > 0.5
    error = (found - true).norm(dim=0)[middle].mean()
    assert error < 0.25 * true.norm(dim=0)[middle].mean()


def test_change_of_light_is_not_motion() -> None:
    before = texture(SIZE, 3)
    ramp = torch.linspace(0.7, 1.2, SIZE)
    found = estimate_motion(before, before * ramp, soft_disc(SIZE, 0.4))
    assert found.abs().max() < 0.4


def test_equal_and_flat_pictures_do_not_move() -> None:
    picture, mask = texture(SIZE, 3), soft_disc(SIZE, 0.4)
    assert estimate_motion(picture, picture.clone(), mask).abs().max() < 1e-4
    flat = torch.full((3, SIZE, SIZE), 0.5)
    assert estimate_motion(flat, flat + 0.1, mask).abs().max() < 1e-4


def test_motion_ends_with_the_mask() -> None:
    mask = soft_disc(SIZE, 0.25)
    found = estimate_motion(texture(SIZE, 3), texture(SIZE, 3, seed=1), mask)
    assert (found[:, mask == 0] == 0).all()
    assert found.abs().max() > 0.1


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), size=st.sampled_from([9, 33, 64, 150]))
def test_unrelated_pictures_never_fold(seed: int, size: int) -> None:
    first, second = texture(size, size / 30, seed), texture(size, size / 30, seed + 1)
    found = estimate_motion(first, second, soft_disc(size, 0.35))
    assert torch.isfinite(found).all()
    assert jacobian(found).min() > 0


def test_unfold_repairs_a_fold_and_keeps_a_smooth_motion() -> None:
    fold = bump(SIZE, 40, 0)
    assert jacobian(fold).min() < 0
    assert jacobian(unfold(fold)).min() > 0
    smooth = bump(SIZE, 3, 1)
    assert torch.equal(unfold(smooth), smooth)


def test_resolution_of_the_pictures_only_scales_the_motion() -> None:
    true = bump(256, 8, 4)
    before = texture(256, 8)
    found = estimate_motion(before, warp(before, true), soft_disc(256, 0.4))
    assert found.shape == (2, 256, 256)
    middle = soft_disc(256, 0.2) > 0.5
    assert (found - true).norm(dim=0)[middle].mean() < 0.2 * true.norm(dim=0)[middle].mean()


def test_jacobian_of_a_scaling() -> None:
    axis = torch.arange(20.0)
    motion = torch.stack([axis.expand(20, 20) * 0.5, axis[:, None].expand(20, 20) * 0.2])
    torch.testing.assert_close(jacobian(motion)[5:-5, 5:-5], torch.full((10, 10), 1.5 * 1.2))


def test_moving_a_photo_by_whole_pixels_copies_them() -> None:
    """Up to the rim of the box, where the surroundings that detail is judged by are missing."""
    photo = torch.rand(80, 90, 3)
    motion = torch.zeros(2, 60, 70)
    motion[0], motion[1] = 3, -2
    moved = move_photo(photo, (10, 10, 80, 70), motion, torch.eye(2))
    expected = photo[8:68, 13:83].permute(2, 0, 1)
    inner = (slice(None), slice(16, -16), slice(16, -16))
    torch.testing.assert_close(moved[inner], expected[inner], atol=1e-4, rtol=0)


def test_moving_by_half_pixels_keeps_the_detail() -> None:
    """Interpolation between pixels softens; the photo's contrast of detail is restored."""
    noise = torch.rand(3, 160, 160, generator=torch.Generator().manual_seed(0))
    photo = gaussian_blur(noise, 0.7).permute(1, 2, 0).contiguous()
    motion = torch.full((2, 160, 160), 0.5)
    moved = move_photo(photo, (0, 0, 160, 160), motion, torch.eye(2))

    def detail(picture: Tensor) -> float:
        middle = picture[:, 20:-20, 20:-20]
        return float((middle - gaussian_blur(middle, 0.7)).var())

    assert 0.85 < detail(moved) / detail(photo.permute(2, 0, 1)) < 1.15


def test_moving_keeps_still_pixels_bit_for_bit_and_the_range() -> None:
    photo = (torch.rand(40, 50, 3) > 0.5).float()
    motion = torch.zeros(2, 40, 50)
    motion[:, 10:20, 10:20] = 0.4
    moved = move_photo(photo, (0, 0, 50, 40), motion, torch.eye(2)).permute(1, 2, 0)
    still = (motion == 0).all(0)
    assert torch.equal(moved[still], photo[still])
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_moving_turns_with_the_crop() -> None:
    photo = torch.rand(80, 80, 3)
    motion = torch.zeros(2, 60, 60)
    motion[0] = 1  # one unit along the crop's x
    quarter = torch.tensor([[0.0, -2.0], [2.0, 0.0]])  # is two pixels down the photo
    moved = move_photo(photo, (10, 10, 70, 70), motion, quarter)
    expected = photo[12:72, 10:70].permute(2, 0, 1)
    inner = (slice(None), slice(16, -16), slice(16, -16))
    torch.testing.assert_close(moved[inner], expected[inner], atol=1e-4, rtol=0)


def test_mask_follows_an_edge_of_the_photo() -> None:
    """The oval reaches over the cheek's edge; the mask that follows edges stops at it."""
    mask = gaussian_blur((soft_disc(128, 0.3) > 0.5).float()[None], 5)[0]
    mask = mask * (soft_disc(128, 0.38) > 0)
    guide = torch.full((3, 128, 128), 0.6)
    guide[:, :, 106:] = 0.2  # background right of the cheek
    guide = guide + 0.01 * torch.randn(guide.shape, generator=torch.Generator().manual_seed(0))
    followed = follow_edges(mask, guide)
    assert followed[64, 64] > 0.99
    assert followed[64, 110] < 0.5 * mask[64, 110]
    assert followed[64, 103] > mask[64, 103]
    assert (followed[mask == 0] == 0).all()
    assert followed.min() >= 0
    assert followed.max() <= 1

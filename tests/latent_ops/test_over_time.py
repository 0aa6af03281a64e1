"""Codes over time: what is kept, what goes, and no lag."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents.latent_ops import fill_gaps, smooth


def test_even_motion_and_even_acceleration_are_kept_to_the_ends() -> None:
    time = torch.arange(20, dtype=torch.float64)[:, None]
    motion = torch.cat([3 * time - 7, 0.2 * time**2 - time, torch.ones_like(time)], 1)
    for width in (0.5, 1.5, 4.0):
        for count in (1, 2, 3, 4, 20):
            kept = smooth(motion[:count], width)
            torch.testing.assert_close(kept, motion[:count], atol=1e-9, rtol=0)


def test_it_trembles_less_and_does_not_lag() -> None:
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(200, dtype=torch.float64)[:, None]
    motion = (time / 6).sin()
    noise = 0.05 * torch.randn(motion.shape, generator=generator, dtype=torch.float64)
    still = smooth(noise, 1.5)
    assert still.std() < 0.65 * noise.std()
    assert still.diff(dim=0).std() < 0.4 * noise.diff(dim=0).std()
    result = smooth(motion + noise, 1.5)
    assert (result - motion).std() < 0.7 * noise.std()
    later = [float((result[5:-5] - motion[5 + k : 195 + k]).square().mean()) for k in (-1, 0, 1)]
    assert later[1] < min(later[0], later[2])
    # turned round in time it does the same
    turned = smooth((motion + noise).flip(0), 1.5).flip(0)
    torch.testing.assert_close(turned, result)


def test_each_code_is_the_value_of_the_parabola_that_fits_best() -> None:
    noise = torch.randn(30, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = smooth(noise, 1.5).numpy()
    for frame in (0, 1, 14, 29):
        time = np.arange(30) - frame
        near = np.abs(time) <= 5  # three widths
        weights = np.exp(-0.25 * (time[near] / 1.5) ** 2)  # polyfit squares them
        fit = np.polyfit(time[near], noise.numpy()[near], 2, w=weights)
        np.testing.assert_allclose(result[frame], fit[2], atol=1e-9)


def test_width_zero_changes_nothing_and_codes_stay_as_they_were() -> None:
    codes = torch.randn(9, 2, 3)
    before = codes.clone()
    assert torch.equal(smooth(codes, 0.0), codes)
    assert not torch.equal(smooth(codes, 1.0), codes)
    assert torch.equal(codes, before)
    for width in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="width"):
            smooth(codes, width)


def test_gaps_are_bridged_in_a_straight_line() -> None:
    codes = torch.arange(10.0)[:, None].repeat(1, 3) ** 2
    known = torch.tensor([0, 1, 0, 0, 1, 1, 0, 1, 0, 0], dtype=torch.bool)
    filled = fill_gaps(codes.masked_fill(~known[:, None], torch.nan), known)
    assert torch.equal(filled[known], codes[known])
    assert filled[:, 0].tolist() == [1, 1, 6, 11, 16, 25, 37, 49, 49, 49]


def test_gaps_without_anything_known_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fill_gaps(torch.ones(3, 2), torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        fill_gaps(torch.ones(3, 2), torch.ones(2, dtype=torch.bool))
    with pytest.raises(TypeError, match="booleans"):
        fill_gaps(torch.ones(3, 2), torch.ones(3))

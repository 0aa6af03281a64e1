"""Lerp and slerp: against SciPy and float64, in every degenerate case, and the field's bugs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import add, angle, euclidean, lerp, slerp, subtract
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, SHAPES, codes_strategy, float64, gaussian, same_bits
from scipy.spatial import geometric_slerp

T_VALUES = (-2.0, -0.5, 0.0, 0.25, 0.5, 0.9, 1.0, 1.5, 3.0)


def textbook_slerp(a: torch.Tensor, b: torch.Tensor, t: float) -> torch.Tensor:
    """The popular form: unnormalised endpoints weighted by sines."""
    omega = angle(a, b)
    return (torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b) / torch.sin(omega)


# Against independent references


@pytest.mark.parametrize("size", [2, 3, 16, 512])
def test_slerp_of_unit_vectors_against_scipy(size: int) -> None:
    a, b = gaussian(2, size, dtype=torch.float64)
    a, b = a / a.norm(), b / b.norm()
    t = np.linspace(0, 1, 11)
    expected = geometric_slerp(float64(a), float64(b), t)
    result = slerp(a, b, torch.from_numpy(t))
    np.testing.assert_allclose(float64(result), expected, atol=1e-12)


@pytest.mark.parametrize("t", T_VALUES)
@pytest.mark.parametrize("angle_between", [1e-8, 1e-3, 1.0, math.pi / 2, 3.0, math.pi - 1e-3])
def test_slerp_in_a_known_plane(t: float, angle_between: float) -> None:
    """In the plane the answer is a rotation by t omega, with the norm on a straight line."""
    a = torch.tensor([2.0, 0.0, 0.0], dtype=torch.float64)
    b = 3 * torch.tensor(
        [math.cos(angle_between), math.sin(angle_between), 0.0], dtype=torch.float64
    )
    turned, norm = t * angle_between, (1 - t) * 2 + t * 3
    expected = norm * np.array([math.cos(turned), math.sin(turned), 0.0])
    np.testing.assert_allclose(float64(slerp(a, b, t)), expected, atol=1e-11)


@pytest.mark.parametrize("t", T_VALUES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_lerp_against_numpy(t: float, shape: tuple[int, ...], dims: int) -> None:
    a, b = gaussian(2, 5, *shape, dtype=torch.float64)
    expected = (1 - t) * float64(a) + t * float64(b)
    np.testing.assert_allclose(float64(lerp(a, b, t, latent_dims=dims)), expected, atol=1e-13)


@pytest.mark.parametrize("t", T_VALUES)
def test_slerp_about_an_origin_is_slerp_of_the_differences(t: float) -> None:
    a, b, origin = gaussian(3, 5, 16, dtype=torch.float64)
    expected = add(slerp(subtract(a, origin), subtract(b, origin), t), origin)
    torch.testing.assert_close(slerp(a, b, t, origin=origin), expected)
    one = slerp(a, b, t, origin=origin[0])
    torch.testing.assert_close(one[0], expected[0])


# Properties


@settings(deadline=None, max_examples=100)
@given(codes_strategy(6), codes_strategy(6), st.floats(-2, 3))
def test_slerp_norm_is_linear_whatever_the_codes(
    a: torch.Tensor, b: torch.Tensor, t: float
) -> None:
    if float(a.norm()) == 0 or float(b.norm()) == 0:
        return  # see the test of zero codes
    norm = (1 - t) * a.norm() + t * b.norm()
    largest = max(float(a.norm()), float(b.norm()))
    assert float(slerp(a, b, t).norm()) == pytest.approx(abs(float(norm)), abs=1e-10 * largest)


@settings(deadline=None, max_examples=100)
@given(codes_strategy(6), codes_strategy(6), st.floats(-2, 3))
def test_both_are_symmetric_in_the_ends(a: torch.Tensor, b: torch.Tensor, t: float) -> None:
    for function in (lerp, slerp):
        torch.testing.assert_close(
            function(a, b, t), function(b, a, 1 - t), rtol=1e-9, atol=1e-9 * (1 + float(a.norm()))
        )


@settings(deadline=None, max_examples=100)
@given(codes_strategy(6), codes_strategy(6))
def test_ends_are_exact(a: torch.Tensor, b: torch.Tensor) -> None:
    for function in (lerp, slerp):
        assert same_bits(function(a, b, 0.0), a)
        assert same_bits(function(a, b, 1.0), b)
    assert same_bits(slerp(a, b, 0.0, origin=b + 1), a)
    assert same_bits(slerp(a, b, 1.0, origin=b + 1), b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
@pytest.mark.parametrize("batch", [1, 2, 4, 5])
def test_ends_are_exact_in_batches(
    dtype: torch.dtype, shape: tuple[int, ...], dims: int, batch: int
) -> None:
    a, b = gaussian(2, batch, *shape, dtype=dtype)
    a.flatten()[0] = -0.0
    t = torch.tensor([0.0, 1.0, 0.5, 0.0, 1.0])[:batch]
    for function in (lerp, slerp):
        result = function(a, b, t, latent_dims=dims)
        for i in range(batch):
            if t[i] != 0.5:
                assert same_bits(result[i], (a if t[i] == 0 else b)[i])


@settings(deadline=None, max_examples=100)
@given(codes_strategy(6), codes_strategy(6), st.floats(0, 1))
def test_slerp_turns_at_constant_angular_speed(a: torch.Tensor, b: torch.Tensor, t: float) -> None:
    if float(a.norm()) < 1e-3 or float(b.norm()) < 1e-3:
        return
    omega = float(angle(a, b))
    assert float(angle(a, slerp(a, b, t))) == pytest.approx(t * omega, abs=1e-7)


# Degenerate cases


@pytest.mark.parametrize("dtype", DTYPES)
def test_identical_codes_give_that_code_at_every_t(dtype: torch.dtype) -> None:
    """Field bug: NaN for identical inputs in 311 of 500 draws."""
    codes = gaussian(500, 4, 8, 8, dtype=dtype)
    for t in T_VALUES:
        for function in (lerp, slerp):
            assert same_bits(function(codes, codes, t, latent_dims=3), codes)
    assert same_bits(slerp(codes, codes, 0.3, origin=codes[0] + 1, latent_dims=3), codes)


@pytest.mark.parametrize("t", T_VALUES)
def test_parallel_codes_keep_their_direction(t: float) -> None:
    a = gaussian(500, 16)
    torch.testing.assert_close(slerp(a, 3 * a, t), lerp(a, 3 * a, t), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_opposite_codes_turn_through_a_plane_of_full_norm(
    dtype: torch.dtype, shape: tuple[int, ...], dims: int
) -> None:
    """Field bug: zeros for opposite inputs."""
    a = gaussian(500, *shape, dtype=dtype)
    middle = slerp(a, -a, 0.5, latent_dims=dims)
    norms = a.flatten(1).double().norm(dim=1)
    torch.testing.assert_close(middle.flatten(1).double().norm(dim=1), norms, rtol=4e-3, atol=0)
    quarter = angle(a, middle, latent_dims=dims)
    torch.testing.assert_close(quarter, torch.full_like(quarter, math.pi / 2), rtol=0, atol=8e-3)


def test_the_plane_between_opposite_codes_is_deterministic() -> None:
    a = gaussian(5, 16)
    torch.manual_seed(1)
    first = slerp(a, -2 * a, 0.3)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(slerp(a, -2 * a, 0.3), first)
    assert torch.equal(torch.get_rng_state(), state)
    for i in range(5):
        torch.testing.assert_close(slerp(a[i], -2 * a[i], 0.3), first[i])


def test_the_plane_exists_for_every_direction_in_two_dimensions() -> None:
    turns = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
    a = torch.stack([turns.cos(), turns.sin()], 1)
    middle = slerp(a, -a, 0.5)
    torch.testing.assert_close(middle.norm(dim=1), torch.ones_like(turns))
    torch.testing.assert_close((middle * a).sum(1), torch.zeros_like(turns), rtol=0, atol=1e-12)


@pytest.mark.parametrize("gap", [0.1, 1e-3, 1e-6, 1e-9, 0.0])
def test_norm_is_kept_near_antipodes(gap: float) -> None:
    """Norms 22 and 24, gap radians from opposite: 23 in the middle, in any direction."""
    a = torch.zeros(512)
    a[0] = 22.0
    b = torch.zeros(512)
    b[0], b[1] = -24 * math.cos(gap), 24 * math.sin(gap)
    assert float(slerp(a, b, 0.5).norm()) == pytest.approx(23.0, abs=1e-4)


@pytest.mark.parametrize(("gap", "diverged"), [(0.1, 30.0), (1e-3, 2e3), (1e-6, 2e6)])
def test_the_popular_form_diverges_near_antipodes(gap: float, diverged: float) -> None:
    """Measured again, so that the reason for the other form stays on record."""
    a = torch.tensor([22.0, 0.0], dtype=torch.float64)
    b = 24 * torch.tensor([-math.cos(gap), math.sin(gap)], dtype=torch.float64)
    assert float(textbook_slerp(a, b, 0.5).norm()) == pytest.approx(diverged, rel=0.05)


@pytest.mark.parametrize("t", T_VALUES)
def test_a_zero_code_makes_slerp_straight(t: float) -> None:
    code, zero = gaussian(5, 16), torch.zeros(5, 16)
    assert torch.equal(slerp(zero, code, t), lerp(zero, code, t))
    assert torch.equal(slerp(code, zero, t), lerp(code, zero, t))
    assert torch.equal(slerp(zero, zero, t), zero)


def test_each_case_is_handled_for_its_own_item_of_the_batch() -> None:
    base = gaussian(16, seed=3)
    other = gaussian(16, seed=4)
    ends = torch.stack([base, 2 * base, -base, 0 * base, other])
    together = slerp(base, ends, 0.3)
    for i in range(5):
        torch.testing.assert_close(together[i], slerp(base, ends[i], 0.3))
    assert torch.isfinite(together).all()


@pytest.mark.parametrize("t", T_VALUES)
def test_one_component_has_no_sphere(t: float) -> None:
    a, b = torch.tensor([[2.0], [2.0]]), torch.tensor([[-3.0], [5.0]])
    assert torch.equal(slerp(a, b, t), lerp(a, b, t))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e-3, 1e20, 1e30])
def test_the_size_of_the_codes_does_not_matter(size: float) -> None:
    a, b = gaussian(2, 16)
    torch.testing.assert_close(slerp(a * size, b * size, 0.3) / size, slerp(a, b, 0.3))


def test_a_norm_extrapolated_past_zero_comes_out_on_the_other_side() -> None:
    a = torch.tensor([1.0, 0.0])
    assert torch.equal(slerp(a, 3 * a, -1.0), -a)


@pytest.mark.parametrize("t", [0.25, 1.5])
def test_tiny_angles_keep_their_digits_in_float32(t: float) -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1e-6])
    assert float(slerp(a, b, t)[1]) == pytest.approx(t * 1e-6, rel=1e-4)


def test_float32_arccos_loses_small_angles_and_ours_does_not() -> None:
    """Measured: arccos of a float32 dot product is 0 below about 1e-4 rad."""
    for small in (1e-4, 3e-5, 1e-6):
        u = torch.tensor([1.0, 0.0])
        v = torch.tensor([math.cos(small), math.sin(small)])
        assert float(torch.arccos((u * v).sum())) == 0
        assert float(angle(u, v)) == pytest.approx(small, rel=1e-5)


@pytest.mark.parametrize("size", [100, 512])
def test_midpoint_norm_of_gaussian_codes(size: int) -> None:
    """Measured: lerp 0.70 and slerp 1.00 of sqrt(d)."""
    a, b = gaussian(2, 4000, size)
    straight = lerp(a, b, 0.5).norm(dim=1).mean() / math.sqrt(size)
    round_ = slerp(a, b, 0.5).norm(dim=1).mean() / math.sqrt(size)
    assert float(straight) == pytest.approx(0.70, abs=0.01)
    assert float(round_) == pytest.approx(1.00, abs=0.01)


def test_every_batch_size_on_four_channels_agrees_with_its_items() -> None:
    """Field bug: batch 2 fails, and batch 4 on 4 channels is silently wrong (norm, no keepdim)."""
    for batch in (1, 2, 3, 4, 5):
        a, b = gaussian(2, batch, 4, 8, 8)
        result = slerp(a, b, 0.4, latent_dims=3)
        for i in range(batch):
            u, v = (float64(x[i].flatten()) for x in (a, b))
            lengths = np.linalg.norm(u), np.linalg.norm(v)
            direction = geometric_slerp(u / lengths[0], v / lengths[1], 0.4)
            expected = (0.6 * lengths[0] + 0.4 * lengths[1]) * direction
            np.testing.assert_allclose(float64(result[i].flatten()), expected, atol=1e-4)


def test_steps_towards_a_target_are_equal_and_arrive() -> None:
    """Field bug: a walk whose angle to the target goes 91, 40, 6, 0 and stalls."""
    a, b = gaussian(2, 512, dtype=torch.float64)
    frames = slerp(a, b, torch.linspace(0, 1, 9, dtype=torch.float64))
    remaining = angle(frames, b)
    steps = remaining[:-1] - remaining[1:]
    torch.testing.assert_close(steps, torch.full_like(steps, float(angle(a, b)) / 8))
    assert float(remaining[-1]) == 0


def test_neither_changes_its_inputs() -> None:
    """Field bug: inputs overwritten in place."""
    a, b = gaussian(2, 4, 4, 8, 8)
    kept = a.clone(), b.clone()
    for function in (lerp, slerp):
        function(a, b, 0.3, latent_dims=3)
        function(a, -a, 0.3, latent_dims=3)
    assert same_bits(a, kept[0])
    assert same_bits(b, kept[1])


def test_mixed_dtypes_give_the_wider_one() -> None:
    a, b = gaussian(2, 16)
    for function in (lerp, slerp):
        assert function(a.half(), b, 0.5).dtype == torch.float32
        assert function(a.half(), b.bfloat16(), 0.5).dtype == torch.float32
        assert function(a, b.double(), 0.5).dtype == torch.float64


def test_one_pair_at_many_positions() -> None:
    a, b = gaussian(2, 4, 8, 8)
    for function in (lerp, slerp):
        frames = function(a, b, torch.linspace(0, 1, 7), latent_dims=3)
        assert frames.shape == (7, 4, 8, 8)
        grid = function(
            a[None].expand(5, 4, 8, 8), b, torch.linspace(0, 1, 7)[:, None], latent_dims=3
        )
        assert grid.shape == (7, 5, 4, 8, 8)
        torch.testing.assert_close(grid[:, 0], frames)
        assert float(euclidean(grid[0, 0], a, latent_dims=3)) == 0

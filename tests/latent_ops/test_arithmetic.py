"""Addition, subtraction, scaling, weighted means and truncation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import add, scale, subtract, truncate, weighted_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, TOLERANCE, codes_strategy, float64, gaussian, same_bits


def test_worked_example_to_the_printed_digit() -> None:
    face, smile = [2.5, -1.3, 0.8, 4.1], [0.0, 0.0, 0.5, 0.2]
    exact = add(torch.tensor(face, dtype=torch.float64), torch.tensor(smile, dtype=torch.float64))
    assert exact.tolist() == [2.5, -1.3, 1.3, 4.3]
    smiling = add(torch.tensor(face), torch.tensor(smile))
    assert [f"{x:.6g}" for x in smiling.tolist()] == ["2.5", "-1.3", "1.3", "4.3"]
    back = subtract(smiling, torch.tensor(smile))
    assert [f"{x:.6g}" for x in back.tolist()] == ["2.5", "-1.3", "0.8", "4.1"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zero", [0.0, -0.0, torch.tensor(0.0), torch.zeros(5)])
def test_strength_zero_is_the_identity_to_the_last_bit(
    dtype: torch.dtype, zero: float | torch.Tensor
) -> None:
    codes = gaussian(5, 16, dtype=dtype)
    codes[0, :3] = torch.tensor([-0.0, torch.finfo(dtype).max, torch.finfo(dtype).tiny])
    direction = gaussian(16, seed=1, dtype=torch.float32)
    direction[:2] = torch.tensor([math.inf, math.nan])
    assert same_bits(add(codes, direction, zero), codes)
    assert same_bits(subtract(codes, direction, zero), codes)


def test_strength_zero_for_one_code_of_a_batch() -> None:
    codes, direction = gaussian(2, 16), gaussian(16, seed=1)
    result = add(codes, direction, torch.tensor([0.0, 2.0]))
    assert same_bits(result[0], codes[0])
    assert torch.equal(result[1], codes[1] + 2 * direction)


@settings(deadline=None, max_examples=50)
@given(codes_strategy(8), codes_strategy(8), st.floats(-10, 10))
def test_there_and_back(code: torch.Tensor, direction: torch.Tensor, k: float) -> None:
    moved = add(code, direction, k)
    back = subtract(moved, direction, k)
    ulp = torch.finfo(torch.float64).eps * torch.maximum(code.abs(), moved.abs())
    assert bool(((back - code).abs() <= ulp).all())
    assert torch.equal(back, add(moved, direction, -k))


@settings(deadline=None, max_examples=50)
@given(codes_strategy(8), codes_strategy(8), codes_strategy(8))
def test_analogy_is_exact_arithmetic(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> None:
    result = add(subtract(a, b), c)
    np.testing.assert_array_equal(float64(result), (float64(a) - float64(b)) + float64(c))


@pytest.mark.parametrize("dtype", DTYPES)
def test_scale(dtype: torch.dtype) -> None:
    codes = gaussian(5, 16, dtype=dtype)
    assert same_bits(scale(codes, 1.0), codes)
    assert same_bits(scale(codes, -2.0), codes * -2)
    assert torch.equal(scale(codes, 0.0), torch.zeros_like(codes))
    np.testing.assert_allclose(
        float64(scale(codes, 1.7)), 1.7 * float64(codes), rtol=TOLERANCE[dtype]
    )


def test_a_direction_wider_than_the_codes_does_not_change_their_dtype() -> None:
    codes, direction = gaussian(2, 16, dtype=torch.float16), gaussian(16, seed=1)
    result = add(codes, direction, 0.5)
    assert result.dtype == torch.float16
    assert torch.equal(result, (codes.float() + 0.5 * direction).half())


# Weighted mean


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("weights", ["none", "list", "tensor", "negative"])
def test_arithmetic_mean_against_numpy(count: int, weights: str) -> None:
    codes = gaussian(count, 4, 8, 8, dtype=torch.float64)
    numbers = [0.5 + i for i in range(count)]
    if weights == "negative":
        numbers[0] = -0.25
    argument = {"none": None, "tensor": torch.tensor(numbers)}.get(weights, numbers)
    expected = np.average(
        float64(codes), axis=0, weights=None if weights == "none" else np.array(numbers)
    )
    np.testing.assert_allclose(
        float64(weighted_mean(codes, argument)), expected, rtol=1e-12, atol=1e-14
    )


def test_mean_of_a_batch_keeps_its_scale() -> None:
    """Field bug: the mean re-standardised, to 9.6 times its scale."""
    codes = 3 + 0.1 * gaussian(8, 4, 8, 8)
    mean = weighted_mean(codes)
    np.testing.assert_allclose(float64(mean), float64(codes).mean(0), rtol=1e-6)
    assert float(mean.std()) == pytest.approx(0.1 / math.sqrt(8), rel=0.2)
    assert float(mean.mean()) == pytest.approx(3, abs=0.01)


def test_mean_of_one_code_and_of_equal_ones_is_that_code() -> None:
    code = gaussian(1, 16)
    assert same_bits(weighted_mean(code), code[0])
    assert same_bits(weighted_mean(code, [-3.0]), code[0])
    assert same_bits(weighted_mean(code.expand(2, 16)), code[0])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.01, 10), min_size=3, max_size=3), st.floats(0.01, 100))
def test_weights_matter_only_against_each_other(weights: list[float], factor: float) -> None:
    codes, mean = gaussian(3, 16, dtype=torch.float64), gaussian(16, seed=1, dtype=torch.float64)
    scaled = [factor * w for w in weights]
    for mode in ("arithmetic", "lol"):
        torch.testing.assert_close(
            weighted_mean(codes, scaled, mode=mode, mean=mean),
            weighted_mean(codes, weights, mode=mode, mean=mean),
        )


def test_lol_formula_against_numpy() -> None:
    codes, mu = gaussian(4, 3, 8, dtype=torch.float64), gaussian(3, 8, seed=1, dtype=torch.float64)
    w = np.array([0.2, -0.5, 1.5, 0.7])
    alpha, beta = w.sum(), (w**2).sum()
    expected = (1 - alpha / math.sqrt(beta)) * float64(mu) + np.tensordot(
        w, float64(codes), 1
    ) / math.sqrt(beta)
    result = weighted_mean(codes, w.tolist(), mode="lol", mean=mu)
    np.testing.assert_allclose(float64(result), expected, rtol=1e-12, atol=1e-14)


def test_lol_keeps_the_distribution_and_the_arithmetic_mean_does_not() -> None:
    mu, sigma, weights = 2.0, 0.5, [0.6, 0.3, -0.2]
    codes = mu + sigma * gaussian(3, 200_000)
    mean = torch.full((200_000,), mu)
    lol = weighted_mean(codes, weights, mode="lol", mean=mean)
    assert float(lol.mean()) == pytest.approx(mu, abs=0.01)
    assert float(lol.std()) == pytest.approx(sigma, rel=0.01)
    plain = weighted_mean(codes, weights)
    assert float(plain.std()) == pytest.approx(sigma * math.sqrt(0.49) / 0.7, rel=0.01)
    equal = weighted_mean(codes)
    assert float(equal.std()) == pytest.approx(sigma / math.sqrt(3), rel=0.01)


def test_lol_of_two_copies_is_longer_by_root_two() -> None:
    x = gaussian(16, dtype=torch.float64)
    result = weighted_mean(torch.stack([x, x]), [0.5, 0.5], mode="lol")
    torch.testing.assert_close(result, math.sqrt(2) * x)


def test_lol_of_one_code_is_that_code_and_zero_sums_are_allowed() -> None:
    codes, mean = gaussian(2, 16), gaussian(16, seed=1)
    torch.testing.assert_close(weighted_mean(codes[:1], mode="lol", mean=mean), codes[0])
    difference = weighted_mean(codes, [1.0, -1.0], mode="lol", mean=mean)
    torch.testing.assert_close(difference, mean + (codes[0] - codes[1]) / math.sqrt(2))


@pytest.mark.parametrize("weights", [[1.0, -1.0], [0.1, 0.2, -0.3], [1e-3, -1e-3]])
def test_weights_that_add_up_to_zero_have_no_arithmetic_mean(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="add up to 0"):
        weighted_mean(gaussian(len(weights), 16), weights)
    with pytest.raises(ValueError, match="add up to 0"):
        weighted_mean(gaussian(len(weights), 16), torch.tensor(weights))


def test_bad_weights_are_refused() -> None:
    codes = gaussian(2, 16)
    for mode in ("arithmetic", "lol"):
        with pytest.raises(ValueError, match="All weights are 0"):
            weighted_mean(codes, [0.0, 0.0], mode=mode)
        with pytest.raises(ValueError, match="Expected 2 weights"):
            weighted_mean(codes, [1.0], mode=mode)
        with pytest.raises(ValueError, match="finite"):
            weighted_mean(codes, [1.0, math.nan], mode=mode)
        with pytest.raises(ValueError, match="at least one code"):
            weighted_mean(codes[:0], mode=mode)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        weighted_mean(codes, torch.ones(2, 1))
    with pytest.raises(ValueError, match="arithmetic, lol"):
        weighted_mean(codes, mode="median")
    with pytest.raises(ValueError, match="one code"):
        weighted_mean(codes, mode="lol", mean=codes)
    with pytest.raises(ValueError, match="unsqueeze"):
        weighted_mean(codes[0])
    with pytest.raises(ValueError, match="latent_dims=3"):
        weighted_mean(codes, latent_dims=3)


# Truncation


@settings(deadline=None, max_examples=50)
@given(codes_strategy(8), codes_strategy(8), st.floats(-2, 2))
def test_truncation_formula(code: torch.Tensor, mean: torch.Tensor, psi: float) -> None:
    expected = float64(mean) + psi * (float64(code) - float64(mean))
    np.testing.assert_allclose(float64(truncate(code, psi, mean)), expected, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_truncation_ends_are_exact(dtype: torch.dtype) -> None:
    codes, mean = gaussian(5, 16, dtype=dtype), 100 * gaussian(16, seed=1, dtype=dtype)
    codes[0, 0] = -0.0
    assert same_bits(truncate(codes, 1.0, mean), codes)
    assert same_bits(truncate(codes, 0.0, mean), mean.expand(5, 16).contiguous())
    assert torch.equal(truncate(codes, 0.0), torch.zeros_like(codes))
    assert same_bits(truncate(codes, 1.0), codes)
    mixed = truncate(codes, torch.tensor([0.0, 1.0, 0.5, 0.5, 0.5]), mean)
    assert same_bits(mixed[0], mean)
    assert same_bits(mixed[1], codes[1])


def test_truncation_towards_zero_without_a_mean() -> None:
    codes = gaussian(5, 16)
    torch.testing.assert_close(truncate(codes, 0.7), 0.7 * codes)


@pytest.mark.parametrize("cutoff", [0, 1, 2, 3])
def test_cutoff_truncates_the_first_layers_only(cutoff: int) -> None:
    codes, mean = gaussian(5, 3, 8), gaussian(3, 8, seed=1)
    result = truncate(codes, 0.5, mean, cutoff=cutoff, latent_dims=2)
    full = truncate(codes, 0.5, mean, latent_dims=2)
    assert torch.equal(result[:, :cutoff], full[:, :cutoff])
    assert same_bits(result[:, cutoff:], codes[:, cutoff:])


def test_bad_cutoffs_are_refused() -> None:
    codes = gaussian(5, 3, 8)
    with pytest.raises(ValueError, match="latent_dims=2"):
        truncate(codes, 0.5, cutoff=1)
    for cutoff in (-1, 4, 1.5, True):
        with pytest.raises(ValueError, match="0 to 3"):
            truncate(codes, 0.5, cutoff=cutoff, latent_dims=2)  # type: ignore[arg-type]

"""Directions: projection, removal, set-to-value, and conditioning on any number of others."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import (
    add,
    coefficient,
    condition,
    normalise,
    project,
    project_out,
    remove,
    set_to_value,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, SHAPES, codes_strategy, float64, gaussian, same_bits
from sklearn.linear_model import LinearRegression
from torch import Tensor


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_normalise(dtype: torch.dtype, shape: tuple[int, ...], dims: int) -> None:
    direction = 5 * gaussian(4, *shape, dtype=dtype)
    result = normalise(direction, latent_dims=dims)
    expected = float64(direction).reshape(4, -1)
    expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(
        float64(result).reshape(4, -1), expected, atol=float(torch.finfo(dtype).eps)
    )


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
def test_normalise_at_both_ends_of_the_range(size: float) -> None:
    direction = gaussian(16)
    torch.testing.assert_close(normalise(direction * size), normalise(direction))


@pytest.mark.parametrize(
    "function",
    [
        normalise,
        lambda n: coefficient(gaussian(16), n),
        lambda n: project(gaussian(16), n),
        lambda n: remove(gaussian(16), n),
        lambda n: set_to_value(gaussian(16), n, 1.0),
        lambda n: condition(n, gaussian(2, 16)),
        lambda n: condition(n, gaussian(0, 16)),
    ],
)
def test_zero_and_broken_directions_are_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="zero"):
        function(torch.zeros(16))
    for bad in (math.nan, math.inf):
        direction = gaussian(16)
        direction[3] = bad
        with pytest.raises(ValueError, match="NaN or infinity"):
            function(direction)


# Coefficients


def test_coefficient_formula_against_numpy() -> None:
    v, n, mean = gaussian(3, 5, 4, 8, 8, dtype=torch.float64)
    x, y, m = (float64(t).reshape(5, -1) for t in (v, n, mean))
    expected = ((x - m) * y).sum(1) / (y**2).sum(1)
    np.testing.assert_allclose(
        float64(coefficient(v, n, mean, latent_dims=3)), expected, rtol=1e-12
    )


@settings(deadline=None, max_examples=60)
@given(codes_strategy(6), codes_strategy(6), st.floats(-10, 10))
def test_adding_k_of_a_direction_adds_k(v: Tensor, n: Tensor, k: float) -> None:
    assume(float(n.norm()) > 1e-2)
    scale = 1e-12 * (1 + float(v.norm() / n.norm()))
    before = float(coefficient(v, n))
    assert float(coefficient(add(v, n, k), n)) == pytest.approx(before + k, abs=scale + 1e-10)


@settings(deadline=None, max_examples=60)
@given(codes_strategy(6), codes_strategy(6))
def test_a_code_is_its_projection_and_the_rest(v: Tensor, n: Tensor) -> None:
    assume(float(n.norm()) > 1e-2)
    along, rest = project(v, n), remove(v, n)
    scale = 1e-13 * (1 + float(v.norm()))
    torch.testing.assert_close(along + rest, v, rtol=0, atol=scale)
    assert abs(float(rest @ n)) <= scale * float(n.norm())
    torch.testing.assert_close(project(along, n), along, rtol=0, atol=scale)
    torch.testing.assert_close(remove(rest, n), rest, rtol=0, atol=scale)
    assert float(along.norm()) <= float(v.norm()) * (1 + 1e-12)


@settings(deadline=None, max_examples=60)
@given(codes_strategy(6), codes_strategy(6), codes_strategy(6), st.floats(-10, 10))
def test_set_to_value_measures_the_target(v: Tensor, n: Tensor, mean: Tensor, k: float) -> None:
    assume(float(n.norm()) > 1e-2)
    result = set_to_value(v, n, k, mean)
    scale = 1e-12 * (1 + float((v - mean).norm() / n.norm()))
    assert float(coefficient(result, n, mean)) == pytest.approx(k, abs=scale + 1e-10)
    # and nothing perpendicular to the direction moved
    torch.testing.assert_close(
        remove(result, n), remove(v, n), rtol=0, atol=1e-10 * (1 + float(v.norm() + n.norm()))
    )
    again = set_to_value(result, n, k, mean)
    torch.testing.assert_close(again, result, rtol=1e-9, atol=1e-9)


def test_the_length_of_the_direction_does_not_matter_to_removal() -> None:
    v, n = gaussian(5, 16), gaussian(16, seed=1)
    for factor in (1e-12, 1e-3, -7.0, 1e12):
        torch.testing.assert_close(remove(v, n * factor), remove(v, n), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(project(v, n * factor), project(v, n), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_removal_by_amount(dtype: torch.dtype) -> None:
    v, n = gaussian(5, 16, dtype=dtype), gaussian(16, seed=1, dtype=dtype)
    v[0, 0] = -0.0
    mean = gaussian(16, seed=2, dtype=dtype)
    assert same_bits(remove(v, n, 0.0, mean), v)
    before = coefficient(v, n, mean)
    slack = 16 * float(torch.finfo(dtype).eps)
    for amount in (0.5, 1.0, 2.0, -1.0):
        after = coefficient(remove(v, n, amount, mean), n, mean)
        torch.testing.assert_close(after, (1 - amount) * before, rtol=0, atol=slack)


def test_removal_about_the_mean_leaves_the_mean_alone() -> None:
    mean, n = gaussian(16), gaussian(16, seed=1)
    torch.testing.assert_close(remove(mean, n, 1.0, mean), mean, rtol=0, atol=0)
    torch.testing.assert_close(set_to_value(mean, n, 0.0, mean), mean, rtol=0, atol=0)


# Several directions


def test_project_out_against_least_squares() -> None:
    v, others = gaussian(5, 64, dtype=torch.float64), gaussian(7, 64, seed=1, dtype=torch.float64)
    fit = LinearRegression(fit_intercept=False).fit(float64(others).T, float64(v).T)
    expected = float64(v) - fit.coef_ @ float64(others)
    np.testing.assert_allclose(float64(project_out(v, others)), expected, atol=1e-12)


def test_project_out_leaves_nothing_of_slanted_directions_behind() -> None:
    n = gaussian(64, dtype=torch.float64)
    others = torch.stack([n, n + 0.5 * gaussian(64, seed=1, dtype=torch.float64)])
    v, mean = gaussian(5, 64, seed=2).double(), gaussian(64, seed=3).double()
    result = project_out(v, others, mean)
    for other in others:
        np.testing.assert_allclose(float64(coefficient(result, other, mean)), 0, atol=1e-13)
    one_by_one = remove(remove(v, others[0], 1.0, mean), others[1], 1.0, mean)
    assert float(coefficient(one_by_one, others[0], mean).abs().max()) > 0.01


def test_one_direction_projected_out_is_removal() -> None:
    v, n = gaussian(5, 4, 8, 8, dtype=torch.float64), gaussian(1, 4, 8, 8, seed=1).double()
    torch.testing.assert_close(project_out(v, n, latent_dims=3), remove(v, n, latent_dims=3))


# Conditioning


@pytest.mark.parametrize(
    ("count", "dtype"),
    # 63 of 64 leave almost nothing, which only the wide dtypes can tell from a dependent set.
    [(k, d) for d in DTYPES for k in (0, 1, 2, 3, 10, 63) if k < 63 or d.itemsize > 2],
)
def test_conditioned_on_any_number(count: int, dtype: torch.dtype) -> None:
    n, others = gaussian(64, dtype=dtype), gaussian(count, 64, seed=1, dtype=dtype)
    result = condition(n, others)
    assert result.dtype == dtype
    eps = float(torch.finfo(dtype).eps)
    norm = float(n.double().norm())
    assert float(result.double().norm()) == pytest.approx(norm, rel=4 * eps)
    for other in others.double():
        cosine = float(result.double() @ other) / norm / float(other.norm())
        assert abs(cosine) < 4 * eps
    if count == 0:
        assert same_bits(result, n)


@pytest.mark.parametrize("count", [1, 3, 10])
def test_condition_against_least_squares(count: int) -> None:
    n, others = gaussian(64).double(), gaussian(count, 64, seed=1).double()
    solution, *_ = np.linalg.lstsq(float64(others).T, float64(n), rcond=None)
    rest = float64(n) - float64(others).T @ solution
    expected = rest * np.linalg.norm(float64(n)) / np.linalg.norm(rest)
    np.testing.assert_allclose(float64(condition(n, others)), expected, atol=1e-12)


def test_moving_along_a_conditioned_direction_leaves_the_others_alone() -> None:
    smile, others, v = gaussian(512), gaussian(5, 512, seed=1), gaussian(3, 512, seed=2)
    others = others + 0.7 * smile  # entangled
    moved = add(v, condition(smile, others), 3.0)
    for other in others:
        torch.testing.assert_close(
            coefficient(moved, other), coefficient(v, other), rtol=0, atol=1e-6
        )
    assert float((coefficient(moved, smile) - coefficient(v, smile)).min()) > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dependent_repeated_and_zero_others_change_nothing(dtype: torch.dtype) -> None:
    n, others = gaussian(512, dtype=dtype), gaussian(2, 512, seed=1, dtype=dtype)
    a, b = others
    redundant = torch.stack([a, b, a, -3 * a, torch.zeros_like(a), a + b, 0.3 * a - 1.7 * b])
    torch.testing.assert_close(condition(n, redundant), condition(n, others))
    zeros = torch.zeros(3, 512, dtype=dtype)
    assert same_bits(condition(n, zeros), n)


def test_the_size_of_the_others_does_not_matter() -> None:
    n, others = gaussian(64), gaussian(3, 64, seed=1)
    sizes = torch.tensor([1e-20, 1.0, 1e20])[:, None]
    torch.testing.assert_close(condition(n, others * sizes), condition(n, others))


def test_nearly_parallel_others_both_count() -> None:
    n, a = gaussian(64, seed=0), gaussian(64, seed=1)
    b = a + 1e-3 * gaussian(64, seed=2)
    result = condition(n, torch.stack([a, b]))
    for other in (a, b, b - a):
        cosine = float(result.double() @ other.double()) / float(n.norm() * other.norm())
        assert abs(cosine) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_direction_in_the_span_of_the_others_is_refused(dtype: torch.dtype) -> None:
    others = gaussian(3, 64, dtype=dtype)
    inside = (others.double().T @ torch.tensor([0.5, -2.0, 1.0]).double()).to(dtype)
    for direction in (others[1], -2 * others[1], inside):
        with pytest.raises(ValueError, match="mix of the 3 directions"):
            condition(direction, others)
    batch = torch.stack([gaussian(64, seed=9, dtype=dtype), inside])
    with pytest.raises(ValueError, match="item 1"):
        condition(batch, others)


def test_conditioned_on_a_complete_basis_nothing_is_left() -> None:
    with pytest.raises(ValueError, match="mix of the 8"):
        condition(gaussian(8), gaussian(8, 8, seed=1))


def test_conditioning_twice_changes_nothing_more() -> None:
    n, others = gaussian(4, 8, 8).double(), gaussian(3, 4, 8, 8, seed=1).double()
    once = condition(n, others, latent_dims=3)
    torch.testing.assert_close(condition(once, others, latent_dims=3), once)


def test_others_must_be_a_stack() -> None:
    n = gaussian(16)
    with pytest.raises(ValueError, match=r"\(K, \*latent_shape\)"):
        condition(n, n)
    with pytest.raises(ValueError, match="one shape"):
        condition(n, gaussian(2, 15))
    with pytest.raises(ValueError, match="NaN"):
        condition(n, torch.full((2, 16), math.nan))

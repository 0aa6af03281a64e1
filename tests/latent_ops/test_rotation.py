"""Rotation in the plane of two directions, against dense matrices and its group laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from face_latents.latent_ops import angle, quasi_eigenvectors, rotate, rotate_chain
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, SHAPES, TOLERANCE, float64, gaussian, same_bits
from torch import Tensor

SEEDS = st.integers(0, 2**31)
ANGLES = st.floats(-10, 10)


def _case(seed: int, size: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return codes (4, size), a, b and a mean in float64."""
    numbers = gaussian(7, size, seed=seed, dtype=torch.float64)
    return numbers[:4], numbers[4], numbers[5], numbers[6]


def _close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def _matrix(a: Tensor, b: Tensor, t: float) -> np.ndarray:
    """Return the rotation as the exponential of the plane's generator."""
    u = float64(a) / np.linalg.norm(float64(a))
    v = float64(b) - (float64(b) @ u) * u
    v = v / np.linalg.norm(v)
    return scipy.linalg.expm(t * (np.outer(v, u) - np.outer(u, v)))


@settings(deadline=None, max_examples=50)
@given(SEEDS, ANGLES)
def test_it_is_the_dense_rotation_matrix(seed: int, t: float) -> None:
    codes, a, b, mean = _case(seed)
    matrix = _matrix(a, b, t)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(7), atol=1e-12)
    np.testing.assert_allclose(
        float64(rotate(codes, a, b, t)), float64(codes) @ matrix.T, atol=1e-11
    )
    about = float64(mean) + (float64(codes) - float64(mean)) @ matrix.T
    np.testing.assert_allclose(float64(rotate(codes, a, b, t, mean)), about, atol=1e-11)


@settings(deadline=None, max_examples=50)
@given(SEEDS, ANGLES)
def test_it_is_orthogonal(seed: int, t: float) -> None:
    _, a, b, _ = _case(seed)
    matrix = rotate(torch.eye(7, dtype=torch.float64), a, b, t)
    _close(matrix @ matrix.T, torch.eye(7, dtype=torch.float64))
    assert float(torch.linalg.det(matrix)) == pytest.approx(1)


@settings(deadline=None, max_examples=50)
@given(SEEDS, ANGLES, ANGLES)
def test_angles_add_up(seed: int, s: float, t: float) -> None:
    codes, a, b, mean = _case(seed)
    _close(rotate(rotate(codes, a, b, t, mean), a, b, s, mean), rotate(codes, a, b, s + t, mean))


@settings(deadline=None, max_examples=50)
@given(SEEDS, ANGLES)
def test_the_opposite_angle_and_the_opposite_order_undo_it(seed: int, t: float) -> None:
    codes, a, b, mean = _case(seed)
    turned = rotate(codes, a, b, t, mean)
    _close(rotate(turned, a, b, -t, mean), codes)
    # The plane of (b, a) is that of (a, b), turned the other way round.
    _close(rotate(turned, b, a, t, mean), codes)


@settings(deadline=None, max_examples=50)
@given(SEEDS, ANGLES)
def test_distances_and_what_is_outside_the_plane_are_kept(seed: int, t: float) -> None:
    codes, a, b, mean = _case(seed)
    turned = rotate(codes, a, b, t, mean)
    _close((turned - mean).norm(dim=1), (codes - mean).norm(dim=1))
    plane = quasi_eigenvectors(torch.stack([a, b]))
    moved = turned - codes
    _close(moved - moved @ plane.T @ plane, torch.zeros_like(moved))
    _close(rotate(mean, a, b, t, mean), mean)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_angle_between_them_sends_a_onto_b(seed: int, size_a: float, size_b: float) -> None:
    _, a, b, _ = _case(seed)
    a, b = size_a * a, size_b * b
    turned = rotate(a, a, b, angle(a, b))
    _close(turned / turned.norm(), b / b.norm())
    _close(turned.norm() / a.norm(), torch.tensor(1.0, dtype=torch.float64))


def test_a_quarter_turn_moves_one_label_to_another() -> None:
    e = torch.eye(5, dtype=torch.float64)
    code = torch.tensor([3.0, 0.5, 7.0, -1.0, 2.0], dtype=torch.float64)
    quarter = rotate(code, e[0], e[1], math.pi / 2)
    _close(quarter, torch.tensor([-0.5, 3.0, 7.0, -1.0, 2.0], dtype=torch.float64))
    _close(rotate(code, e[0], e[1], math.pi), code * torch.tensor([-1.0, -1, 1, 1, 1]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_no_angle_gives_the_code_bit_for_bit(
    dtype: torch.dtype, shape: tuple[int, ...], dims: int
) -> None:
    codes = gaussian(4, *shape, dtype=dtype)
    codes[0, ..., 0] = -0.0
    a, b, mean = gaussian(3, *shape, seed=1, dtype=dtype)
    angles = torch.tensor([0.0, 1.0, 0.0, -0.0])
    turned = rotate(codes, a, b, angles, mean, latent_dims=dims)
    assert same_bits(turned[angles == 0], codes[angles == 0])
    assert not torch.equal(turned[1], codes[1])
    assert same_bits(rotate(codes, a, b, 0, latent_dims=dims), codes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_full_turn_comes_back(dtype: torch.dtype) -> None:
    codes, (a, b) = gaussian(4, 64, dtype=dtype), gaussian(2, 64, seed=1, dtype=dtype)
    turned = rotate(codes, a, b, 2 * math.pi)
    torch.testing.assert_close(turned, codes, rtol=0, atol=4 * TOLERANCE[dtype])


def test_small_angles_are_exact_in_float32() -> None:
    codes, a, b, _ = (x.float() for x in _case(0, 64))
    plane = [x.double() for x in (codes, a, b)]
    moved = rotate(100 * codes, a, b, 1e-3) - 100 * codes
    exact = rotate(100 * plane[0], plane[1], plane[2], 1e-3) - 100 * plane[0]
    np.testing.assert_allclose(float64(moved), float64(exact), atol=2e-5)


def test_directions_per_code_and_angles_per_code() -> None:
    codes, a, b, mean = _case(0)
    froms = gaussian(4, 7, seed=9, dtype=torch.float64)
    angles = torch.tensor([0.1, -0.4, 2.0, 0.0])
    together = rotate(codes, froms, b, angles, mean)
    for i in range(4):
        _close(together[i], rotate(codes[i], froms[i], b, float(angles[i]), mean))
    sheet = rotate(codes, a, b, torch.linspace(0, 1, 6)[:, None], mean)
    assert sheet.shape == (6, 4, 7)
    assert same_bits(sheet[0], codes)


# Chains


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.lists(st.tuples(SEEDS, ANGLES), max_size=4))
def test_a_chain_is_one_turn_after_another(seed: int, turns: list[tuple[int, float]]) -> None:
    codes, _, _, mean = _case(seed)
    planes = [(*gaussian(2, 7, seed=s, dtype=torch.float64), t) for s, t in turns]
    expected = codes
    for a, b, t in planes:
        expected = rotate(expected, a, b, t, mean)
    _close(rotate_chain(codes, planes, mean), expected)
    _close((rotate_chain(codes, planes, mean) - mean).norm(dim=1), (codes - mean).norm(dim=1))
    back = [(a, b, -t) for a, b, t in reversed(planes)]
    _close(rotate_chain(rotate_chain(codes, planes, mean), back, mean), codes)


def test_the_order_of_a_chain_matters() -> None:
    e = torch.eye(3)
    first, second = (e[0], e[1], math.pi / 2), (e[1], e[2], math.pi / 2)
    torch.testing.assert_close(rotate_chain(e[0], [first, second]), e[2], rtol=0, atol=1e-6)
    torch.testing.assert_close(rotate_chain(e[0], [second, first]), e[1], rtol=0, atol=1e-6)


def test_a_chain_rounds_half_precision_once() -> None:
    codes = gaussian(4, 32, dtype=torch.float16)
    planes = [(*gaussian(2, 32, seed=s, dtype=torch.float16), 0.3) for s in range(20)]
    expected = rotate_chain(codes.float(), [(a.float(), b.float(), t) for a, b, t in planes])
    assert torch.equal(rotate_chain(codes, planes), expected.half())


# Refusals


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("factor", [1.0, -1.0, 3.0])
def test_parallel_directions_are_refused(dtype: torch.dtype, factor: float) -> None:
    a = gaussian(16, dtype=dtype)
    with pytest.raises(ValueError, match=r"parallel.*two different labels"):
        rotate(gaussian(3, 16), a, factor * a, 0.5)
    nearly = (factor * a.double() * (1 + 1e-4 * gaussian(16, dtype=torch.float64))).to(dtype)
    if dtype != torch.float64:
        with pytest.raises(ValueError, match="parallel"):
            rotate(gaussian(3, 16), a, nearly, 0.5)


def test_a_parallel_pair_among_others_and_in_a_chain_is_refused() -> None:
    a, b = gaussian(3, 16), gaussian(16, seed=1)
    froms = a.clone()
    froms[1] = 2 * b
    with pytest.raises(ValueError, match="parallel"):
        rotate(a, froms, b, 0.5)
    with pytest.raises(ValueError, match="parallel"):
        rotate_chain(a, [(a[0], b, 0.1), (b, b, 0.1)])


@pytest.mark.parametrize("broken", [0.0, math.nan, math.inf])
def test_zero_and_broken_directions_are_refused(broken: float) -> None:
    codes, good = gaussian(3, 16), gaussian(16, seed=1)
    bad = good * broken
    for a, b in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match=r"zero|NaN or infinity"):
            rotate(codes, a, b, 0.5)


def test_shapes_and_types_that_do_not_fit_are_refused() -> None:
    codes, a, b = gaussian(3, 16), gaussian(16, seed=1), gaussian(16, seed=2)
    with pytest.raises(ValueError, match=r"\(16,\).*\(15,\)"):
        rotate(codes, a[:15], b, 0.5)
    with pytest.raises(ValueError, match=r"\(16,\).*\(15,\)"):
        rotate(codes, a, b[:15], 0.5)
    with pytest.raises(ValueError, match=r"\(16,\).*\(15,\)"):
        rotate(codes, a, b, 0.5, a[:15])
    with pytest.raises(ValueError, match=r"\(3,\).*\(2,\)"):
        rotate(codes, a, b, torch.ones(2))
    with pytest.raises(TypeError, match="floating"):
        rotate(codes, a.long(), b, 0.5)
    with pytest.raises(TypeError, match="angle"):
        rotate(codes, a, b, "90")  # type: ignore[arg-type]


def test_gradients_reach_code_directions_and_angle() -> None:
    codes, a, b, mean = _case(0)
    t = torch.tensor([0.3, -1.0, 2.0, 0.7], dtype=torch.float64)
    inputs = tuple(x.clone().requires_grad_() for x in (codes, a, b, t, mean))
    assert torch.autograd.gradcheck(rotate, inputs)

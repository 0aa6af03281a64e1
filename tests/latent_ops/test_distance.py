"""Distances against SciPy and scikit-learn, exact zeros, and tiny distances that keep digits."""

from __future__ import annotations

import math

import face_latents.latent_ops.neighbours as module
import numpy as np
import pytest
import torch
from face_latents.latent_ops import (
    METRICS,
    angle,
    cosine_distance,
    distance,
    duplicates,
    euclidean,
    nearest,
    pairwise,
    rms,
    whitened,
)
from hypothesis import given, settings
from latent_ops_support import DTYPES, codes_strategy, float64, gaussian
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

metrics = pytest.mark.parametrize("metric", METRICS)
STD = torch.linspace(0.5, 3, 16, dtype=torch.float64)


def reference(a: Tensor, b: Tensor, metric: str) -> np.ndarray:
    """Return the matrix of distances by SciPy in float64."""
    x, y = float64(a).reshape(len(a), -1), float64(b).reshape(len(b), -1)
    if metric == "rms":
        return cdist(x, y) / math.sqrt(x.shape[1])
    if metric == "angle":
        return np.arccos(1 - cdist(x, y, "cosine"))
    if metric == "whitened":
        return cdist(x, y, "seuclidean", V=float64(STD) ** 2)
    return cdist(x, y, metric)


def test_euclidean_by_hand() -> None:
    assert float(euclidean(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 6.0, 3.0]))) == 5
    face = torch.tensor([2.5, -1.3, 0.8, 4.1], dtype=torch.float64)
    smiling = torch.tensor([2.5, -1.3, 1.3, 4.3], dtype=torch.float64)
    assert float(euclidean(face, smiling)) == pytest.approx(math.sqrt(0.29), rel=1e-14)
    assert float(rms(face, smiling)) == pytest.approx(math.sqrt(0.29 / 4), rel=1e-14)


def test_angles_by_hand() -> None:
    x, y = torch.tensor([[2.0, 0.0]] * 4), torch.tensor([[5.0, 0], [0, 3], [-1, 0], [1, 1]])
    np.testing.assert_allclose(
        float64(angle(x, y)), [0, math.pi / 2, math.pi, math.pi / 4], rtol=1e-6
    )
    np.testing.assert_allclose(
        float64(cosine_distance(x, y)), [0, 1, 2, 1 - math.sqrt(0.5)], rtol=1e-6
    )


@metrics
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_against_scipy(metric: str, batch: int) -> None:
    a, b = gaussian(2, batch, 16, dtype=torch.float64)
    expected = reference(a, b, metric)
    np.testing.assert_allclose(float64(pairwise(a, b, metric, STD)), expected, rtol=1e-12)
    np.testing.assert_allclose(float64(distance(a, b, metric, STD)), np.diag(expected), rtol=1e-12)
    np.testing.assert_allclose(float64(distance(a[:, None], b, metric, STD)), expected, rtol=1e-12)


def test_named_functions_are_the_metrics() -> None:
    a, b = gaussian(2, 5, 16, dtype=torch.float64)
    functions = {"euclidean": euclidean, "rms": rms, "cosine": cosine_distance, "angle": angle}
    for metric, function in functions.items():
        assert torch.equal(function(a, b), distance(a, b, metric))
    assert torch.equal(whitened(a, b, STD), distance(a, b, "whitened", STD))
    assert set(functions) | {"whitened"} == set(METRICS)


@settings(deadline=None, max_examples=60)
@given(codes_strategy(6), codes_strategy(6), codes_strategy(6))
def test_metric_axioms(a: Tensor, b: Tensor, c: Tensor) -> None:
    for metric in ("euclidean", "rms", "angle"):
        ab, bc, ac = (distance(x, y, metric) for x, y in ((a, b), (b, c), (a, c)))
        assert float(ab) >= 0
        assert torch.equal(ab, distance(b, a, metric))
        assert float(distance(a, a, metric)) == 0
        if metric != "angle" or min(float(x.norm()) for x in (a, b, c)) > 0:
            assert float(ac) <= float(ab + bc) * (1 + 1e-12) + 1e-7


@metrics
@pytest.mark.parametrize("dtype", DTYPES)
def test_matrix_is_exactly_symmetric_with_a_zero_diagonal(
    metric: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = 100 + gaussian(7, 16, dtype=dtype)
    matrix = pairwise(codes, metric=metric, std=STD.to(dtype))
    assert torch.equal(matrix, matrix.T)
    assert torch.equal(matrix.diagonal(), torch.zeros(7).to(matrix))
    assert int((matrix == 0).sum()) == 7
    torch.testing.assert_close(matrix, pairwise(codes, codes, metric, STD.to(dtype)))
    assert torch.equal(
        pairwise(codes, codes, metric, STD.to(dtype)).diagonal(), torch.zeros(7).to(matrix)
    )
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 150)  # one row at a time, then two
    by_rows = pairwise(codes, metric=metric, std=STD.to(dtype))
    torch.testing.assert_close(by_rows, matrix)
    assert torch.equal(by_rows, by_rows.T)
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 250)
    torch.testing.assert_close(pairwise(codes, codes[:3], metric, STD.to(dtype)), matrix[:, :3])


def test_the_gram_shortcut_would_lose_what_the_matrix_keeps() -> None:
    """Codes 1e-3 apart, 300 from the origin, in float32: the shortcut is off by its own size."""
    base = 10 * gaussian(1, 1024)
    codes = torch.cat([base, base])
    codes[1, 0] += 2**-10
    squares = codes.square().sum(1)
    gram = (squares[:, None] + squares - 2 * codes @ codes.T).clamp_min(0).sqrt()
    assert abs(float(gram[0, 1]) - 2**-10) > 0.5 * 2**-10
    exact = float(euclidean(codes[0].double(), codes[1].double()))
    assert exact == pytest.approx(2**-10, rel=1e-2)
    assert float(pairwise(codes)[0, 1]) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("small", [1e-3, 1e-6, 1e-12, 1e-30])
def test_tiny_differences_keep_their_digits_in_float32(small: float) -> None:
    a, b = torch.tensor([0.0, 1.0]), torch.tensor([small, 1.0])
    assert float(euclidean(a, b)) == pytest.approx(small, rel=1e-6)
    assert float(angle(a, b)) == pytest.approx(small, rel=1e-6)
    if small > 1e-15:
        assert float(cosine_distance(a, b)) == pytest.approx(small**2 / 2, rel=1e-5)
    assert float(pairwise(torch.stack([a, b]))[0, 1]) == pytest.approx(small, rel=1e-6)


def test_huge_codes_do_not_overflow() -> None:
    a = torch.full((16,), 1e30)
    assert float(euclidean(a, -a)) == pytest.approx(8e30, rel=1e-6)
    assert float(angle(a, -a)) == pytest.approx(math.pi)


def test_zero_codes_have_defined_angles() -> None:
    zero, code = torch.zeros(16), gaussian(16)
    assert float(angle(zero, zero)) == 0
    assert float(cosine_distance(zero, zero)) == 0
    for a, b in ((zero, code), (code, zero)):
        assert float(angle(a, b)) == pytest.approx(math.pi / 2)
        assert float(cosine_distance(a, b)) == 1


def test_nan_shows_in_its_row_and_column_only() -> None:
    codes = gaussian(4, 16)
    codes[2, 3] = math.nan
    for metric in METRICS:
        bad = torch.isnan(pairwise(codes, metric=metric, std=STD.float()))
        assert bool(bad[2].all())
        assert bool(bad[:, 2].all())
        assert int(bad.sum()) == 7


def test_whitening_by_the_spread_of_the_codes() -> None:
    """Whitened distances do not depend on the unit of each component."""
    units = torch.logspace(-2, 2, 16, dtype=torch.float64)
    a, b = gaussian(2, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(whitened(a * units, b * units, units), euclidean(a, b))


def test_whitened_refuses_a_spread_it_cannot_use() -> None:
    a, b = gaussian(2, 5, 16)
    with pytest.raises(ValueError, match="needs std"):
        distance(a, b, "whitened")
    for bad in (0.0, -1.0, math.nan, math.inf):
        std = torch.ones(16)
        std[3] = bad
        with pytest.raises(ValueError, match="1 of 16"):
            whitened(a, b, std)
    with pytest.raises(ValueError, match=r"\(15,\)"):
        whitened(a, b, torch.ones(15))
    with pytest.raises(ValueError, match="one code"):
        whitened(a, b, torch.ones(5, 16))


def test_unknown_metric_names_the_known() -> None:
    a, b = gaussian(2, 5, 16)
    with pytest.raises(ValueError, match="euclidean, rms, cosine, angle, whitened"):
        distance(a, b, "manhattan")
    with pytest.raises(ValueError, match="manhattan"):
        pairwise(a, metric="manhattan")


# Nearest and duplicates


@pytest.mark.parametrize("k", [1, 3, 20])
def test_nearest_against_scikit_learn(k: int) -> None:
    codes, candidates = gaussian(9, 16, seed=1).double(), gaussian(20, 16, seed=2).double()
    expected_distance, expected_index = (
        NearestNeighbors(n_neighbors=k, algorithm="brute").fit(candidates).kneighbors(codes)
    )
    index, found = nearest(codes, candidates, k=k)
    assert index.dtype == torch.int64
    np.testing.assert_array_equal(index.numpy(), expected_index)
    np.testing.assert_allclose(float64(found), expected_distance, rtol=1e-10)


@metrics
def test_each_code_is_its_own_nearest(metric: str) -> None:
    codes = gaussian(5, 16, dtype=torch.float64)
    index, found = nearest(codes, codes, metric, std=STD)
    assert index[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(found, torch.zeros_like(found))


def test_nearest_of_ties_is_the_first() -> None:
    candidates = torch.ones(6, 16)
    index, found = nearest(torch.zeros(2, 16), candidates, k=4)
    assert index.tolist() == [[0, 1, 2, 3]] * 2
    assert torch.equal(found, torch.full((2, 4), 4.0))


def test_nearest_of_one_code_and_of_a_grid() -> None:
    candidates = gaussian(6, 4, 8, 8)
    index, found = nearest(candidates[3], candidates, k=2)
    assert index.shape == found.shape == (2,)
    assert int(index[0]) == 3
    grid, _ = nearest(candidates.reshape(2, 3, 4, 8, 8), candidates)
    assert grid.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert grid.shape == (2, 3, 1)


def test_nearest_refuses_what_does_not_fit() -> None:
    candidates = gaussian(6, 16)
    for k in (0, -1, 1.0):
        with pytest.raises(ValueError, match="k must be"):
            nearest(candidates, candidates, k=k)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="only 6 candidates"):
        nearest(candidates, candidates, k=7)
    with pytest.raises(ValueError, match="one shape"):
        nearest(gaussian(2, 15), candidates)
    with pytest.raises(ValueError, match="latent_dims=3"):
        nearest(candidates, candidates, latent_dims=3)


def test_duplicates_are_pairs_in_order() -> None:
    codes = gaussian(6, 4, 8, 8)
    codes[4] = codes[1]
    codes[5] = codes[1] + 1e-3
    assert duplicates(codes).tolist() == [[1, 4]]
    assert duplicates(codes, 0.1).tolist() == [[1, 4], [1, 5], [4, 5]]
    assert duplicates(codes, 2e-3, "rms").tolist() == [[1, 4], [1, 5], [4, 5]]
    assert duplicates(codes[:4]).shape == (0, 2)
    assert duplicates(codes[:1], 1e9).shape == (0, 2)
    assert duplicates(codes, 1e9).tolist() == torch.combinations(torch.arange(6)).tolist()


def test_duplicates_count_the_tolerance_itself() -> None:
    codes = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert len(duplicates(codes, 5.0)) == 1
    assert len(duplicates(codes, 4.999)) == 0
    for tolerance in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="tolerance"):
            duplicates(codes, tolerance)


def test_empty_stacks_give_empty_matrices() -> None:
    codes = gaussian(3, 16)
    assert pairwise(codes[:0]).shape == (0, 0)
    assert pairwise(codes, codes[:0]).shape == (3, 0)
    assert pairwise(codes[:0], codes).shape == (0, 3)
    assert duplicates(codes[:0]).shape == (0, 2)

"""Latent spectra: decompose, reconstruct, truncate, denoise, and the readings of a label."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import (
    SPECTRUM_MODES,
    classify,
    complete_basis,
    decompose,
    label_rank,
    quasi_eigenvectors,
    reconstruct,
    spectral_denoise,
    strongest_vector,
    truncate_spectrum,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, SHAPES, TOLERANCE, float64, gaussian, same_bits
from torch import Tensor

SEEDS = st.integers(0, 2**31)
EACH_MODE = [
    ("top_k", {"k": 5}),
    ("labels", {"labels": 3}),
    ("one_label", {"k": 4, "labels": 3}),
    ("energy", {"energy": 0.7}),
]


def _basis(size: int, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    start = quasi_eigenvectors(gaussian(1, *shape, seed=seed, dtype=dtype))
    return complete_basis(start, size, method="random", seed=seed)


# Decompose and reconstruct


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
@pytest.mark.parametrize("centred", [False, True])
def test_all_coefficients_give_the_code_back(
    dtype: torch.dtype, shape: tuple[int, ...], dims: int, centred: bool
) -> None:
    codes = gaussian(5, *shape, seed=1, dtype=dtype)
    basis = _basis(math.prod(shape), *shape)
    mean = gaussian(*shape, seed=2) if centred else None
    coefficients = decompose(codes, basis, mean)
    assert coefficients.shape == (5, math.prod(shape))
    assert coefficients.dtype == torch.promote_types(dtype, torch.float32)
    back = reconstruct(coefficients, basis, mean, dtype)
    assert back.dtype == dtype
    error = (back.double() - codes.double()).norm() / codes.double().norm()
    assert float(error) < max(1e-6, 2 * torch.finfo(dtype).eps)


def test_the_round_trip_of_512_components_is_within_1e5() -> None:
    codes, basis = 30 * gaussian(100, 512, seed=1), _basis(512, 512)
    back = reconstruct(decompose(codes, basis), basis)
    relative = (back - codes).norm(dim=1) / codes.norm(dim=1)
    assert float(relative.max()) < 1e-5


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 12))
def test_coefficients_are_inner_products_and_hold_the_length(seed: int, size: int) -> None:
    codes, mean = gaussian(4, 12, seed=seed, dtype=torch.float64), torch.ones(12).double()
    basis = _basis(size, 12, seed=seed, dtype=torch.float64)
    coefficients = decompose(codes, basis, mean)
    expected = (float64(codes) - 1) @ float64(basis).T
    np.testing.assert_allclose(float64(coefficients), expected, atol=1e-12)
    inside = reconstruct(coefficients, basis, mean) - mean
    torch.testing.assert_close(coefficients.norm(dim=1), inside.norm(dim=1))
    assert bool((coefficients.norm(dim=1) <= (codes - mean).norm(dim=1) + 1e-12).all())
    if size == 12:  # Parseval
        torch.testing.assert_close(coefficients.norm(dim=1), (codes - mean).norm(dim=1))


@settings(deadline=None, max_examples=50)
@given(SEEDS)
def test_an_incomplete_basis_gives_the_nearest_code_of_its_span(seed: int) -> None:
    code, basis = gaussian(9, seed=seed, dtype=torch.float64), _basis(4, 9, dtype=torch.float64)
    expected, *_ = np.linalg.lstsq(float64(basis).T, float64(code), rcond=None)
    np.testing.assert_allclose(float64(decompose(code, basis)), expected, atol=1e-12)


def test_a_mean_far_away_costs_no_accuracy() -> None:
    offset = (64 * gaussian(6, 64)).round() / 64  # so that adding the mean is exact
    mean, basis = torch.full((64,), 4096.0), _basis(9, 64)
    assert same_bits(decompose(offset + mean, basis, mean), decompose(offset, basis))


def test_batches_of_any_shape_and_batches_of_means() -> None:
    codes, basis = gaussian(2, 3, 4, 8, 8), _basis(6, 4, 8, 8)
    coefficients = decompose(codes, basis)
    assert coefficients.shape == (2, 3, 6)
    torch.testing.assert_close(decompose(codes[1, 2], basis), coefficients[1, 2])
    assert reconstruct(coefficients, basis).shape == codes.shape
    means = gaussian(3, 4, 8, 8, seed=5)
    per_code = decompose(codes, basis, means)
    torch.testing.assert_close(per_code[0, 1], decompose(codes[0, 1], basis, means[1]))
    denoised = spectral_denoise(codes, basis, k=2, mean=means)
    torch.testing.assert_close(
        denoised[1, 2], spectral_denoise(codes[1, 2], basis, k=2, mean=means[2])
    )


def test_a_damaged_code_stays_damaged_and_harms_no_other() -> None:
    codes, basis = gaussian(3, 16), _basis(16, 16)
    codes[1, 4] = math.nan
    clean = [0, 2]
    assert decompose(codes, basis)[1].isnan().all()
    for mode, options in EACH_MODE:
        result = spectral_denoise(codes, basis, mode, **options)
        assert result[1].isnan().all()
        torch.testing.assert_close(
            result[clean], spectral_denoise(codes[clean], basis, mode, **options)
        )


def test_what_is_no_basis_of_the_codes_is_refused() -> None:
    codes, basis = gaussian(3, 16), _basis(5, 16)
    for function in (decompose, lambda c, b: spectral_denoise(c, b, k=1)):
        with pytest.raises(ValueError, match=r"\(16,\).*\(15,\)"):
            function(codes, _basis(5, 15))
        with pytest.raises(ValueError, match=r"\(3, 16\).*\(4, 16\)"):
            function(codes, _basis(5, 4, 16))
        with pytest.raises(ValueError, match="length 1, but vector 0 has length 4"):
            function(codes, basis * 4)
        with pytest.raises(ValueError, match="vector 2 has length nan"):
            function(codes, torch.where(torch.arange(5)[:, None] == 2, math.nan, basis))
        with pytest.raises(ValueError, match="no vectors"):
            function(codes, basis[:0])
        with pytest.raises(ValueError, match="stack of codes"):
            function(codes, basis[0])
        with pytest.raises(TypeError, match="floating"):
            function(codes, torch.eye(16, dtype=torch.int64))


def test_coefficients_of_another_basis_are_refused() -> None:
    with pytest.raises(ValueError, match="6 coefficients per code, but the basis has 5 vectors"):
        reconstruct(gaussian(3, 6), _basis(5, 16))
    with pytest.raises(ValueError, match="one shape"):
        reconstruct(gaussian(3, 5), _basis(5, 16), gaussian(15))
    with pytest.raises(TypeError, match="floating"):
        reconstruct(torch.ones(3, 5, dtype=torch.int64), _basis(5, 16))


# Truncation


def _kept(before: Tensor, after: Tensor) -> Tensor:
    """Return which coefficients stay, having checked that they stay as they were."""
    assert after.shape == before.shape
    kept = after != 0
    assert torch.equal(after[kept], before[kept])
    return kept


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from([(1, 3), (7, 7), (12, 1), (100, 10), (512, 10), (511, 4)]))
def test_top_k_keeps_the_k_largest_with_their_signs(seed: int, size: tuple[int, int]) -> None:
    n, k = size[0], min(size)
    c = gaussian(6, n, seed=seed)
    kept = _kept(c, truncate_spectrum(c, k=k))
    assert (kept.sum(1) == k).all()
    expected = np.argsort(-np.abs(float64(c)), axis=1, kind="stable")[:, :k]
    assert [set(row.nonzero().flatten().tolist()) for row in kept] == [set(r) for r in expected]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-2, 2), min_size=9, max_size=80),
    st.integers(1, 9),
)
def test_of_equal_coefficients_the_first_are_kept_and_never_more(values: list[int], k: int) -> None:
    c = torch.tensor(values, dtype=torch.float32)
    after = truncate_spectrum(c, k=k)
    expected = np.zeros(len(values))
    best = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))[:k]
    expected[best] = np.array(values)[best]
    np.testing.assert_array_equal(float64(after), expected)
    together = truncate_spectrum(torch.stack([c, c.flip(0), 0 * c]), k=k)
    assert torch.equal(together[0], after)


def test_labels_keeps_the_label_subspace() -> None:
    c = gaussian(5, 12)
    kept = _kept(c, truncate_spectrum(c, "labels", labels=4))
    assert torch.equal(kept, (torch.arange(12) < 4).expand(5, 12))


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 9), st.integers(1, 10))
def test_one_label_keeps_the_chosen_label_and_the_strongest_others(
    seed: int, k: int, labels: int
) -> None:
    k = min(k, 12 - labels + 1)
    c = gaussian(5, 12, seed=seed)
    kept = _kept(c, truncate_spectrum(c, "one_label", k, labels))
    assert (kept.sum(1) == k).all()
    assert torch.equal(kept[:, :labels].float().argmax(1), classify(c, labels))
    assert (kept[:, :labels].sum(1) == 1).all()
    rest = float64(c)[:, labels:]
    expected = np.argsort(-np.abs(rest), axis=1)[:, : k - 1]
    for row, best in zip(kept[:, labels:], expected, strict=True):
        assert set(row.nonzero().flatten().tolist()) == set(best)


def test_one_label_is_chosen_by_signed_value() -> None:
    c = torch.tensor([[-9.0, 2.0, 1.0, -5.0, 4.0], [-9.0, -3.0, -4.0, 1.0, 0.5]])
    expected = torch.tensor([[0, 2.0, 0, -5.0, 0], [0, -3.0, 0, 1.0, 0]])
    assert torch.equal(truncate_spectrum(c, "one_label", 2, 3), expected)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.floats(1e-6, 1 - 1e-6), st.sampled_from([1e-25, 1.0, 1e25]))
def test_energy_keeps_the_fewest_that_hold_the_share(
    seed: int, energy: float, scale: float
) -> None:
    c = gaussian(4, 20, seed=seed) * scale
    kept = _kept(c, truncate_spectrum(c, "energy", energy=energy))
    squares = np.sort(float64(c) ** 2, axis=1)[:, ::-1]
    shares = squares.cumsum(1) / squares.sum(1, keepdims=True)
    for row, share, magnitudes in zip(kept, shares, float64(c.abs()), strict=True):
        count = int(row.sum())
        assert share[count - 1] >= energy - 1e-6
        assert count == 1 or share[count - 2] < energy + 1e-6
        smallest_kept = magnitudes[row.numpy()].min()
        assert count == 20 or smallest_kept >= magnitudes[~row.numpy()].max()


def test_all_of_the_energy_is_every_coefficient_that_is_not_zero() -> None:
    c = torch.tensor([[3.0, 0.0, -1e-8, 1e-3], [0.0, 0.0, 0.0, 0.0]])
    assert torch.equal(truncate_spectrum(c, "energy", energy=1.0), c)
    one = truncate_spectrum(torch.tensor([2.0, 2.0, -2.0]), "energy", energy=0.3)
    assert one.tolist() == [2.0, 0.0, 0.0]
    tiny = truncate_spectrum(torch.tensor([1.0, 2.0, -3.0]), "energy", energy=1e-12)
    assert tiny.tolist() == [0.0, 0.0, -3.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("mode", "options"), EACH_MODE)
def test_truncation_keeps_the_dtype(
    dtype: torch.dtype, mode: str, options: dict[str, float]
) -> None:
    c = gaussian(2, 3, 12, dtype=dtype)
    after = truncate_spectrum(c, mode, **options)
    assert after.dtype == dtype
    _kept(c, after)
    if mode in ("top_k", "labels"):
        assert same_bits(truncate_spectrum(after, mode, **options), after)


def test_a_nan_is_kept() -> None:
    c = torch.tensor([1.0, math.nan, 5.0, -3.0, 2.0])
    for after in (
        truncate_spectrum(c, k=1),
        truncate_spectrum(c, "one_label", 1, 3),
        truncate_spectrum(c, "labels", labels=2),
        truncate_spectrum(c, "energy", energy=0.1),
    ):
        assert bool(after[1].isnan())


@pytest.mark.parametrize(
    ("mode", "options", "message"),
    [
        ("top_k", {"k": 13}, "k is 13, but the basis allows at most 12"),
        ("top_k", {"k": 0}, "k must be a whole number of at least 1"),
        ("top_k", {"k": 2.0}, "k must be a whole number"),
        ("top_k", {"k": True}, "k must be a whole number"),
        ("top_k", {}, "needs k, a whole number from 1 to 12"),
        ("labels", {"labels": 13}, "labels is 13, but the basis allows at most 12"),
        ("labels", {"labels": 0}, "labels must be"),
        ("labels", {"k": 3}, "needs labels"),
        ("one_label", {"k": 1}, "needs labels"),
        ("one_label", {"labels": 4}, "needs k, a whole number from 1 to 9"),
        ("one_label", {"labels": 4, "k": 10}, r"at most 9 \(one label and 8 others\)"),
        ("energy", {}, r"energy must be a share above 0 and at most 1, got None"),
        ("energy", {"energy": 0.0}, "energy must be"),
        ("energy", {"energy": 1.01}, "energy must be"),
        ("energy", {"energy": math.nan}, "energy must be"),
        ("energy", {"energy": True}, "energy must be"),
        ("largest", {"k": 3}, "mode must be one of top_k, labels, one_label, energy"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    mode: str, options: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        truncate_spectrum(gaussian(3, 12), mode, **options)
    with pytest.raises(ValueError, match=message):
        spectral_denoise(gaussian(3, 16), _basis(12, 16), mode, **options)


# Denoising


@pytest.mark.parametrize(("mode", "options"), EACH_MODE)
@pytest.mark.parametrize("size", [24, 64, 10])
@pytest.mark.parametrize("centred", [False, True])
def test_denoising_is_the_three_steps_in_one(
    mode: str, options: dict[str, float], size: int, centred: bool
) -> None:
    codes, basis = gaussian(7, 8, 8, seed=1), _basis(size, 8, 8)
    mean = gaussian(8, 8, seed=2) if centred else None
    kept = truncate_spectrum(decompose(codes, basis, mean), mode, **options)
    expected = reconstruct(kept, basis, mean)
    result = spectral_denoise(codes, basis, mode, restore_norm=False, mean=mean, **options)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize(("mode", "options"), EACH_MODE)
def test_the_length_about_the_mean_is_restored_and_the_direction_kept(
    mode: str, options: dict[str, float], dtype: torch.dtype
) -> None:
    codes, basis = gaussian(7, 4, 16, seed=1, dtype=dtype), _basis(40, 4, 16)
    mean = gaussian(4, 16, seed=2)
    bare = spectral_denoise(codes, basis, mode, restore_norm=False, mean=mean, **options)
    full = spectral_denoise(codes, basis, mode, mean=mean, **options)
    assert full.dtype == dtype
    before, after, short = (float64(x) - float64(mean) for x in (codes, full, bare))
    lengths = [np.linalg.norm(x.reshape(7, -1), axis=1) for x in (before, after, short)]
    tolerance = 4 * TOLERANCE[dtype]
    np.testing.assert_allclose(lengths[1], lengths[0], rtol=tolerance)
    assert (lengths[2] < lengths[0]).all()
    if mode == "one_label":
        return  # only the label is stretched: see the next test
    cosine = (after * short).sum((1, 2)) / lengths[1] / lengths[2]
    np.testing.assert_allclose(cosine, 1, atol=tolerance)


@pytest.mark.parametrize("k", [1, 2, 9, 26])
@pytest.mark.parametrize("centred", [False, True])
def test_the_one_label_takes_the_length_of_what_was_dropped(k: int, centred: bool) -> None:
    labels = 5
    codes, basis = gaussian(7, 30, seed=1), _basis(30, 30)
    mean = gaussian(30, seed=2) if centred else None
    before = decompose(codes, basis, mean)
    options = {"k": k, "labels": labels, "mean": mean}
    bare = decompose(spectral_denoise(codes, basis, "one_label", restore_norm=False, **options),
                     basis, mean)  # fmt: skip
    full = decompose(spectral_denoise(codes, basis, "one_label", **options), basis, mean)
    torch.testing.assert_close(full[:, labels:], bare[:, labels:], rtol=1e-5, atol=1e-5)
    chosen = before[:, :labels].argmax(-1, keepdim=True)
    dropped = before.square().sum(-1) - bare.square().sum(-1)
    label = bare.gather(-1, chosen).squeeze(-1)
    expected = label.sign() * (label.square() + dropped).sqrt()
    torch.testing.assert_close(full.gather(-1, chosen).squeeze(-1), expected)
    others = full[:, :labels].scatter(-1, chosen, 0.0)
    torch.testing.assert_close(others, torch.zeros_like(others), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("mode", "options"), [("top_k", {"k": 4}), EACH_MODE[2]])
@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_lengths_are_restored_at_both_ends_of_the_range(
    scale: float, mode: str, options: dict[str, float]
) -> None:
    codes, basis = gaussian(3, 16), _basis(16, 16)
    expected = spectral_denoise(codes, basis, mode, **options)
    result = spectral_denoise(codes * scale, basis, mode, **options) / scale
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)


def test_a_code_of_which_nothing_is_kept_becomes_the_mean() -> None:
    basis, mean = torch.eye(6)[:4], torch.full((6,), 2.0)
    outside = torch.eye(6)[5] + mean
    for mode, options in EACH_MODE[:3]:
        limited = {name: min(int(value), 2) for name, value in options.items()}
        for code in (mean, outside):
            result = spectral_denoise(code, basis, mode, mean=mean, **limited)
            assert torch.equal(result, mean)


def test_gradients_flow_through_the_kept_coefficients() -> None:
    basis = _basis(32, 40, dtype=torch.float64)
    codes = gaussian(3, 40, dtype=torch.float64).requires_grad_()
    mean = gaussian(40, seed=1, dtype=torch.float64).requires_grad_()
    for mode, options in [("top_k", {"k": 2}), *EACH_MODE]:
        assert torch.autograd.gradcheck(
            lambda z, m, mode=mode, options=options: spectral_denoise(
                z, basis, mode, mean=m, **options
            ),
            (codes, mean),
        )


# Readings


def test_classify_looks_at_the_labels_only() -> None:
    c = torch.tensor([[1.0, -3.0, 2.0, 9.0], [-1.0, -3.0, -2.0, 0.0]])
    assert classify(c, 3).tolist() == [2, 0]
    assert classify(c, 3, "magnitude").tolist() == [1, 1]
    assert classify(c, 4).tolist() == [3, 3]
    assert classify(c[0], 1).item() == 0
    assert classify(c.reshape(2, 1, 4), 3).shape == (2, 1)


def test_the_strongest_vector_may_be_no_label() -> None:
    c = torch.tensor([[1.0, -3.0, 2.0, -9.0], [-1.0, 3.0, 3.0, 0.0]])
    assert strongest_vector(c).tolist() == [3, 1]
    assert strongest_vector(c, "signed").tolist() == [2, 1]


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.sampled_from(["signed", "magnitude"]), st.booleans())
def test_the_rank_is_the_place_in_the_sorted_spectrum(seed: int, by: str, ties: bool) -> None:
    c = gaussian(8, 6, seed=seed)
    c = c.round() if ties else c
    label = torch.arange(8) % 6
    ranks = label_rank(c, label, by)
    values = float64(c if by == "signed" else c.abs())
    order = np.argsort(-values, axis=1, kind="stable")
    expected = [list(row).index(k) + 1 for row, k in zip(order, label.tolist(), strict=True)]
    assert ranks.tolist() == expected
    assert torch.equal(ranks == 1, strongest_vector(c, by) == label)


def test_ranks_broadcast() -> None:
    c = gaussian(4, 5)
    every = label_rank(c[:, None], torch.arange(5))
    assert every.shape == (4, 5)
    assert torch.equal(every.sort(1).values, torch.arange(1, 6).expand(4, 5))
    assert torch.equal(label_rank(c, torch.tensor(2)), every[:, 2])
    assert torch.equal(label_rank(c, torch.tensor(2, dtype=torch.uint8)), every[:, 2])


def test_readings_of_what_has_no_label_are_refused() -> None:
    c, label = gaussian(4, 5), torch.arange(4)
    damaged = c.clone()
    damaged[1, 2] = math.nan
    for reading in (
        lambda x: classify(x, 3),
        strongest_vector,
        lambda x: label_rank(x, label),
    ):
        with pytest.raises(ValueError, match="NaN"):
            reading(damaged)
    with pytest.raises(ValueError, match="signed, magnitude"):
        classify(c, 3, "absolute")
    with pytest.raises(ValueError, match="labels is 6, but there are only 5"):
        classify(c, 6)
    with pytest.raises(ValueError, match="labels must be"):
        classify(c, 0)
    with pytest.raises(ValueError, match=r"from 0 to 4, got \[5\]"):
        label_rank(c, torch.full((4,), 5))
    with pytest.raises(ValueError, match=r"from 0 to 4, got \[-1\]"):
        label_rank(c, torch.full((4,), -1))
    with pytest.raises(ValueError, match=r"\(4,\).*\(3,\)"):
        label_rank(c, torch.zeros(3, dtype=torch.int64))
    for wrong in (torch.zeros(4), [0, 1, 2, 3], torch.zeros(4, dtype=torch.bool)):
        with pytest.raises(TypeError, match="whole numbers"):
            label_rank(c, wrong)  # type: ignore[arg-type]


def test_every_mode_is_tested_here() -> None:
    assert tuple(mode for mode, _ in EACH_MODE) == SPECTRUM_MODES

"""Quasi-eigen bases: class means, orthogonalisation, completion and conditioning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from face_latents.latent_ops import (
    BASIS_METHODS,
    COMPLETIONS,
    class_means,
    complete_basis,
    conditioning,
    decompose,
    quasi_eigenvectors,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import DTYPES, float64, gaussian, same_bits
from sklearn.decomposition import PCA
from torch import Tensor

SEEDS = st.integers(0, 2**31)


def _gram(vectors: Tensor) -> np.ndarray:
    rows = float64(vectors).reshape(len(vectors), -1)
    return rows @ rows.T


def _means(count: int, size: int, seed: int, spread: float = 1.0) -> Tensor:
    """Return class means with a common part, as real ones have."""
    common = 2 * gaussian(size, seed=seed + 1, dtype=torch.float64)
    return common + spread * gaussian(count, size, seed=seed, dtype=torch.float64)


# Class means


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 5), st.integers(0, 20))
def test_class_means_are_those_of_numpy(seed: int, count: int, extra: int) -> None:
    codes = gaussian(count + extra, 3, 4, seed=seed)
    labels = torch.cat([torch.arange(count), torch.arange(extra) % count])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    expected = [float64(codes)[labels.numpy() == k].mean(0) for k in range(count)]
    for kind in (torch.int64, torch.int32, torch.uint8):
        result = class_means(codes, labels.to(kind), count)
        np.testing.assert_allclose(float64(result), expected, atol=1e-6)


def test_class_means_of_many_large_codes_are_not_rounded_on_the_way() -> None:
    codes = 1000 + gaussian(200_000, 1)
    expected = float64(codes).mean()
    assert float(class_means(codes, torch.zeros(200_000, dtype=torch.int64))) == pytest.approx(
        expected, rel=1e-7
    )


@pytest.mark.parametrize(
    ("labels", "count", "message"),
    [
        ([0, 1, 1, 3], None, r"No code has label 2\."),
        ([0, 0, 0, 0], 6, r"label 1, 2, 3, 4, 5\. Each of the 6 labels .* 4 codes"),
        ([0, 1, 2, 3], 3, "from 0 to 2; got some from 0 to 3"),
        ([0, -1, 2, 3], None, "got some from -1 to 3"),
        ([0, 1, 1], None, r"\(4,\), one per code; got \(3,\)"),
        ([0, 1, 1, 0], 0, "count"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    labels: list[int], count: int | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        class_means(gaussian(4, 5), torch.tensor(labels), count)


@pytest.mark.parametrize("labels", [torch.zeros(4), torch.zeros(4, dtype=torch.bool), [0, 0, 0, 0]])
def test_labels_that_are_not_whole_numbers_are_refused(labels: Tensor) -> None:
    with pytest.raises(TypeError, match="labels must"):
        class_means(gaussian(4, 5), labels)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_damaged_codes_are_refused_by_number(bad: float) -> None:
    codes = gaussian(4, 5)
    codes[2, 1] = bad
    with pytest.raises(ValueError, match="Code 2 holds NaN"):
        class_means(codes, torch.tensor([0, 1, 1, 0]))
    with pytest.raises(ValueError, match="NaN or infinity"):
        quasi_eigenvectors(codes)
    with pytest.raises(ValueError, match="NaN or infinity"):
        quasi_eigenvectors(gaussian(2, 5), mean=codes[2])
    with pytest.raises(ValueError, match="Item 2 of vectors holds NaN"):
        conditioning(codes)
    unit = torch.eye(5)[:2]
    with pytest.raises(ValueError, match="Item 2 of codes holds NaN"):
        complete_basis(unit, codes=codes)
    with pytest.raises(ValueError, match="finite code"):
        complete_basis(unit, codes=gaussian(4, 5), mean=codes[2])


def test_no_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="no codes"):
        class_means(gaussian(0, 5), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="no class means"):
        quasi_eigenvectors(gaussian(0, 5))
    with pytest.raises(ValueError, match="at least one"):
        conditioning(gaussian(0, 5))


# Orthogonalisation


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 6), st.sampled_from(BASIS_METHODS), st.booleans())
def test_vectors_are_orthonormal(seed: int, count: int, method: str, centred: bool) -> None:
    means = _means(count, 12, seed)
    mean = gaussian(12, seed=seed + 2, dtype=torch.float64) if centred else None
    np.testing.assert_allclose(
        _gram(quasi_eigenvectors(means, method, mean)), np.eye(count), atol=1e-13
    )


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 6))
def test_symmetric_is_the_polar_factor(seed: int, count: int) -> None:
    means, mean = _means(count, 9, seed), gaussian(9, seed=seed + 2, dtype=torch.float64)
    expected, _ = scipy.linalg.polar(float64(means - mean).T)
    np.testing.assert_allclose(float64(quasi_eigenvectors(means, mean=mean)), expected.T, atol=1e-9)


def test_symmetric_is_the_inverse_root_of_the_overlaps() -> None:
    means = _means(4, 9, 0)
    v = float64(means).T
    expected = v @ scipy.linalg.inv(scipy.linalg.sqrtm(v.T @ v))
    np.testing.assert_allclose(float64(quasi_eigenvectors(means)), expected.real.T, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(SEEDS, SEEDS)
def test_no_orthonormal_set_is_nearer_than_the_symmetric_one(seed: int, other: int) -> None:
    means = _means(4, 7, seed)
    ours = float((quasi_eigenvectors(means) - means).norm())
    rivals = [
        torch.linalg.qr(gaussian(7, 4, seed=other, dtype=torch.float64)).Q.T,
        quasi_eigenvectors(means, "gram_schmidt"),
        quasi_eigenvectors(means + 0.1 * gaussian(4, 7, seed=other, dtype=torch.float64)),
    ]
    assert all(ours <= float((rival - means).norm()) + 1e-9 for rival in rivals)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.permutations(range(5)), st.sampled_from(["none", "any", "means", "codes"]))
def test_symmetric_does_not_depend_on_the_order_of_labels(
    seed: int, order: list[int], centre: str
) -> None:
    means = _means(5, 8, seed)
    weights = torch.arange(1, 6, dtype=torch.float64) / 15
    mean = {
        "none": None,
        "any": gaussian(8, seed=seed + 2, dtype=torch.float64),
        "means": means.mean(0),
        "codes": weights @ means,
    }[centre]
    straight = quasi_eigenvectors(means, mean=mean)
    shuffled = quasi_eigenvectors(means[order], mean=mean)
    torch.testing.assert_close(shuffled, straight[order], rtol=0, atol=1e-8)


def test_gram_schmidt_depends_on_the_order_of_labels() -> None:
    means = _means(3, 8, 0)
    straight = quasi_eigenvectors(means, "gram_schmidt")
    reverse = quasi_eigenvectors(means.flip(0), "gram_schmidt").flip(0)
    assert float((straight - reverse).norm(dim=1).min()) > 0.1
    # Label 0 keeps the common mean, all others lose it.
    common = torch.nn.functional.normalize(means.mean(0), dim=0)
    shares = (straight @ common).abs()
    assert float(shares[0]) > 0.8 > float(shares[1:].max())


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 6))
def test_gram_schmidt_is_the_textbook_recursion_and_qr(seed: int, count: int) -> None:
    means = _means(count, 9, seed, spread=0.5)
    result = float64(quasi_eigenvectors(means, "gram_schmidt"))
    expected: list[np.ndarray] = []
    for row in float64(means):
        for _ in range(3):
            for before in expected:
                row = row - (row @ before) * before
        expected.append(row / np.linalg.norm(row))
    np.testing.assert_allclose(result, expected, atol=1e-11)
    q = np.linalg.qr(float64(means).T)[0].T
    np.testing.assert_allclose(np.abs((q * result).sum(1)), 1, atol=1e-11)


@pytest.mark.parametrize("method", BASIS_METHODS)
@pytest.mark.parametrize("spread", [1e-1, 1e-2, 1e-3])
def test_nearly_equal_means_still_give_an_orthonormal_set(method: str, spread: float) -> None:
    means = _means(10, 100, 0, spread).float()
    vectors = quasi_eigenvectors(means, method)
    np.testing.assert_allclose(_gram(vectors), np.eye(10), atol=1e-6)
    assert vectors.dtype == torch.float32


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_precision_vectors_are_orthonormal_within_their_rounding(dtype: torch.dtype) -> None:
    vectors = quasi_eigenvectors(_means(4, 64, 0).to(dtype))
    assert vectors.dtype == dtype
    np.testing.assert_allclose(_gram(vectors), np.eye(4), atol=4 * float(torch.finfo(dtype).eps))


# Centring about a weighted mean of the class means


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_limit_definition_about_the_mean_of_the_means(count: int, dtype: torch.dtype) -> None:
    means = _means(count, 24, 3)
    centre = means.mean(0)
    centred = float64(means - centre).T
    # u: what the centre has outside the span of the centred means.
    span = scipy.linalg.orth(centred, rcond=1e-9)
    outside = float64(centre) - span @ (span.T @ float64(centre))
    u = outside / np.linalg.norm(outside)
    nudged = centred + 1e-6 * np.outer(u, np.full(count, 1 / math.sqrt(count)))
    expected, _ = scipy.linalg.polar(nudged)
    result = quasi_eigenvectors(means.to(dtype), mean=means.to(dtype).mean(0))
    np.testing.assert_allclose(float64(result), expected.T, atol=1e-4)
    np.testing.assert_allclose(_gram(result), np.eye(count), atol=1e-6)
    # The differences between labels, which centring is about, stay in the span of the means.
    differences = float64(result - result.mean(0))
    np.testing.assert_allclose(differences - differences @ span @ span.T, 0, atol=1e-5)


def test_the_centre_of_unequal_groups_of_codes() -> None:
    labels = torch.tensor([0] * 7 + [1] * 2 + [2] * 11)
    codes = gaussian(20, 16) + _means(3, 16, 1).float()[labels]
    means = class_means(codes, labels)
    vectors = quasi_eigenvectors(means, mean=codes.mean(0))
    np.testing.assert_allclose(_gram(vectors), np.eye(3), atol=1e-6)
    own = decompose(means, vectors, codes.mean(0))
    assert own.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("scale", [0.0, 1e-12])
def test_a_centre_without_a_part_outside_gets_a_fixed_direction(scale: float) -> None:
    means = gaussian(4, 10, dtype=torch.float64)
    means = means - means.mean(0) + scale
    first = quasi_eigenvectors(means, mean=means.mean(0))
    np.testing.assert_allclose(_gram(first), np.eye(4), atol=1e-12)
    assert same_bits(first, quasi_eigenvectors(means, mean=means.mean(0)))


def test_two_labels_about_their_middle_are_told_apart_by_their_difference() -> None:
    means = _means(2, 16, 0)
    vectors = quasi_eigenvectors(means, mean=means.mean(0))
    difference = vectors[0] - vectors[1]
    cosine = torch.nn.functional.cosine_similarity(difference, means[0] - means[1], dim=0)
    assert float(cosine) == pytest.approx(1)


# Dependent means


def test_equal_means_are_refused_and_named() -> None:
    means = _means(5, 16, 0).float()
    means[4] = means[1]
    with pytest.raises(ValueError, match=r"labels 1, 4 are linearly dependent.*merge"):
        quasi_eigenvectors(means)
    with pytest.raises(ValueError, match="mean of label 4 is a mix of those before"):
        quasi_eigenvectors(means, "gram_schmidt")
    with pytest.raises(ValueError, match="labels 0, 1, 2, 3, 4 are"):
        quasi_eigenvectors(means, mean=means.mean(0))


def test_a_mix_of_two_means_is_refused_and_named() -> None:
    means = _means(5, 16, 0).float()
    means[2] = 0.25 * means[0] + 0.75 * means[3]
    with pytest.raises(ValueError, match=r"labels 0, 2, 3 are linearly dependent"):
        quasi_eigenvectors(means)
    with pytest.raises(ValueError, match="mean of label 3 is a mix"):
        quasi_eigenvectors(means, "gram_schmidt")


def test_a_mean_at_the_centre_is_refused_and_named() -> None:
    means = _means(3, 16, 0).float()
    with pytest.raises(ValueError, match="mean of label 1 is a mix"):
        quasi_eigenvectors(means, "gram_schmidt", means[1])
    with pytest.raises(ValueError, match="labels 1 are"):
        quasi_eigenvectors(means, mean=means[1])
    with pytest.raises(ValueError, match="labels 0 are"):
        quasi_eigenvectors(means[:1], mean=means[0])


def test_gram_schmidt_about_the_mean_of_the_means_names_the_last_label() -> None:
    means = _means(4, 16, 0).float()
    with pytest.raises(ValueError, match=r'label 3 is a mix.*"symmetric"'):
        quasi_eigenvectors(means, "gram_schmidt", means.mean(0))


def test_more_labels_than_components_are_refused() -> None:
    with pytest.raises(ValueError, match="5 labels, but a code has only 4 components"):
        quasi_eigenvectors(gaussian(5, 4))


def test_options_and_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="method must be one of symmetric, gram_schmidt"):
        quasi_eigenvectors(gaussian(2, 4), "qr")
    with pytest.raises(ValueError, match="one shape"):
        quasi_eigenvectors(gaussian(2, 4), mean=gaussian(5))
    with pytest.raises(ValueError, match="must be one code"):
        quasi_eigenvectors(gaussian(2, 4), mean=gaussian(1, 4))
    with pytest.raises(ValueError, match="stack of codes"):
        quasi_eigenvectors(gaussian(4))


# Completion


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(1, 4), st.sampled_from(COMPLETIONS), st.sampled_from([None, 4, 9, 24]))
def test_a_completed_basis_is_orthonormal_and_starts_with_the_vectors(
    seed: int, count: int, method: str, size: int | None
) -> None:
    vectors = quasi_eigenvectors(gaussian(count, 2, 12, seed=seed))
    codes = gaussian(50, 2, 12, seed=seed + 1)
    basis = complete_basis(vectors, size, codes, method=method, seed=seed)
    assert basis.shape == (size or 24, 2, 12)
    assert basis.dtype == torch.float32
    assert same_bits(basis[:count], vectors)
    facts = conditioning(basis)
    assert facts.rank == (size or 24)
    assert facts.condition <= 1 + 1e-6
    assert facts.orthogonality_error <= 5e-7


@pytest.mark.parametrize("method", COMPLETIONS)
def test_a_complete_basis_of_512_is_well_conditioned(method: str) -> None:
    vectors = quasi_eigenvectors(gaussian(10, 512))
    basis = complete_basis(vectors, None, gaussian(600, 512, seed=1), method=method)
    facts = conditioning(basis)
    assert facts.rank == 512
    assert facts.condition <= 1 + 1e-6


@pytest.mark.parametrize("method", COMPLETIONS)
def test_a_few_vectors_of_a_large_code_need_no_square_matrix(method: str) -> None:
    vectors = quasi_eigenvectors(gaussian(3, 4, 64, 64))
    codes = gaussian(20, 4, 64, 64, seed=1)
    basis = complete_basis(vectors, 64, codes, method=method)
    assert basis.shape == (64, 4, 64, 64)
    assert conditioning(basis).condition <= 1 + 1e-6


def test_principal_axes_are_those_of_scikit_learn_outside_the_labels() -> None:
    vectors = quasi_eigenvectors(gaussian(3, 10, dtype=torch.float64))
    spread = torch.linspace(3, 0.5, 10, dtype=torch.float64)
    codes = gaussian(500, 10, seed=1, dtype=torch.float64) * spread + 1
    mean = codes.mean(0)
    basis = complete_basis(vectors, 8, codes, mean=mean)
    v = float64(vectors)
    rest = float64(codes - mean)
    rest = rest - rest @ v.T @ v
    axes = PCA(5).fit(rest).components_
    np.testing.assert_allclose(np.abs((float64(basis)[3:] * axes).sum(1)), 1, atol=1e-9)
    variances = float64(decompose(codes, basis, mean)).var(0)[3:]
    assert (np.diff(variances) < 0).all()


def test_codes_that_span_little_are_followed_by_seeded_random_vectors() -> None:
    vectors = quasi_eigenvectors(gaussian(2, 12, dtype=torch.float64))
    codes = gaussian(3, 12, seed=1, dtype=torch.float64)
    first, again, other = (complete_basis(vectors, 9, codes, seed=seed) for seed in (5, 5, 6))
    assert same_bits(first, again)
    torch.testing.assert_close(first[:5], other[:5])
    assert float((first[5:] - other[5:]).norm(dim=1).min()) > 0.1
    inside = decompose(codes, first[:5])
    torch.testing.assert_close(inside.norm(dim=1), codes.norm(dim=1))
    np.testing.assert_allclose(_gram(first), np.eye(9), atol=1e-13)


def test_no_codes_and_codes_within_the_labels_leave_only_random_vectors() -> None:
    vectors = quasi_eigenvectors(gaussian(2, 8))
    random = complete_basis(vectors, method="random", seed=3)
    for codes in (vectors, gaussian(0, 8), torch.zeros(4, 8)):
        torch.testing.assert_close(complete_basis(vectors, codes=codes, seed=3), random)


def test_the_seed_decides_and_the_global_generator_is_left_alone() -> None:
    vectors = quasi_eigenvectors(gaussian(2, 8))
    state = torch.get_rng_state()
    a, b, c = (complete_basis(vectors, method="random", seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("size", [1, 9, 0, -1, 2.0, True])
def test_sizes_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=r"size (is|must be)"):
        complete_basis(torch.eye(8)[:2], size, method="random")


def test_what_cannot_be_completed_is_refused() -> None:
    with pytest.raises(ValueError, match="needs codes"):
        complete_basis(torch.eye(8)[:2])
    with pytest.raises(ValueError, match="principal, random"):
        complete_basis(torch.eye(8)[:2], method="pca")
    with pytest.raises(ValueError, match=r"orthonormal.*quasi_eigenvectors"):
        complete_basis(2 * torch.eye(8)[:2], method="random")
    with pytest.raises(ValueError, match="orthonormal"):
        complete_basis(torch.eye(8)[[0, 0]], method="random")
    with pytest.raises(ValueError, match=r"\(7,\).*\(8,\)"):
        complete_basis(torch.eye(8)[:2], codes=gaussian(9, 7))
    with pytest.raises(ValueError, match=r"\(4, 8\)"):
        complete_basis(torch.eye(8)[:2], codes=gaussian(9, 4, 8))
    with pytest.raises(ValueError, match=r"\(8,\).*\(7,\)"):
        complete_basis(torch.eye(8)[:2], codes=gaussian(9, 8), mean=gaussian(7))
    with pytest.raises(ValueError, match="one finite code"):
        complete_basis(torch.eye(8)[:2], codes=gaussian(9, 8), mean=gaussian(2, 8))


# Conditioning


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 6))
def test_conditioning_is_that_of_numpy(seed: int, count: int) -> None:
    vectors = gaussian(count, 2, 4, seed=seed, dtype=torch.float64)
    rows = float64(vectors).reshape(count, -1)
    facts = conditioning(vectors)
    assert facts.rank == np.linalg.matrix_rank(rows)
    assert facts.condition == pytest.approx(np.linalg.cond(rows), rel=1e-9)
    error = np.abs(rows @ rows.T - np.eye(count)).max()
    assert facts.orthogonality_error == pytest.approx(error, abs=1e-12)


def test_conditioning_of_dependent_and_of_too_many_vectors() -> None:
    assert conditioning(torch.zeros(3, 5)).rank == 0
    assert conditioning(torch.zeros(3, 5)).condition == math.inf
    many = conditioning(gaussian(7, 5))
    assert (many.rank, many.condition) == (5, math.inf)
    noisy = gaussian(4, 50)
    noisy[3] = 0.3 * noisy[0] + 0.7 * noisy[1]
    facts = conditioning(noisy)
    assert facts.rank == 3
    assert facts.condition > 1e6


def test_means_of_prior_codes_are_sampling_noise_and_badly_conditioned() -> None:
    """Why the paper's completion is not ours: codes of the prior have no class means to repeat."""
    labels = torch.arange(5000) % 10
    groups = torch.cat([class_means(gaussian(5000, 100, seed=s), labels) for s in range(1, 11)])
    ours = complete_basis(quasi_eigenvectors(groups[:10]), codes=gaussian(500, 100))
    assert conditioning(groups).condition > 50
    assert conditioning(ours).condition <= 1 + 1e-6


def test_a_random_vector_that_is_exactly_one_of_the_others_is_made_another() -> None:
    start = quasi_eigenvectors(gaussian(1, 12, seed=1494, dtype=torch.float64))  # drawn again
    basis = complete_basis(start, 2, method="random", seed=1494)
    torch.testing.assert_close(basis @ basis.T, torch.eye(2, dtype=torch.float64))

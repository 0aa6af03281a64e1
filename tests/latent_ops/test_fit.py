"""Fitted directions against scikit-learn and NumPy; cross-validation that sees nothing held out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import (
    held_out_predictions,
    held_out_scores,
    lda_direction,
    learning_curve,
    ledoit_wolf,
    logistic_direction,
    mean_difference,
    principal_directions,
    ridge_direction,
    sefa_directions,
    stratified_folds,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from latent_ops_support import float64, gaussian
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from torch import Tensor

SIZES = pytest.mark.parametrize(("count", "size"), [(40, 300), (150, 40), (60, 12)])


def groups(count: int, size: int, seed: int = 0, gap: float = 1.5) -> tuple[Tensor, Tensor]:
    """Return two groups whose spread differs between components and which overlap."""
    spread = torch.linspace(0.5, 1.5, size, dtype=torch.float64)
    negative = gaussian(count, size, seed=seed, dtype=torch.float64) * spread
    positive = gaussian(count + 7, size, seed=seed + 1, dtype=torch.float64) * spread
    positive[:, : min(4, size)] += gap / 2
    return negative, positive


def cosine(a: Tensor, b: np.ndarray) -> float:
    first, second = float64(a).ravel(), np.ravel(b)
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def stacked(negative: Tensor, positive: Tensor) -> tuple[np.ndarray, np.ndarray]:
    codes = np.concatenate([float64(negative), float64(positive)])
    return codes, np.repeat([0, 1], [len(negative), len(positive)])


# Directions


def test_mean_difference_is_that_of_numpy() -> None:
    negative, positive = gaussian(5, 3, 8), gaussian(9, 3, 8, seed=1)
    expected = float64(positive).mean(0) - float64(negative).mean(0)
    np.testing.assert_allclose(float64(mean_difference(negative, positive)), expected, rtol=1e-5)


@SIZES
@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("solver", ["lsqr", "eigen"])
def test_lda_is_that_of_scikit_learn(count: int, size: int, shrinkage: float, solver: str) -> None:
    negative, positive = groups(count, size)
    codes, labels = stacked(negative, positive)
    reference = LinearDiscriminantAnalysis(solver=solver, shrinkage=shrinkage).fit(codes, labels)
    direction = lda_direction(negative, positive, shrinkage)
    assert cosine(direction, reference.coef_) > 1 - 1e-9
    assert float(direction.norm()) == pytest.approx(1)


@SIZES
def test_automatic_lda_takes_the_intensity_of_the_pooled_groups(count: int, size: int) -> None:
    negative, positive = groups(count, size)
    codes, labels = stacked(negative, positive)
    within = np.concatenate([group - group.mean(0) for group in (codes[:count], codes[count:])])
    intensity = ledoit_wolf_shrinkage(within, assume_centered=True)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=intensity).fit(codes, labels)
    assert cosine(lda_direction(negative, positive), reference.coef_) > 1 - 1e-9


def test_automatic_lda_is_near_that_of_scikit_learn() -> None:
    # which shrinks each group by itself, after bringing its components to unit variance
    negative, positive = groups(4000, 30)
    codes, labels = stacked(negative, positive)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(codes, labels)
    assert cosine(lda_direction(negative, positive), reference.coef_) >= 0.999


def test_lda_without_shrinkage_is_exact_where_the_covariance_is_invertible() -> None:
    negative, positive = groups(200, 10)
    codes, labels = stacked(negative, positive)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(codes, labels)
    assert cosine(lda_direction(negative, positive, 0.0), reference.coef_) > 1 - 1e-9
    with pytest.raises(ValueError, match="too few codes"):
        lda_direction(*groups(5, 300), 0.0)


def test_full_shrinkage_is_the_mean_difference() -> None:
    negative, positive = groups(20, 50)
    expected = float64(mean_difference(negative, positive))
    assert cosine(lda_direction(negative, positive, 1.0), expected) > 1 - 1e-12


@SIZES
def test_ledoit_wolf_is_that_of_scikit_learn(count: int, size: int) -> None:
    codes = torch.cat(groups(count, size))
    assert ledoit_wolf(codes) == pytest.approx(ledoit_wolf_shrinkage(float64(codes)), abs=1e-9)


def test_ledoit_wolf_at_its_ends() -> None:
    assert ledoit_wolf(torch.ones(5, 3)) == 1
    assert ledoit_wolf(gaussian(1, 3)) == 1
    stretched = gaussian(4000, 3) * torch.tensor([1.0, 5.0, 20.0])
    assert ledoit_wolf(stretched) < 0.01


@SIZES
@pytest.mark.parametrize("penalty", [0.01, 1.0, 30.0])
def test_logistic_is_that_of_scikit_learn(count: int, size: int, penalty: float) -> None:
    negative, positive = groups(count, size)
    codes, labels = stacked(negative, positive)
    reference = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000).fit(codes, labels)
    assert cosine(logistic_direction(negative, positive, penalty), reference.coef_) > 0.9999


def test_logistic_is_deterministic_and_survives_separable_and_lopsided_groups() -> None:
    negative, positive = groups(30, 100, gap=50)
    first = logistic_direction(negative, positive, 1e-6)
    assert torch.equal(first, logistic_direction(negative, positive, 1e-6))
    assert torch.isfinite(first).all()
    lopsided = logistic_direction(negative[:1], positive, 1.0)
    codes, labels = stacked(negative[:1], positive)
    reference = LogisticRegression(C=1, tol=1e-8, max_iter=5000).fit(codes, labels)
    assert cosine(lopsided, reference.coef_) > 0.999


@SIZES
@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_ridge_is_that_of_scikit_learn(count: int, size: int, penalty: float) -> None:
    codes = torch.cat(groups(count, size))
    scores = codes[:, 0] * 3 + gaussian(len(codes), seed=5, dtype=torch.float64)
    reference = Ridge(alpha=penalty).fit(float64(codes), float64(scores))
    assert cosine(ridge_direction(codes, scores, penalty), reference.coef_) > 1 - 1e-9


def test_automatic_ridge_finds_what_was_planted() -> None:
    codes = gaussian(400, 60, dtype=torch.float64)
    truth = torch.zeros(60, dtype=torch.float64)
    truth[:3] = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    direction = ridge_direction(codes, codes @ truth + 40)
    assert cosine(direction, float64(truth)) > 0.9
    # two groups as scores give what LDA gives, up to the penalty
    negative, positive = groups(80, 20)
    scores = torch.cat([torch.zeros(len(negative)), torch.ones(len(positive))])
    ridge = ridge_direction(torch.cat([negative, positive]), scores, 0.0)
    assert cosine(ridge, float64(lda_direction(negative, positive, 0.0))) > 1 - 1e-9


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.floats(0.05, 20), st.floats(-5, 5))
def test_directions_turn_and_shift_with_the_codes(seed: int, factor: float, shift: float) -> None:
    negative, positive = groups(12, 30, seed=seed)
    turn = torch.linalg.qr(gaussian(30, 30, seed=seed + 7, dtype=torch.float64)).Q
    for fit in (mean_difference, lda_direction):
        plain = fit(negative, positive)
        moved = fit(factor * negative @ turn + shift, factor * positive @ turn + shift)
        assert cosine(moved, float64(plain @ turn)) > 1 - 1e-6
        assert cosine(fit(positive, negative), float64(-plain)) > 1 - 1e-9


def test_many_components_cost_little_more_than_few() -> None:
    negative, positive = gaussian(20, 16, 1024), gaussian(20, 16, 1024, seed=1)
    for fit in (mean_difference, lda_direction, logistic_direction):
        assert fit(negative, positive).shape == (16, 1024)
    assert lda_direction(negative, positive).norm() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("fit", [mean_difference, lda_direction, logistic_direction])
def test_hostile_groups_are_refused(fit: object) -> None:
    assert callable(fit)
    codes = gaussian(4, 6)
    with pytest.raises(ValueError, match="no codes"):
        fit(codes[:0], codes)
    with pytest.raises(ValueError, match="same mean"):
        fit(codes, codes.clone())
    with pytest.raises(ValueError, match="one shape"):
        fit(codes, gaussian(4, 5))
    broken = codes.clone()
    broken[2, 1] = math.nan
    with pytest.raises(ValueError, match="Code 2 of positive"):
        fit(codes, broken)
    with pytest.raises(TypeError, match="floating"):
        fit(codes.long(), codes)


def test_hostile_settings_are_refused() -> None:
    negative, positive = groups(5, 8)
    for bad in (-0.1, 1.5, math.nan):
        with pytest.raises(ValueError, match="shrinkage"):
            lda_direction(negative, positive, bad)
    for bad in (0.0, -1.0, math.inf):
        with pytest.raises(ValueError, match="penalty"):
            logistic_direction(negative, positive, bad)
    with pytest.raises(ValueError, match="penalty"):
        ridge_direction(negative, torch.arange(5.0), -1.0)
    for scores in (torch.ones(5), torch.tensor([1.0, 2, 3, 4, math.nan]), torch.ones(4)):
        with pytest.raises(ValueError, match="scores"):
            ridge_direction(negative, scores)


# Cross-validation


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 10), st.integers(10, 40), st.integers(10, 40), st.integers(0, 99))
def test_folds_are_even_within_each_label(folds: int, first: int, second: int, seed: int) -> None:
    labels = torch.arange(first + second) < first
    fold_of = stratified_folds(labels, folds, seed)
    assert torch.equal(fold_of, stratified_folds(labels, folds, seed))
    for part in (fold_of, fold_of[labels], fold_of[~labels]):
        sizes = torch.bincount(part, minlength=folds)
        assert len(sizes) == folds
        assert int(sizes.max() - sizes.min()) <= 1


def test_folds_that_cannot_be_filled_are_refused() -> None:
    labels = torch.tensor([0, 0, 0, 1])
    with pytest.raises(ValueError, match="label 1 has 1"):
        stratified_folds(labels, 2)
    with pytest.raises(ValueError, match="folds"):
        stratified_folds(labels, 1)
    with pytest.raises(TypeError, match="whole numbers"):
        stratified_folds(labels.float(), 2)


def split(codes: Tensor, labels: Tensor) -> Tensor:
    return lda_direction(codes[~labels], codes[labels])


def test_nothing_held_out_is_seen_by_the_fit() -> None:
    codes, labels = gaussian(40, 5), torch.arange(40) % 2 == 0
    fold_of = stratified_folds(labels, 4)
    rows = {tuple(code.tolist()): int(fold) for code, fold in zip(codes, fold_of, strict=True)}
    seen: list[set[int]] = []

    def fit(part: Tensor, part_labels: Tensor) -> Tensor:
        seen.append({rows[tuple(code.tolist())] for code in part})
        return split(part, part_labels)

    held_out_scores(codes, labels, fit, fold_of)
    assert seen == [{0, 1, 2, 3} - {fold} for fold in range(4)]
    seen.clear()
    learning_curve(codes, labels, fit, fold_of, [3, 9])
    assert all(len(folds) <= 3 for folds in seen)
    assert len(seen) == 8


def test_scores_are_calibrated_on_the_fitted_codes() -> None:
    # the held-out fold is a copy of the other one, so the means of its groups are -1 and +1
    half, mask = gaussian(30, 6), torch.arange(30) % 3 == 0
    codes, labels = torch.cat([half, half]), torch.cat([mask, mask])
    scores = held_out_scores(codes, labels, split, torch.arange(60) // 30)
    assert float(scores[~labels].mean()) == pytest.approx(-1, abs=1e-5)
    assert float(scores[labels].mean()) == pytest.approx(1, abs=1e-5)


def test_held_out_scores_tell_groups_and_do_not_tell_noise() -> None:
    labels = torch.arange(200) % 2 == 0
    noise = gaussian(200, 80)
    fold_of = stratified_folds(labels, 10)
    by_chance = ((held_out_scores(noise, labels, split, fold_of) > 0) == labels).float().mean()
    assert 0.35 < by_chance < 0.65  # in the sample itself, LDA would tell nearly all
    apart = noise + 3 * labels[:, None] * torch.eye(80)[0]
    told = ((held_out_scores(apart, labels, split, fold_of) > 0) == labels).float().mean()
    assert told > 0.8


def test_a_fit_that_points_backwards_counts_for_nothing() -> None:
    codes, labels = gaussian(20, 4), torch.arange(20) % 2 == 0
    fold_of = stratified_folds(labels, 2)
    scores = held_out_scores(codes, labels, lambda x, y: -split(x, y), fold_of)
    assert not scores.any()


def test_predictions_are_in_the_unit_of_the_values() -> None:
    codes = gaussian(120, 6, dtype=torch.float64)
    values = 30 + 4 * codes[:, 2]
    folds = torch.arange(120) % 5
    predicted = held_out_predictions(codes, values, lambda x, y: ridge_direction(x, y, 0.0), folds)
    torch.testing.assert_close(predicted, values, rtol=1e-9, atol=1e-9)


def test_the_learning_curve_ends_at_the_full_fit_and_rises() -> None:
    labels = torch.arange(160) % 2 == 0
    codes = gaussian(160, 40) + 1.5 * labels[:, None] * torch.eye(40)[:3].sum(0)
    fold_of = stratified_folds(labels, 4)
    rows = learning_curve(codes, labels, split, fold_of, [4, 60, 1000])
    assert rows.shape == (3, 160)
    full = held_out_scores(codes, labels, split, fold_of)
    torch.testing.assert_close(rows[1], full)  # 60 are all that three folds hold
    torch.testing.assert_close(rows[2], full)
    right = ((rows > 0) == labels).float().mean(1)
    assert right[1] > right[0]
    assert learning_curve(codes, labels, split, fold_of, []).shape == (0, 160)


def test_counts_that_differ_are_refused() -> None:
    codes, labels = gaussian(6, 4), torch.arange(6) % 2 == 0
    for wrong_labels, folds in ((labels[:5], torch.arange(6) % 2), (labels, torch.arange(5) % 2)):
        with pytest.raises(ValueError, match=r"\(6,\)"):
            held_out_scores(codes, wrong_labels, split, folds)
    with pytest.raises(ValueError, match="2 folds"):
        held_out_scores(codes, labels, split, torch.zeros(6))
    with pytest.raises(ValueError, match="size"):
        learning_curve(codes, labels, split, torch.arange(6) % 2, [0])


# Without labels


@SIZES
def test_principal_directions_are_those_of_scikit_learn(count: int, size: int) -> None:
    codes = torch.cat(groups(count, size))
    found, shares = principal_directions(codes, 8)
    reference = PCA(8, svd_solver="full").fit(float64(codes))
    for direction, expected in zip(found, reference.components_, strict=True):
        assert abs(cosine(direction, expected)) > 1 - 1e-9
    np.testing.assert_allclose(float64(shares), reference.explained_variance_ratio_, rtol=1e-9)
    assert (found.gather(1, found.abs().argmax(1, keepdim=True)) > 0).all()


def test_all_principal_directions_hold_all_of_the_variance() -> None:
    found, shares = principal_directions(gaussian(6, 3, 8))
    assert found.shape == (5, 3, 8)
    assert float(shares.sum()) == pytest.approx(1, abs=1e-5)
    flat = found.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(50, 12), (5, 12), (9000, 3)])
def test_sefa_directions_are_eigenvectors_of_numpy(shape: tuple[int, int]) -> None:
    weight = gaussian(*shape, dtype=torch.float64)
    found, values = sefa_directions(weight)
    matrix = float64(weight).T @ float64(weight)
    reference = np.linalg.eigvalsh(matrix)[::-1]
    np.testing.assert_allclose(float64(values), reference, atol=1e-9 * reference[0])
    np.testing.assert_allclose(
        matrix @ float64(found).T, float64(found).T * float64(values), atol=1e-9 * reference[0]
    )
    few, few_values = sefa_directions(weight, 2)
    assert torch.equal(few, found[:2])
    assert torch.equal(few_values, values[:2])


def test_hostile_matrices_are_refused() -> None:
    codes = gaussian(4, 6)
    with pytest.raises(ValueError, match="at most 3"):
        principal_directions(codes, 4)
    with pytest.raises(ValueError, match="count"):
        principal_directions(codes[:1])
    with pytest.raises(ValueError, match="all equal"):
        principal_directions(torch.ones(4, 6))
    with pytest.raises(ValueError, match="at most 6"):
        sefa_directions(codes, 7)
    for bad in (gaussian(2, 3, 4), torch.full((2, 3), math.inf)):
        with pytest.raises(ValueError, match="finite matrix"):
            sefa_directions(bad)

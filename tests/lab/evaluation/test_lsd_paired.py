"""Paired tests: against scipy, and on cases whose answer is known."""

from __future__ import annotations

import pytest
import torch
from face_latents.lab.evaluation.lsd.denoise import against_lsd
from face_latents.lab.evaluation.lsd.paired import mcnemar, mean_interval, resamples
from face_latents.lab.evaluation.lsd.rotation import Outcome, differences
from lsd_support import normal
from scipy import stats


def test_mcnemar_is_the_binomial_test_of_the_cases_that_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    for count, share in ((40, 0.5), (400, 0.45), (3000, 0.4)):
        first = torch.rand(count, generator=generator) < 0.5
        second = torch.rand(count, generator=generator) < share
        found = mcnemar(first, second)
        mine, theirs = found["first_only"], found["second_only"]
        assert mine - theirs == int(first.sum()) - int(second.sum())
        expected = stats.binomtest(int(mine), int(mine + theirs)).pvalue
        assert found["p"] == pytest.approx(expected, abs=1e-12)
    assert mcnemar(first, first)["p"] == 1


def test_resamples_stay_within_their_group() -> None:
    groups = torch.tensor([0, 1, 0, 1, 1])
    index = resamples(groups, seed=0, draws=50)
    assert torch.equal(groups[index], groups.expand(50, -1))
    assert len(index[:, 1].unique()) == 3


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = normal(2000, seed=3) + 0.1
    found = mean_interval(values, seed=1)
    error = float(values.std()) / 2000**0.5
    assert found["mean"] == pytest.approx(float(values.mean()))
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert found["low"] < found["mean"] < found["high"]


def test_methods_are_compared_on_the_digits_that_both_had() -> None:
    lsd = [torch.tensor([[20.0, 22, 24], [0, 0, 0], [1, 1, 0]])] * 2
    slow = [torch.tensor([[19.0, 20], [0, 0], [0, 1]])] * 2
    found = against_lsd(lsd, slow)
    assert found["accuracy"] == {"first_only": 2, "second_only": 0, "p": 0.5}
    assert found["psnr"]["mean"] == 1.5  # type: ignore[index]


def outcome(success: float, noise: float) -> Outcome:
    """Four labels, twenty digits each; thickness and slant as written, blurred by noise."""
    written = {"thickness": normal(4, 20, seed=1), "slant": normal(4, 20, seed=2)}
    right = torch.rand((4, 3, 20), generator=torch.Generator().manual_seed(3)) < success
    kept = {
        name: value[:, None] + noise * normal(4, 3, 20, seed=4 + number)
        for number, (name, value) in enumerate(written.items())
    }
    flat = torch.full((4, 3, 20), 1 - noise / 2)
    return Outcome(right, flat, flat, kept["thickness"], kept["slant"], written)


def test_a_rotation_ahead_in_style_alone_is_told_so() -> None:
    found = differences(outcome(0.9, 0.1), outcome(0.9, 1.0))
    assert found["success_rate"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    style = found["style_survival"]
    assert 0 < style["low"] < style["mean"] < style["high"]
    first, second = (outcome(0.9, noise).figures()["style_survival"] for noise in (0.1, 1.0))
    assert style["mean"] == pytest.approx(first - second, abs=1e-3)  # type: ignore[operator]


def test_a_rotation_that_succeeds_more_often_is_told_so() -> None:
    found = differences(outcome(0.95, 0.5), outcome(0.7, 0.5))
    assert found["success_rate"]["low"] > 0.1
    assert found["style_survival"]["mean"] == 0

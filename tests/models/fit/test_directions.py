"""Fitting directions to faces: planted ones are found, and too few photos are called too few."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from face_latents.latent_ops import lda_direction
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError
from face_latents.models.fit.chart import fit_chart
from face_latents.models.fit.directions import fit_direction, fit_scores
from face_latents.models.fit.found import pca_directions, sefa_directions
from face_latents.models.fit.held_out import balanced_accuracy, still_rising
from face_latents.models.fit.intervals import (
    balanced_count,
    correlation_interval,
    cross_validated_count,
    wilson_interval,
)
from face_latents.models.fit.pictures import picture_features
from face_latents.models.fit.plan import FIT_METHODS, LDA, FitSettings
from face_latents.models.fit.safe_range import SPILL_LIMIT, STRENGTH_LIMIT, safe_range
from face_latents.models.fit.score_table import parse_score_table
from face_latents.models.fit.view import FitView, view_of, visible_weights
from nodes_support import CODES, SIZE, TinyNet, tiny_model, with_net
from scipy.stats import binomtest, pearsonr
from torch import Tensor

methods = pytest.mark.parametrize("method", FIT_METHODS)


class MirrorNet(TinyNet):
    """Half of the components are reversed by mirroring."""

    def mirror(self, codes: Tensor) -> Tensor:
        signs = torch.ones(CODES)
        signs[CODES // 2 :] = -1
        return codes * signs.to(codes)

    def style_weight(self, layers: None = None) -> Tensor:
        return self.basis.T * torch.linspace(3, 1, CODES)

    def capabilities(self) -> Capabilities:
        able = super().capabilities()
        return dataclasses.replace(able, mirror=self.mirror, style_weight=self.style_weight)


def mirror_model():
    return with_net(tiny_model(), MirrorNet())


def planted(count: int, component: int = 0, gap: float = 3.0, seed: int = 0):
    """Two groups of faces that differ in one component."""
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(2 * count, CODES, generator=generator)
    codes[count:, component] += gap
    return codes[:count], codes[count:]


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.double().flatten(), b.double().flatten(), dim=0))


# Fitting


@methods
def test_a_planted_direction_is_found_with_its_unit_and_accuracy(method: str) -> None:
    without, with_ = planted(100)
    kept = without.clone()
    model = tiny_model()
    direction, report = fit_direction(model, without, with_, "test", FitSettings(method))
    assert torch.equal(without, kept)
    assert cosine(direction.vector, torch.eye(CODES)[0]) > 0.9
    along = torch.cat([without, with_]) @ direction.vector / direction.vector.norm()
    assert float(direction.vector.norm()) == pytest.approx(float(along.std()), rel=1e-4)
    assert direction.accuracy == pytest.approx(report.accuracy, abs=1e-3)
    assert 0.85 < report.accuracy < 1
    low, high = report.interval
    assert low < report.accuracy < high
    assert report.counts == (100, 100)
    assert set(report.overlaps) == set(model.directions)
    assert report.overlaps["smile"] == pytest.approx(
        cosine(direction.vector, model.directions["smile"].vector), abs=1e-6
    )
    assert not report.warnings
    assert "200 faces" in direction.unit
    assert method in direction.method
    for word in ("100 photos without, 100 with", "held-out accuracy", "by photos per group"):
        assert word in report.text()


@methods
def test_no_difference_is_no_better_than_chance(method: str) -> None:
    _, report = fit_direction(
        tiny_model(), *planted(40, gap=0.0), "nothing", FitSettings(method, seed=1)
    )
    assert report.interval[0] <= 0.5
    assert "no better than chance" in report.text()


def test_ten_photos_are_called_too_few_with_a_wide_interval() -> None:
    _, report = fit_direction(tiny_model(), *planted(10, gap=2.0), "few")
    assert "WARNING: 10 photos are too few" in report.text()
    assert report.interval[1] - report.interval[0] > 0.2
    assert report.folds == 10
    single, alone = fit_direction(tiny_model(), *planted(1), "one")
    assert single.accuracy is None
    assert alone.interval == (0.0, 1.0)
    assert "not measured" in alone.text()


def test_enough_photos_of_a_clear_attribute_raise_no_complaint() -> None:
    model = dataclasses.replace(tiny_model(), directions={})
    _, report = fit_direction(model, *planted(150, gap=8.0), "clear")
    assert report.advice() == report.cautions() == ()


def test_kept_directions_stay_still_in_every_fold() -> None:
    model = tiny_model()
    generator = torch.Generator().manual_seed(4)
    codes = torch.randn(160, CODES, generator=generator)
    codes[80:] += 2 * model.directions["smile"].vector / model.directions["smile"].vector.norm()
    plain, free = fit_direction(model, codes[:80], codes[80:], "a", FitSettings(LDA))
    assert free.overlaps["smile"] > 0.8
    assert "It does much the same as smile" in free.text()
    kept, report = fit_direction(model, codes[:80], codes[80:], "a", FitSettings(LDA, ("smile",)))
    assert cosine(kept.vector, model.directions["smile"].vector) == pytest.approx(0, abs=1e-5)
    assert report.kept_still == ("smile",)
    # what told the groups apart was the smile, and the held-out figure knows it
    assert report.accuracy < free.accuracy - 0.1
    assert "keeping smile" in kept.method
    every, said = fit_direction(model, codes[:80], codes[80:], "a", FitSettings(LDA, ("all",)))
    assert said.kept_still == ("age",)
    assert said.left_out == ("smile",)
    assert cosine(every.vector, model.directions["age"].vector) == pytest.approx(0, abs=1e-5)
    assert cosine(every.vector, plain.vector) > 0.8


def test_what_moves_along_is_named() -> None:
    _, report = fit_direction(tiny_model(), *planted(60), "a")
    for cosine_, words in ((0.3, "It also moves age"), (0.1, ""), (-0.6, "the same as age")):
        said = dataclasses.replace(report, overlaps={"age": cosine_, "smile": 0.01}).text()
        assert words in said
        assert ("smile." in said) is False
        assert ("also moves" in said) == (cosine_ == 0.3)


def test_copies_are_used_once_and_photos_in_both_groups_are_reported() -> None:
    without, with_ = planted(30)
    clean, _ = fit_direction(tiny_model(), without, with_, "a", FitSettings(seed=3))
    doubled = torch.cat([without, without[:4], without[:1] + 1e-4])
    direction, report = fit_direction(tiny_model(), doubled, with_, "a", FitSettings(seed=3))
    torch.testing.assert_close(direction.vector, clean.vector)
    assert report.counts == (30, 30)
    assert any("5 photo(s) are there more than once" in text for text in report.warnings)
    _, both = fit_direction(tiny_model(), torch.cat([without, with_[:2]]), with_, "a")
    assert any("2 photo(s) are in both groups" in text for text in both.warnings)
    _, uneven = fit_direction(tiny_model(), without, planted(120)[1], "a")
    assert any("very unequal (30 and 120" in text for text in uneven.warnings)


def test_fits_are_reproducible_and_the_seed_only_deals_the_folds() -> None:
    groups = planted(40)
    first, report = fit_direction(tiny_model(), *groups, "a", FitSettings(seed=1))
    again, same = fit_direction(tiny_model(), *groups, "a", FitSettings(seed=1))
    other, differs = fit_direction(tiny_model(), *groups, "a", FitSettings(seed=2))
    assert torch.equal(first.vector, again.vector)
    assert torch.equal(report.held_out, same.held_out)
    assert torch.equal(first.vector, other.vector)
    assert not torch.equal(report.held_out, differs.held_out)


@methods
def test_scores_give_the_direction_along_which_they_rise(method: str) -> None:
    codes = torch.randn(200, CODES, generator=torch.Generator().manual_seed(1))
    scores = 50 - 4 * codes[:, 3].double()
    direction, report = fit_scores(tiny_model(), codes, scores, "score", FitSettings(method))
    assert cosine(direction.vector, -torch.eye(CODES)[3]) > 0.9
    assert report.accuracy > 0.9
    assert report.accuracy == pytest.approx(
        pearsonr(report.held_out.double().numpy(), scores.numpy())[0], abs=1e-6
    )
    assert "correlation" in report.text()
    assert "held-out correlation" in direction.method


@pytest.mark.parametrize(
    ("negative", "positive", "settings", "words"),
    [
        (torch.ones(3, 5), torch.ones(3, CODES), FitSettings(), "needs codes of shape"),
        (torch.ones(0, CODES), torch.ones(3, CODES), FitSettings(), "needs codes of shape"),
        (torch.ones(3, CODES), torch.ones(3, CODES), FitSettings(), "same mean"),
        (*planted(4), FitSettings("magic"), "method must be one of"),
        (*planted(4), FitSettings(keep_still=("beard",)), "keep_still names beard.*smile, age"),
    ],
)
def test_what_cannot_be_fitted_is_refused(negative, positive, settings, words) -> None:
    with pytest.raises(FaceLatentsError, match=words):
        fit_direction(tiny_model(), negative, positive, "a", settings)


@pytest.mark.parametrize(
    "scores", [torch.ones(8), torch.ones(3), torch.tensor([1.0] * 7 + [math.nan])]
)
def test_scores_that_cannot_be_fitted_are_refused(scores: Tensor) -> None:
    with pytest.raises(FaceLatentsError, match=r"[sS]cores"):
        fit_scores(tiny_model(), planted(4)[0].repeat(2, 1), scores, "a")


# The view of the codes


def test_weights_follow_what_a_component_does_to_the_picture() -> None:
    model = mirror_model()

    def decode(codes: Tensor) -> Tensor:
        return model.decode(codes * torch.linspace(10, 0.01, CODES))

    weights = visible_weights(model, decode)
    change = torch.linspace(10, 0.01, CODES).double() ** 2 / (3 * SIZE * SIZE)
    torch.testing.assert_close(weights**2, change / (change + 0.015**2), rtol=1e-3, atol=1e-6)


def test_what_mirroring_reverses_counts_only_where_it_is_clear() -> None:
    view = view_of(mirror_model(), lambda codes: mirror_model().decode(codes) * 100)

    def difference(x: Tensor, y: Tensor) -> Tensor:
        return x[y > 0].mean(0) - x[y == 0].mean(0)

    for component, reversed_ in ((0, False), (CODES - 1, True)):
        without, with_ = planted(60, component)
        codes, labels = torch.cat([without, with_]), torch.arange(120) >= 60
        found = view.fit(view.rows(codes), labels, difference, difference)
        part = found[CODES // 2 :].norm() / found.norm()
        assert part > 0.9 if reversed_ else part == 0
        assert cosine(found, torch.eye(CODES)[component]) > 0.9


def test_a_model_that_does_not_mirror_uses_all_of_the_code() -> None:
    view = FitView(torch.ones(CODES, dtype=torch.float64), None)
    rows = view.rows(torch.eye(CODES))
    found = view.fit(rows, torch.arange(CODES) > 3, lambda x, y: x[0], lambda x, y: x[0])
    torch.testing.assert_close(found, torch.eye(CODES, dtype=torch.float64)[0])


# Safe range, intervals and the report


def test_the_safe_range_ends_where_pixels_spill() -> None:
    codes, vector = torch.zeros(2, 4), torch.tensor([1.0, 0, 0, 0])

    def decode(given: Tensor) -> Tensor:
        # a quarter of the pixels leaves the picture where the strength passes 2 or -3
        pixels = torch.full((len(given), 3, 8, 8), 0.5)
        pixels[:, :, :4, :4] = given[:, 0].reshape(-1, 1, 1, 1).clamp(-3, 2) / 5 + 0.6
        pixels[:, :, :4, :4] += (given[:, 0] > 2).float().reshape(-1, 1, 1, 1)
        return pixels

    assert SPILL_LIMIT < 0.25
    assert safe_range(decode, codes, vector) == (-STRENGTH_LIMIT, 2.0)
    assert safe_range(lambda z: z[:, :1, None, None] * 1e6, codes, vector) == (-0.5, 0.5)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (10, 10), (183, 200)])
def test_wilson_interval_is_that_of_scipy(right: int, count: int) -> None:
    expected = binomtest(right, count).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson_interval(right / count, count), expected, atol=1e-12)


def test_intervals_at_their_limits() -> None:
    assert balanced_count(100, 100) == pytest.approx(200)
    assert 20 < balanced_count(10, 1000) < 40
    assert cross_validated_count(190, 10) == pytest.approx(90)
    assert cross_validated_count(30, 2) == pytest.approx(10)
    r = pearsonr(np.arange(30.0), np.arange(30.0) + np.random.default_rng(0).normal(size=30) * 9)
    np.testing.assert_allclose(
        correlation_interval(float(r[0]), 30), r.confidence_interval(), atol=1e-9
    )
    assert correlation_interval(0.5, 3) == (-1, 1)
    assert correlation_interval(1.0, 9) == (1, 1)
    for share, count in ((1.1, 5), (0.5, 0), (math.nan, 5)):
        with pytest.raises(ValueError, match="share"):
            wilson_interval(share, count)
    with pytest.raises(ValueError, match="correlation"):
        correlation_interval(2.0, 9)


def test_accuracy_is_balanced_and_indecision_is_wrong() -> None:
    labels = torch.tensor([False] * 8 + [True] * 2)
    assert balanced_accuracy(-torch.ones(10), labels) == 0.5
    assert balanced_accuracy(torch.zeros(10), labels) == 0
    assert balanced_accuracy(labels.float() - 0.5, labels) == 1


def test_rising_needs_more_than_luck() -> None:
    labels = torch.arange(100) % 2 == 0
    right = labels.float() - 0.5
    worse = right.clone()
    worse[:10] *= -1
    assert still_rising(worse, right, labels)
    assert not still_rising(right, worse, labels)
    assert not still_rising(right, right, labels)
    mixed = right.clone()
    mixed[:12] *= -1  # 12 lost against 10 won: a gain of 2% that means nothing
    other = right.clone()
    other[50:60] *= -1
    assert not still_rising(mixed, other, labels)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_charts_of_groups_and_of_scores(theme: str) -> None:
    _, report = fit_direction(tiny_model(), *planted(30), "a")
    picture = fit_chart(report, theme)
    assert picture is not None
    assert picture.size == (768, 960)
    codes = torch.randn(40, CODES, generator=torch.Generator().manual_seed(1))
    _, scored = fit_scores(tiny_model(), codes, codes[:, 0], "b")
    drawn = fit_chart(scored, theme)
    assert drawn is not None
    assert drawn.size == (768, 480)
    assert fit_chart(fit_direction(tiny_model(), *planted(1), "a")[1]) is None


# Without labels


def test_principal_directions_of_faces() -> None:
    codes = torch.randn(60, CODES, generator=torch.Generator().manual_seed(2))
    codes[:, 5] *= 6
    batch, shares = pca_directions(tiny_model(), codes, 4)
    assert batch.vector.shape == (4, CODES)
    assert abs(cosine(batch.vector[0], torch.eye(CODES)[5])) > 0.95
    along = codes @ batch.vector[0] / batch.vector[0].norm()
    assert float(batch.vector[0].norm()) == pytest.approx(float(along.std()), rel=1e-3)
    assert (shares[:-1] >= shares[1:]).all()
    with pytest.raises(FaceLatentsError, match="at most 4"):
        pca_directions(tiny_model(), codes[:5], 5)
    with pytest.raises(FaceLatentsError, match="all equal"):
        pca_directions(tiny_model(), torch.ones(5, CODES), 2)


def test_sefa_directions_follow_the_weight() -> None:
    batch, shares = sefa_directions(mirror_model(), 3)
    for number in range(3):
        assert abs(cosine(batch.vector[number], torch.eye(CODES)[number])) > 0.99
    assert float(shares[0]) == pytest.approx(9 / float((torch.linspace(3, 1, CODES) ** 2).sum()))
    with pytest.raises(FaceLatentsError, match=r"does not offer.*PCA Directions"):
        sefa_directions(tiny_model(), 3)
    with pytest.raises(FaceLatentsError, match="at most 24"):
        sefa_directions(mirror_model(), 25)


# Tables


@pytest.mark.parametrize(
    ("text", "labels", "values"),
    [
        ("file,label\na.jpg,1\nb.jpg,0\n", True, (1.0, 0.0)),
        ("a.jpg,Yes\nb.jpg,no", True, (1.0, 0.0)),
        ("\ufefffile;score\nsub/a.jpg;0.25;x\n\nb.jpg;-3\n", False, (0.25, -3.0)),
        ("name\tscore\na.jpg\t1\nb.jpg\t0\n", False, (1.0, 0.0)),
        ('"a.jpg",1.5\nb.jpg,2\na.jpg,1.5\n', False, (1.5, 2.0)),
    ],
)
def test_tables_are_read(text: str, labels: bool, values: tuple[float, ...]) -> None:
    table = parse_score_table(text, "t.csv")
    assert table.files == ("a.jpg", "b.jpg")
    assert (table.labels, table.values) == (labels, values)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("a.jpg\n", "line 1: expected"),
        ("a.jpg,1\nb.jpg,\n", "line 2"),
        ("a.jpg,1\na.jpg,0\n", "second value"),
        ("a.jpg,1\nb.jpg,yes\n", "same label"),
        ("file,label\na.jpg,maybe\n", "label of a.jpg is 'maybe'"),
        ("a.jpg,1\nb.jpg,nan\n", "score of b.jpg"),
        ("a.jpg,inf\n", "no number"),
        ("file,score\na.jpg,much\n", "no number"),
    ],
)
def test_broken_tables_are_refused_with_their_place(text: str, words: str) -> None:
    with pytest.raises(FaceLatentsError, match=words):
        parse_score_table(text, "t.csv")


# Pictures


class LargeNet(TinyNet):
    """Smooth pictures of 64 pixels; the first component moves an edge, the others shade."""

    def decode(self, codes: Tensor) -> Tensor:
        y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
        waves = [torch.sin(k * x + 2 * y) for k in range(1, CODES)]
        edge = torch.sigmoid((y - 0.1 * codes[:, 0, None, None]) * 20)
        shade = torch.einsum("bk,khw->bhw", codes[:, 1:], torch.stack(waves)) * 0.01
        return (0.2 + 0.5 * edge + shade)[:, None].expand(-1, 3, -1, -1)


def large_model():
    model = with_net(tiny_model(), LargeNet())
    return dataclasses.replace(model, template=model.template.resized(64))


def test_picture_features_follow_the_code() -> None:
    model = large_model()
    found = picture_features(model, model.decode, 400)
    assert found is not None
    codes = model.sample(200, seed=5)
    seen = found.of(codes)
    # the features follow the moved edge, and the slopes say so for faces they have not seen
    expected = codes.double() @ found.slopes
    strongest = found.slopes[0].abs().argmax()
    correlation = torch.corrcoef(torch.stack([expected[:, strongest], seen[:, strongest]]))[0, 1]
    assert correlation > 0.8
    assert float(found.slopes.norm(dim=1).argmax()) == 0
    again = picture_features(model, model.decode, 400)
    assert again is not None
    assert torch.equal(found.slopes, again.slopes)


def test_pictures_help_where_codes_are_few() -> None:
    model = large_model()
    cosines = []
    for pictures in (True, False):
        view = view_of(model, model.decode, pictures)
        for seed in range(3):
            without, with_ = planted(12, gap=1.5, seed=seed)
            labels = torch.arange(24) >= 12

            def normal(x: Tensor, y: Tensor) -> Tensor:
                return lda_direction(x[~y], x[y], 0.5)

            rows = view.rows(torch.cat([without, with_]))
            cosines.append(cosine(view.fit(rows, labels, normal, normal), torch.eye(CODES)[0]))
    assert sum(cosines[:3]) > sum(cosines[3:])


def test_small_pictures_and_large_codes_are_fitted_without_them() -> None:
    assert picture_features(tiny_model(), tiny_model().decode) is None
    model = large_model()
    space = dataclasses.replace(model.space, shape=(8, 512), mean=None, std=None)
    assert picture_features(dataclasses.replace(model, space=space), model.decode) is None

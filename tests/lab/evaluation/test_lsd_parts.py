"""The paper's construction, readings, settings and rotation, on cases with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from face_latents.lab.evaluation.lsd.bases import (
    MeasuredBasis,
    Setup,
    modified_gram_schmidt,
    paper_vectors,
    prepare,
    principal_axes,
    random_basis,
)
from face_latents.lab.evaluation.lsd.denoise import best_methods
from face_latents.lab.evaluation.lsd.methods import Setting, choose
from face_latents.lab.evaluation.lsd.model import MeasuredModel
from face_latents.lab.evaluation.lsd.readings import basis_facts, readings
from face_latents.lab.evaluation.lsd.rotation import rank_one_operator, rotation
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.space import LatentSpace
from lsd_support import LABELS, SIDE, SIZE, Bars, bars, measured_model, normal
from sklearn.decomposition import PCA as ReferencePCA
from torch import nn


def slow_gram_schmidt(rows: np.ndarray) -> np.ndarray:
    done: list[np.ndarray] = []
    for row in rows.astype(np.float64):
        rest = row.copy()
        for finished in done:
            rest = rest - finished * np.dot(finished, rest)
        done.append(rest / np.sqrt(np.dot(rest, rest)))
    return np.stack(done)


def test_modified_gram_schmidt_against_a_slow_reference() -> None:
    eta = normal(SIZE, SIZE).double()
    expected = slow_gram_schmidt(eta.numpy())
    np.testing.assert_allclose(modified_gram_schmidt(eta).numpy(), expected, atol=1e-10)


def test_paper_vectors_are_the_class_means_the_paper_takes() -> None:
    measured, digits = measured_model(), bars(80)
    codes = measured.encode(digits.pictures)
    decoded = measured.labels(measured.decode(codes))
    eta = paper_vectors(measured, codes, decoded, LABELS, draws=200, seed=3)
    assert eta.shape == (SIZE, SIZE)
    generator = torch.Generator().manual_seed(3)
    expected = [codes[decoded == k].double().mean(0) for k in range(LABELS)]
    for _ in range(2):
        z = torch.randn((200, SIZE), generator=generator)
        labels = measured.labels(measured.decode(z))
        expected += [z[labels == k].double().mean(0) for k in range(LABELS)]
    torch.testing.assert_close(eta, torch.stack(expected), atol=1e-6, rtol=1e-6)


def test_paper_vectors_need_every_label() -> None:
    codes = normal(10, SIZE)
    with pytest.raises(FaceLatentsError, match="none that decode to 2, 3"):
        paper_vectors(measured_model(), codes, torch.arange(10) % 2, LABELS, draws=50, seed=0)


def test_the_papers_operator_makes_all_inputs_parallel() -> None:
    xi = modified_gram_schmidt(normal(SIZE, SIZE)).float()
    operator = rank_one_operator(2 * xi[2], 2 * xi[3])
    out = normal(5, SIZE, seed=1) @ operator.T
    assert torch.linalg.matrix_rank(operator) == 1
    cosine = torch.nn.functional.cosine_similarity(out[:, None], out[None], dim=-1)
    torch.testing.assert_close(cosine.abs(), torch.ones(5, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(xi[2] @ operator.T, xi[3], atol=1e-5, rtol=1e-5)


def test_readings_of_a_case_known_by_hand() -> None:
    coefficients = torch.tensor(
        [
            [3.0, 1.0, 0.0, 0.0],  # label 0, right by every rule; energy 10/10
            [1.0, 2.0, 0.0, 2.0],  # label 0 is third; the largest, of equal ones the first, is 1
            [1.0, -3.0, 0.0, 0.0],  # label 1 by magnitude, 0 by sign
            [1.0, 0.0, 4.0, 0.0],  # gibberish: the largest is no label; energy 1/17
        ]
    )
    axes = MeasuredBasis(torch.eye(4), 2, None, torch.eye(4), signed=True)
    found = readings(axes, coefficients, torch.tensor([0, 0, 1, 0]))
    assert found["in_label_slots"] == 0.75
    assert found["rank_cumulative"] == [0.5, 0.75, 1.0, 1.0]
    assert found["energy"] == pytest.approx((1 + 5 / 9 + 1 + 1 / 17) / 4, abs=1e-4)
    assert found["accuracy_by_rule"] == {
        "largest_magnitude_of_all": 0.5,
        "largest_magnitude_of_labels": 0.75,
        "largest_signed_of_labels": 0.5,
    }
    assert found["classifier_accuracy"] == 0.5


def test_basis_facts_of_the_model_s_own_axes() -> None:
    raw = torch.eye(SIZE)
    raw[1] *= 4
    axes = MeasuredBasis(torch.eye(SIZE), LABELS, None, raw, signed=True)
    found = basis_facts(axes, measured_model(), normal(20, SIZE), 2.0)
    assert (found["rank"], found["labels_one_to_one"]) == (SIZE, LABELS)
    assert found["plus_decodes_to"] == list(range(LABELS))
    assert found["condition"] == pytest.approx(1)
    assert found["raw_condition"] == pytest.approx(4)
    assert found["reconstruction_error"] < 1e-6  # type: ignore[operator]
    swapped = MeasuredBasis(torch.eye(SIZE)[[1, 0, 2, *range(3, SIZE)]], LABELS, None, raw, True)
    assert (
        basis_facts(swapped, measured_model(), normal(20, SIZE), 2.0)["labels_one_to_one"]
        == LABELS - 2
    )


def test_principal_axes_agree_with_sklearn() -> None:
    codes = normal(200, SIZE) * torch.linspace(2, 0.5, SIZE) + 3
    expected = ReferencePCA().fit(codes.double().numpy()).components_
    found = principal_axes(codes, codes.mean(0)).numpy()
    cosine = np.abs((found * expected).sum(1))
    np.testing.assert_allclose(cosine, 1, atol=1e-3)


def test_choice_weighs_accuracy_among_those_close_to_the_best_psnr() -> None:
    settings = ["blurred", "best", "close", "close too"]
    quality = torch.tensor([12.0, 20.0, 19.5, 19.6])
    assert choose(settings, quality, torch.tensor([0.99, 0.90, 0.95, 0.90])) == 2
    assert choose(settings, quality, torch.tensor([0.99, 0.95, 0.95, 0.95])) == 1
    with pytest.raises(ValueError, match="settings"):
        choose(settings[:2], quality, quality)


def test_leading_setting_keeps_the_first_coefficients() -> None:
    like = MeasuredBasis(torch.eye(SIZE), LABELS, None, torch.eye(SIZE), signed=True)
    basis = random_basis(like, 1)
    torch.testing.assert_close(basis.vectors @ basis.vectors.T, torch.eye(SIZE), atol=1e-5, rtol=0)
    codes = normal(5, SIZE)
    setting = Setting("pca", "leading", 3, restore_norm=False)
    found = setting.truncate(codes, {"pca": basis})
    kept = basis.vectors[:3]
    torch.testing.assert_close(found, codes @ kept.T @ kept, atol=1e-5, rtol=1e-5)


def test_best_method_is_the_one_with_the_highest_figure() -> None:
    figures = {
        "noisy": {"psnr": 9.0, "ssim": 0.5, "accuracy": 0.6},
        "lsd": {"psnr": 8.0, "ssim": 0.7, "accuracy": 0.9},
    }
    assert best_methods(figures) == {"psnr": "noisy", "ssim": "lsd", "accuracy": "lsd"}


def test_rotation_keeps_style_and_the_rank_1_operator_does_not() -> None:
    measured, digits = measured_model(), bars(40)
    axes = MeasuredBasis(torch.eye(SIZE), LABELS, None, torch.eye(SIZE), signed=True)
    codes = measured.encode(digits.pictures)
    means = torch.stack([codes[digits.labels == k].mean(0) for k in range(LABELS)])
    setup = Setup(measured, {"ours": axes, "paper": axes}, means)
    found = rotation(setup, digits, per_label=6, per_path=2)
    turned, erased = found["rotate"], found["paper_rank_1"]
    assert turned["success_rate"] == 1
    assert erased["success_rate"] == 1
    assert turned["style_parts"]["complement"] > 0.9  # type: ignore[index]
    assert abs(erased["style_parts"]["complement"]) < 0.3  # type: ignore[index]
    assert turned["style_survival"] > erased["style_survival"] + 0.3  # type: ignore[operator]
    assert turned["monotonic_paths"] == 1
    assert erased["monotonic_paths"] is None
    assert found["nothing"]["success_rate"] == 0
    assert found["nothing"]["style_parts"]["complement"] > 0.99  # type: ignore[index]
    assert found["lerp_to_mean"]["style_parts"]["slant"] == 0  # type: ignore[index]
    assert 0.4 < float(str(found["lerp_matched"]["share"])) < 0.8
    pairs = turned["pairs"]
    assert [row[i] for i, row in enumerate(pairs)] == [None] * LABELS  # type: ignore[arg-type]


class Wide(nn.Module):
    """The bars at twice the size, with codes of two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.bars = Bars()

    def encode(self, crops: torch.Tensor) -> torch.Tensor:
        return self.bars.encode(nn.functional.avg_pool2d(crops, 2)).unflatten(1, (2, SIZE // 2))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.bars.decode(codes.flatten(1)), scale_factor=2)


def test_a_model_of_another_size_and_shape_of_codes_is_measured() -> None:
    measured, net = measured_model(), Wide()
    space = LatentSpace("w_plus", (2, SIZE // 2), "wide")
    able = Capabilities(net.decode, net.encode)
    wide = FaceModel(net, able, space, TIGHT.resized(2 * SIDE), {}, {}, "wide")
    found = MeasuredModel(wide, measured.classifier, side=SIDE)
    digits = bars(80)
    codes = found.encode(digits.pictures)
    assert codes.shape == (80, SIZE)
    assert found.decode(codes).shape == digits.pictures.shape
    setup = prepare(found, digits, None, draws=200)
    assert setup.bases["ours"].vectors.shape == (SIZE, SIZE)
    facts = basis_facts(setup.bases["ours"], found, codes, 2.0)
    assert facts["labels_one_to_one"] == LABELS
    huge = replace(wide, space=replace(space, shape=(18, 512)), spaces={})
    with pytest.raises(FaceLatentsError, match="at most 2048 numbers"):
        MeasuredModel(huge, measured.classifier)

"""The evaluation of latent spectral decomposition, on constructed cases with known answers."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from face_latents.cli.benchmark_spectral import PRODUCTS, spectral_benchmark, spectral_report
from face_latents.cli.lab import plain
from face_latents.cli.lsd_report import report
from face_latents.latent_ops import spectral_denoise
from face_latents.models.align import TIGHT
from face_latents.models.errors import FaceLatentsError
from face_latents.models.evaluation.face_measures import psnr
from face_latents.models.evaluation.lsd import evaluate_lsd
from face_latents.models.evaluation.lsd_basis import (
    MeasuredBasis,
    basis_facts,
    random_basis,
    readings,
)
from face_latents.models.evaluation.lsd_bench import Bench, Digits, balanced, load_digits
from face_latents.models.evaluation.lsd_claims import claims
from face_latents.models.evaluation.lsd_denoise import Counts, best_methods
from face_latents.models.evaluation.lsd_filters import FILTERS, median, require_skimage
from face_latents.models.evaluation.lsd_measures import correlation, slant, ssim, thickness
from face_latents.models.evaluation.lsd_noise import NOISES
from face_latents.models.evaluation.lsd_paper import (
    modified_gram_schmidt,
    paper_basis,
    paper_coefficients,
    paper_reconstruct,
    paper_top_k,
    paper_vectors,
    rank_one_operator,
)
from face_latents.models.evaluation.lsd_rotation import rotation
from face_latents.models.evaluation.lsd_scene import Sizes, principal_axes
from face_latents.models.evaluation.lsd_settings import Setting, apply_setting, choose
from face_latents.models.face_model import FaceModel
from face_latents.models.space import LatentSpace
from scipy.ndimage import median_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.decomposition import PCA as ReferencePCA
from torch import Tensor, nn

SIDE, LABELS, SIZE = 16, 4, 12


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


class Bars(nn.Module):
    """A linear model whose labels are four bright bars and whose style is faint pattern."""

    def __init__(self) -> None:
        super().__init__()
        atoms = torch.zeros(SIZE, SIDE, SIDE)
        for label in range(LABELS):
            atoms[label, 1:-1, 1 + 4 * label : 3 + 4 * label] = 1
        atoms[LABELS:] = normal(SIZE - LABELS, SIDE, SIDE, seed=5)
        flat = torch.linalg.qr(atoms.flatten(1).T.double()).Q.T.float()
        flat[:LABELS] *= flat[:LABELS].sum(1, keepdim=True).sign()
        self.register_buffer("atoms", flat * 2)
        self.scale = 4.0  # of the atoms' squared length

    def encode(self, crops: Tensor) -> Tensor:
        return crops[:, 0].flatten(1) @ self.atoms.T / self.scale

    def decode(self, codes: Tensor) -> Tensor:
        return (codes @ self.atoms).view(-1, 1, SIDE, SIDE).expand(-1, 3, -1, -1)


class BarJudge(nn.Module):
    """Logits: the light in each bar."""

    def forward(self, pictures: Tensor) -> Tensor:
        bars = [pictures[:, 0, 1:-1, 1 + 4 * n : 3 + 4 * n].mean((1, 2)) for n in range(LABELS)]
        return 10 * torch.stack(bars, 1)


def bench() -> Bench:
    space = LatentSpace("z", (SIZE,), "bars", torch.zeros(SIZE), torch.ones(SIZE))
    model = FaceModel(Bars(), space, TIGHT.resized(SIDE), {}, {}, "bars")
    return Bench(model, BarJudge())


def bars(count: int, seed: int = 0) -> Digits:
    """Pictures of bars with a faint style of their own, in [0, 1]."""
    labels = torch.arange(count) % LABELS
    codes = 0.2 * normal(count, SIZE, seed=seed)
    codes[:, :LABELS] = 2 * torch.nn.functional.one_hot(labels, LABELS).float()
    return Digits(bench().decode(codes), labels)


# measures -----------------------------------------------------------------------------------------


def test_ssim_and_psnr_agree_with_skimage() -> None:
    a, b = uniform(3, 1, 28, 28), uniform(3, 1, 28, 28, seed=1)
    b[1] = (a[1] + 0.1 * b[1]).clamp(0, 1)
    for i in range(3):
        one, other = a[i, 0].numpy(), b[i, 0].numpy()
        expected = structural_similarity(
            one.astype(np.float64),
            other.astype(np.float64),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert ssim(a, b)[i].item() == pytest.approx(expected, abs=1e-6)
        expected = peak_signal_noise_ratio(one, other, data_range=1)
        assert psnr(a, b)[i].item() == pytest.approx(expected, abs=1e-4)
    assert ssim(a, a).tolist() == pytest.approx([1.0] * 3)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(torch.zeros(1, 1, 10, 28), torch.zeros(1, 1, 10, 28))


def stroke(angle: float, width: float, length: float = 70, side: int = 96) -> Tensor:
    """An anti-aliased straight stroke leaning `angle` degrees to the right of upright."""
    y, x = torch.meshgrid(*[torch.arange(side * 4) / 4 - side / 2 + 0.125] * 2, indexing="ij")
    t = math.radians(angle)
    along, across = x * math.sin(t) - y * math.cos(t), x * math.cos(t) + y * math.sin(t)
    inside = ((along.abs() <= length / 2) & (across.abs() <= width / 2)).float()
    return torch.nn.functional.avg_pool2d(inside[None, None], 4)


@pytest.mark.parametrize("angle", [-40, -20, 0, 15, 35])
def test_slant_of_a_stroke_is_its_angle(angle: float) -> None:
    assert slant(stroke(angle, 3)).item() == pytest.approx(angle, abs=0.7)


@pytest.mark.parametrize("width", [3.0, 5.0, 8.0])
@pytest.mark.parametrize("angle", [0, 10, 20, 30, 45])
def test_thickness_of_a_stroke_is_its_width(width: float, angle: float) -> None:
    # a stroke of finite length has an outline at its ends too
    expected = width * 70 / (70 + width)
    assert thickness(stroke(angle, width)).item() == pytest.approx(expected, rel=0.04)


def test_thickness_does_not_depend_on_how_dark_the_ink_is() -> None:
    picture = stroke(10, 4)
    assert thickness(0.3 * picture).item() == pytest.approx(thickness(picture).item(), rel=1e-5)


def test_no_ink_has_no_slant_and_no_thickness() -> None:
    assert thickness(torch.zeros(2, 1, 28, 28)).tolist() == [0.0, 0.0]
    assert slant(torch.zeros(2, 1, 28, 28)).tolist() == [0.0, 0.0]


def test_correlation_agrees_with_numpy_and_is_zero_for_constants() -> None:
    a, b = normal(3, 50), normal(3, 50, seed=1)
    for i in range(3):
        expected = np.corrcoef(a[i].double().numpy(), b[i].double().numpy())[0, 1]
        assert correlation(a, b)[i].item() == pytest.approx(expected, abs=1e-6)
    almost = 3 + 1e-7 * normal(50, seed=2)
    assert correlation(almost, a[0]).item() == 0


# damage and filters -------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: f"{noise.kind} {noise.level}")
def test_damage_is_repeatable_and_stays_within_a_picture(noise) -> None:  # type: ignore[no-untyped-def]
    pictures = bars(8).pictures
    before = pictures.clone()
    damaged = noise(pictures, 3)
    assert torch.equal(damaged, noise(pictures, 3))
    assert not torch.equal(damaged, noise(pictures, 4))
    assert torch.equal(pictures, before)
    assert damaged.min() >= 0
    assert damaged.max() <= 1


def test_damage_is_of_the_stated_size() -> None:
    by_name = {(noise.kind, noise.level): noise for noise in NOISES}
    grey = torch.full((20, 1, 28, 28), 0.5)
    free = by_name["gaussian", "0.3"](grey, 0, clipped=False)
    assert (free - grey).std().item() == pytest.approx(0.3, rel=0.03)
    peppered = by_name["salt_and_pepper", "30%"](grey, 0)
    assert (peppered != 0.5).double().mean().item() == pytest.approx(0.3, abs=0.01)
    assert (peppered == 1).double().mean().item() == pytest.approx(0.15, abs=0.01)
    hidden = by_name["occlusion", "8px"](grey, 0)
    assert (hidden == 0).flatten(1).sum(1).tolist() == [64] * 20
    corner = torch.zeros(1, 1, 28, 28)
    corner[..., 0, 27] = 1  # the only ink, so the square covers it
    assert by_name["occlusion", "8px"](corner, 0).sum() == 0


@pytest.mark.parametrize("size", [3, 5])
def test_median_agrees_with_scipy(size: int) -> None:
    pictures = uniform(2, 1, 20, 24)
    for i in range(2):
        expected = median_filter(pictures[i, 0].numpy(), size=size, mode="mirror")
        assert np.array_equal(median(pictures, size)[i, 0].numpy(), expected)


def test_filters_remove_noise() -> None:
    clean = torch.zeros(2, 1, 28, 28)
    clean[..., 8:20, 8:20] = 1
    noisy = (clean + 0.2 * normal(2, 1, 28, 28)).clamp(0, 1)
    for family in FILTERS:
        best = max(psnr(family.apply(noisy, s), clean).min() for s in family.settings)
        assert best > psnr(noisy, clean).max() + 1, family.name


def test_missing_skimage_is_said_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(FaceLatentsError, match="pip install scikit-image"):
        require_skimage()
    with pytest.raises(FaceLatentsError, match="pip install scikit-image"):
        evaluate_lsd(tmp_path)


# the paper's construction -------------------------------------------------------------------------


def slow_gram_schmidt(rows: np.ndarray) -> np.ndarray:
    done: list[np.ndarray] = []
    for row in rows.astype(np.float64):
        rest = row.copy()
        for finished in done:
            rest = rest - finished * np.dot(finished, rest)
        done.append(rest / np.sqrt(np.dot(rest, rest)))
    return np.stack(done)


def test_paper_basis_against_a_slow_reference() -> None:
    eta = normal(SIZE, SIZE).double()
    expected = slow_gram_schmidt(eta.numpy())
    np.testing.assert_allclose(modified_gram_schmidt(eta).numpy(), expected, atol=1e-10)
    xi = paper_basis(eta)
    np.testing.assert_allclose(xi.norm(dim=1).numpy(), math.sqrt(SIZE), rtol=1e-6)
    codes = normal(7, SIZE, seed=1)
    c = paper_coefficients(codes, xi)
    for n in range(7):
        for i in range(SIZE):
            by_hand = math.fsum(float(xi[i, k]) * float(codes[n, k]) for k in range(SIZE))
            assert c[n, i].item() == pytest.approx(by_hand, abs=1e-4)
    torch.testing.assert_close(paper_reconstruct(c, xi), codes, atol=1e-5, rtol=1e-5)


def test_paper_denoising_is_our_top_k_without_restored_length() -> None:
    xi = paper_basis(normal(SIZE, SIZE).double())
    codes = normal(9, SIZE, seed=1)
    found = paper_reconstruct(paper_top_k(paper_coefficients(codes, xi), 3), xi)
    ours = spectral_denoise(codes, xi / math.sqrt(SIZE), "top_k", k=3, restore_norm=False)
    torch.testing.assert_close(found, ours, atol=1e-5, rtol=1e-5)


def test_paper_vectors_are_the_class_means_the_paper_takes() -> None:
    scene, digits = bench(), bars(80)
    codes = scene.encode(digits.pictures)
    decoded = scene.labels(scene.decode(codes))
    eta = paper_vectors(scene, codes, decoded, LABELS, draws=200, seed=3)
    assert eta.shape == (SIZE, SIZE)
    generator = torch.Generator().manual_seed(3)
    expected = [codes[decoded == k].double().mean(0) for k in range(LABELS)]
    for _ in range(2):
        z = torch.randn((200, SIZE), generator=generator)
        labels = scene.labels(scene.decode(z))
        expected += [z[labels == k].double().mean(0) for k in range(LABELS)]
    torch.testing.assert_close(eta, torch.stack(expected), atol=1e-6, rtol=1e-6)


def test_paper_vectors_need_every_label() -> None:
    codes = normal(10, SIZE)
    with pytest.raises(FaceLatentsError, match="none that decode to 2, 3"):
        paper_vectors(bench(), codes, torch.arange(10) % 2, LABELS, draws=50, seed=0)


def test_the_papers_operator_makes_all_inputs_parallel() -> None:
    xi = paper_basis(normal(SIZE, SIZE).double())
    operator = rank_one_operator(xi[2], xi[3])
    out = normal(5, SIZE, seed=1) @ operator.T
    assert torch.linalg.matrix_rank(operator) == 1
    cosine = torch.nn.functional.cosine_similarity(out[:, None], out[None], dim=-1)
    torch.testing.assert_close(cosine.abs(), torch.ones(5, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(xi[2] @ operator.T, xi[3], atol=1e-5, rtol=1e-5)


# readings -----------------------------------------------------------------------------------------


def test_readings_of_a_case_known_by_hand() -> None:
    coefficients = torch.tensor(
        [
            [3.0, 1.0, 0.0, 0.0],  # label 0, right by every rule; energy 10/10
            [1.0, 2.0, 0.0, 2.0],  # label 0 is third; the largest, of equal ones the first, is 1
            [1.0, -3.0, 0.0, 0.0],  # label 1 by magnitude, 0 by sign
            [1.0, 0.0, 4.0, 0.0],  # gibberish: the largest is no label; energy 1/17
        ]
    )
    found = readings(coefficients, torch.tensor([0, 0, 1, 0]), 2, signed=True)
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
    found = basis_facts(axes, bench(), normal(20, SIZE), 2.0)
    assert (found["rank"], found["labels_one_to_one"]) == (SIZE, LABELS)
    assert found["plus_decodes_to"] == list(range(LABELS))
    assert found["condition"] == pytest.approx(1)
    assert found["raw_condition"] == pytest.approx(4)
    assert found["reconstruction_error"] < 1e-6  # type: ignore[operator]
    swapped = MeasuredBasis(torch.eye(SIZE)[[1, 0, 2, *range(3, SIZE)]], LABELS, None, raw, True)
    assert basis_facts(swapped, bench(), normal(20, SIZE), 2.0)["labels_one_to_one"] == LABELS - 2


def test_principal_axes_agree_with_sklearn() -> None:
    codes = normal(200, SIZE) * torch.linspace(2, 0.5, SIZE) + 3
    expected = ReferencePCA().fit(codes.double().numpy()).components_
    found = principal_axes(codes, codes.mean(0)).numpy()
    cosine = np.abs((found * expected).sum(1))
    np.testing.assert_allclose(cosine, 1, atol=1e-3)


# choosing settings --------------------------------------------------------------------------------


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
    found = apply_setting(codes, Setting("pca", "leading", 3, 0.0, False), {"pca": basis})
    kept = basis.vectors[:3]
    torch.testing.assert_close(found, codes @ kept.T @ kept, atol=1e-5, rtol=1e-5)


def test_best_method_is_the_one_with_the_highest_figure() -> None:
    figures = {
        "noisy": {"psnr": 9.0, "ssim": 0.5, "accuracy": 0.6},
        "lsd": {"psnr": 8.0, "ssim": 0.7, "accuracy": 0.9},
    }
    assert best_methods(figures) == {"psnr": "noisy", "ssim": "lsd", "accuracy": "lsd"}


# rotation -----------------------------------------------------------------------------------------


def test_rotation_keeps_style_and_the_rank_1_operator_does_not() -> None:
    scene, digits = bench(), bars(80)
    axes = MeasuredBasis(torch.eye(SIZE), LABELS, None, torch.eye(SIZE), signed=True)
    codes = scene.encode(digits.pictures)
    means = torch.stack([codes[digits.labels == k].mean(0) for k in range(LABELS)])
    found = rotation(scene, {"ours": axes, "paper": axes}, means, digits, per_label=10, per_path=3)
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


# the whole ----------------------------------------------------------------------------------------


def test_balanced_takes_the_first_of_every_label() -> None:
    labels = torch.tensor([1, 0, 1, 1, 0, 0])
    assert balanced(labels, 2, 2).tolist() == [1, 4, 0, 2]
    with pytest.raises(FaceLatentsError, match="Label 0 has 3"):
        balanced(labels, 4, 2)


def test_missing_digits_are_named(tmp_path: Path) -> None:
    with pytest.raises(FaceLatentsError, match="no MNIST digits"):
        load_digits(tmp_path, train=False)


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars in MNIST's own files, in the sub-folder `mnist`."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "mnist" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count, seed in (("train", 240, 0), ("t10k", 120, 1)):
        digits = bars(count, seed)
        pixels = (digits.pictures[:, 0] * 255).round().byte().numpy()
        head = [2051, count, SIDE, SIDE]
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            np.array(head, ">i4").tobytes() + pixels.tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            np.array([2049, count], ">i4").tobytes() + digits.labels.byte().numpy().tobytes()
        )
    return root


@pytest.fixture(scope="module")
def evaluated(tiny_data: Path) -> tuple[dict[str, Any], list[str]]:
    """Figures of a whole evaluation, its pictures in `pictures`, and the stages it told of."""
    scene = bench()
    counts = Counts(test=12, slow=2, tune=8, tune_slow=2, by_k=8)
    sizes = Sizes(240, 100, 60, counts, counts, per_label=5, per_path=2)
    stages: list[str] = []
    result = evaluate_lsd(
        tiny_data,
        model=scene.model,
        clean=scene.model,
        judge=scene.judge,
        seeds=(0, 1),
        pictures=tiny_data / "pictures",
        sizes=sizes,
        progress=lambda stage, done, total: stages.append(stage),
    )
    return json.loads(json.dumps(plain(result))), stages


def test_whole_evaluation_has_the_stable_keys(
    evaluated: tuple[dict[str, Any], list[str]], tiny_data: Path
) -> None:
    figures, stages = evaluated
    for key in ("rank", "condition", "labels_one_to_one"):
        assert set(figures["basis"][key]) == {"paper", "ours"}
    for key in ("in_label_slots", "rank_cumulative", "energy", "classifier_accuracy"):
        assert set(figures["readings"][key]) == {"paper", "ours"}
        assert set(figures["readings_clean_encoder"][key]) == {"paper", "ours"}
    expected = {"noisy", "median", "total_variation", "non_local_means", "decode", "pca_top_k"}
    for noise in NOISES:
        methods = figures["denoise"][noise.kind][noise.level]
        assert expected | {"random_top_k", "lsd"} <= set(methods)
        for found in methods.values():
            assert all(math.isfinite(found[key]) for key in ("psnr", "ssim", "accuracy"))
            assert len(found["by_seed"]["psnr"]) == 2
        assert figures["denoise_best"][noise.kind][noise.level]["psnr"] in methods
        assert "lsd" in figures["denoise_clean_encoder"][noise.kind][noise.level]
    for method in ("rotate", "paper_rank_1", "lerp_to_mean"):
        assert 0 <= figures["rotation"][method]["success_rate"] <= 1
        assert 0 <= figures["rotation"][method]["style_survival"] <= 1
    assert figures["basis"]["rank"]["ours"] == SIZE
    assert figures["basis"]["labels_one_to_one"] == {"paper": LABELS, "ours": LABELS}
    assert figures["readings"]["classifier_accuracy"]["ours"] == 1
    assert figures["claims"] == plain(claims(figures, LABELS, SIZE))
    assert {"rotation_grid.png", "spectra.png", "rank_curves.png", "one_to_one.png"} <= {
        file.name for file in (tiny_data / "pictures").iterdir()
    }
    assert "rotate" in stages


def test_report_is_made_of_whole_tables(evaluated: tuple[dict[str, Any], list[str]]) -> None:
    text = report(evaluated[0])
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) >= 12
    for rows in blocks:
        assert len({row.count("|") for row in rows}) == 1
    for measure in ("accuracy", "psnr", "ssim"):
        assert evaluated[0]["denoise_best"]["gaussian"]["0.5"][measure]
    assert sum(rows[-1].startswith("| best |") for rows in blocks) == 6


def test_report_names_the_winner_even_where_it_is_not_ours(
    evaluated: tuple[dict[str, Any], list[str]],
) -> None:
    figures = json.loads(json.dumps(evaluated[0]))
    for levels in figures["denoise"].values():
        for methods in levels.values():
            methods["median"]["accuracy"] = 2.0
    rows = [row for row in report(figures).splitlines() if row.startswith("| best |")]
    count = sum(len(levels) for levels in figures["denoise"].values())
    assert rows[0] == "| best | " + " | ".join(["median filter"] * count) + " |"


def test_claims_say_where_an_aim_is_missed() -> None:
    def method(accuracy: float, quality: float) -> dict[str, float]:
        return {"accuracy": accuracy, "psnr": quality, "ssim": 0.5}

    both = SimpleNamespace(of=lambda value: {"paper": value, "ours": value})
    figures = {
        "basis": {
            "labels_one_to_one": both.of(10),
            "rank": both.of(100),
            "condition": both.of(1.0),
            "reconstruction_error": both.of(1e-7),
        },
        "readings": {"in_label_slots": both.of(0.97), "classifier_accuracy": both.of(0.99)},
        "denoise": {
            "gaussian": {
                "0.3": {},
                "0.5": {
                    "decode": method(0.95, 18.0),
                    "pca_top_k": method(0.90, 18.5),
                    "random_top_k": method(0.80, 15.0),
                    "lsd": method(0.95, 17.6),
                },
            }
        },
        "rotation": {
            "rotate": {"success_rate": 0.95, "style_survival": 0.5},
            "paper_rank_1": {"success_rate": 0.99, "style_survival": 0.45},
        },
    }
    missed = [str(claim["claim"]) for claim in claims(figures, 10, 100) if not claim["met"]]
    assert missed == [
        "digits in a label slot (1 - gibberish)",
        "accuracy of LSD at sigma 0.5",  # equal is not better
        "style that survives a rotation",
    ]


def test_limits_and_seeds_are_checked(tiny_data: Path) -> None:
    scene = bench()
    with pytest.raises(FaceLatentsError, match="limit must be 1"):
        evaluate_lsd(tiny_data, model=scene.model, judge=scene.judge, limit=0)
    with pytest.raises(FaceLatentsError, match="one seed"):
        evaluate_lsd(tiny_data, model=scene.model, judge=scene.judge, seeds=())
    small = Sizes().limited(50)
    assert (small.readings, small.denoise.test, small.per_label) == (50, 50, 5)


def test_benchmark_tells_every_step_beside_the_matrix_products() -> None:
    figures = spectral_benchmark(2, codes=50, dimension=16)
    assert figures["steps"][PRODUCTS]["ratio"] == 1
    for name, step in figures["steps"].items():
        assert step["seconds_best"] <= step["seconds"]
        assert f"| {name} |" in spectral_report(figures)

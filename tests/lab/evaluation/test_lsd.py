"""The whole evaluation of latent spectral decomposition on a tiny model and tiny data."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from face_latents.lab.bench.spectral import PRODUCTS, spectral_benchmark, spectral_report
from face_latents.lab.commands import plain
from face_latents.lab.evaluation.lsd import denoise
from face_latents.lab.evaluation.lsd.claims import claims
from face_latents.lab.evaluation.lsd.denoise import Counts
from face_latents.lab.evaluation.lsd.model import balanced, load_digits
from face_latents.lab.evaluation.lsd.noise import NOISES
from face_latents.lab.evaluation.lsd.report import report
from face_latents.lab.evaluation.lsd.run import LsdEvaluation, Sizes, evaluate_lsd
from face_latents.models.errors import FaceLatentsError
from lsd_support import LABELS, SIDE, SIZE, bars, measured_model

FEW_NOISES = tuple(
    noise for noise in NOISES if noise.level in ("0.5", "1.0", "30%", "8px")
)  # of every kind


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
    measured = measured_model()
    counts = Counts(test=12, slow=2, tune=8, tune_slow=2, by_k=8)
    sizes = Sizes(240, 100, 60, counts, counts, per_label=5, per_path=2)
    stages: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(denoise, "NOISES", FEW_NOISES)
        result = evaluate_lsd(
            tiny_data,
            LsdEvaluation(seeds=(0, 1), pictures=tiny_data / "pictures"),
            model=measured.model,
            others={"clean_encoder": measured.model},
            classifier=measured.classifier,
            sizes=sizes,
            progress=lambda stage, done, total: stages.append(stage),
        )
    return json.loads(json.dumps(plain(result))), stages


def test_whole_evaluation_has_the_stable_keys(
    evaluated: tuple[dict[str, Any], list[str]], tiny_data: Path
) -> None:
    figures, stages = evaluated
    for key in ("rank", "condition", "labels_one_to_one"):
        assert set(figures["basis"][key]) == {"paper", "ours", "ours_random"}
    for key in ("in_label_slots", "rank_cumulative", "energy", "classifier_accuracy"):
        assert set(figures["readings"][key]) == {"paper", "ours", "ours_random"}
        assert set(figures["readings_clean_encoder"][key]) == {"paper", "ours", "ours_random"}
    expected = {"noisy", "median", "total_variation", "non_local_means", "decode", "pca_top_k"}
    for noise in FEW_NOISES:
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
    assert set(figures["basis"]["labels_one_to_one"].values()) == {LABELS}
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
    def method(accuracy: float, quality: float) -> dict[str, object]:
        by_seed = {"accuracy": [accuracy - 0.01, accuracy + 0.01]}
        return {"accuracy": accuracy, "psnr": quality, "ssim": 0.5, "by_seed": by_seed}

    both = SimpleNamespace(of=lambda value: dict.fromkeys(("paper", "ours", "ours_random"), value))
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
                    "lsd": method(0.95, 17.6) | {"by_seed": {"accuracy": [0.95, 0.95]}},
                },
            }
        },
        "rotation": {
            "rotate": {"success_rate": 0.95, "style_survival": 0.5},
            "paper_rank_1": {"success_rate": 0.99, "style_survival": 0.45},
        },
    }
    compared = [claim for claim in claims(figures, 10, 100) if "seeds_ahead" in claim]
    assert [claim["seeds_ahead"] for claim in compared] == ["1 of 2"]
    missed = [str(claim["claim"]) for claim in claims(figures, 10, 100) if not claim["met"]]
    assert missed == [
        "digits in a label slot (1 - gibberish)",
        "the same, label vectors completed at random",
        "accuracy of LSD at sigma 0.5",  # equal is not better
        "style that survives a rotation",
    ]


def test_limits_and_seeds_are_checked(tiny_data: Path) -> None:
    measured = measured_model()
    with pytest.raises(FaceLatentsError, match="limit must be 1"):
        evaluate_lsd(tiny_data, LsdEvaluation(limit=0), model=measured.model)
    with pytest.raises(FaceLatentsError, match="one seed"):
        evaluate_lsd(tiny_data, LsdEvaluation(seeds=()), model=measured.model)
    small = Sizes().limited(50)
    assert (small.readings, small.denoise.test, small.per_label) == (50, 50, 5)


def test_benchmark_tells_every_step_beside_the_matrix_products() -> None:
    figures = spectral_benchmark(2, codes=50, dimension=16)
    assert figures["steps"][PRODUCTS]["ratio"] == 1
    for name, step in figures["steps"].items():
        assert step["seconds_best"] <= step["seconds"]
        assert f"| {name} |" in spectral_report(figures)

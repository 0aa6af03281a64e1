"""The paper's claim in several settings, on a model whose labels are known exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents.lab.evaluation.lsd import paper
from face_latents.lab.evaluation.lsd.bases import MeasuredBasis
from face_latents.lab.evaluation.lsd.model import Digits
from face_latents.lab.evaluation.lsd.paper_report import report
from face_latents.models.errors import FaceLatentsError
from lsd_support import LABELS, SIZE, bars, measured_model, normal

FEW = paper.PaperEvaluation(
    Path("e.safetensors"), (0, 1), codes=120, labelled=120, draws=200, readings=80, decoded=40
)


@pytest.fixture(scope="module")
def figures() -> dict:
    measured = measured_model()
    sources = {
        "paper": paper.Source(measured, lambda pictures: torch.full((len(pictures), SIZE), 0.05)),
        "bundled": paper.Source(measured),
    }
    quality = {"confidence": 0.9, "classes": [0.1, 0.2], "coverage": 0.5, "frechet": 3.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paper, "_sources", lambda *_: sources)
        patch.setattr(paper, "_quality", lambda *_: {"generated": quality, "reference": quality})
        patch.setattr(paper, "load_digits", lambda _, train: bars(120, 0 if train else 1))
        return paper.evaluate_paper(Path(), FEW, model=measured.model)


def test_the_label_vectors_of_bars_hold_the_labels_and_the_controls_do_not(figures: dict) -> None:
    for encoder, construction in paper.columns(figures):
        found = figures["settings"][encoder][construction]
        labels, chance = found[paper.LABELS], found[paper.RANDOM]
        assert labels["slots"]["mean"] == 1
        assert labels["rank 1"]["mean"] == 1
        assert labels["alone accuracy"]["mean"] == 1
        assert labels["energy"]["mean"] > 0.8
        assert chance["energy"]["mean"] < 0.6
        assert chance["alone psnr"]["mean"] < labels["alone psnr"]["mean"]
        assert sum(each["mean"] for each in found["one_to_one"].values()) == LABELS


def test_only_what_is_drawn_has_a_spread(figures: dict) -> None:
    ours = figures["settings"]["paper"]["ours"]
    assert all(found["spread"] == 0 for found in ours[paper.LABELS].values())
    assert ours[paper.RANDOM]["energy"]["spread"] > 0
    assert figures["settings"]["paper"]["paper"][paper.LABELS]["energy"]["spread"] > 0
    assert figures["settings"]["paper"]["deviation"] == pytest.approx(0.05)


def test_the_report_is_a_whole_table(figures: dict) -> None:
    blocks = [b.splitlines() for b in report(figures).split("\n\n") if b.startswith("|")]
    assert len(blocks) == 2
    assert "A share of 40 digits has a standard deviation of at most 0.079." in report(figures)
    for rows in blocks:
        assert len({row.count("|") for row in rows}) == 1
    assert blocks[0][0].count("basis") == 4
    assert "| 0.33 |" in next(row for row in blocks[0] if "one of the first 4: label" in row)


def test_a_control_gets_the_order_that_suits_it_best() -> None:
    codes, labels = normal(200, SIZE), torch.arange(200) % 3
    codes[torch.arange(200), (labels + 1) % 3] += 9  # each label lies on the next axis
    basis = MeasuredBasis(torch.eye(SIZE), 3, None, torch.eye(SIZE), signed=True)
    found = paper.matched(basis, Digits(codes, labels)).vectors
    assert torch.equal(found[:3], torch.eye(SIZE)[[1, 2, 0]])
    assert torch.equal(found[3:], torch.eye(SIZE)[3:])


def test_the_subspace_alone_keeps_the_first_coefficients() -> None:
    measured, digits = measured_model(), bars(40)
    codes = measured.encode(digits.pictures)
    axes = MeasuredBasis(torch.eye(SIZE), LABELS, None, torch.eye(SIZE), signed=True)
    kept = torch.cat([codes[:, :LABELS], torch.zeros(40, SIZE - LABELS)], 1)
    expected = paper.likeness(measured, measured.decode(kept), digits)
    found = paper.alone(axes, measured, codes, digits)
    assert found["alone psnr"] == pytest.approx(expected["psnr"], abs=1e-4)
    assert found["stretched psnr"] != found["alone psnr"]


def test_what_is_missing_is_told() -> None:
    with pytest.raises(FaceLatentsError, match="train digits-gan"):
        paper.evaluate_paper(Path(), FEW)
    with pytest.raises(FaceLatentsError, match="one seed"):
        paper.evaluate_paper(
            Path(), paper.PaperEvaluation(Path("e"), ()), model=measured_model().model
        )


def test_a_label_that_no_decode_shows_gets_the_codes_of_its_digits() -> None:
    measured, digits = measured_model(), bars(80)
    codes = measured.encode(digits.pictures)
    codes[digits.labels == 1] = -codes[digits.labels == 1]  # decodes to no bar at all
    found = paper.paper_basis(measured, Digits(codes, digits.labels), 200, 0)
    expected = codes[digits.labels == 1].double().mean(0)
    torch.testing.assert_close(found.raw[1], expected, atol=1e-5, rtol=1e-5)

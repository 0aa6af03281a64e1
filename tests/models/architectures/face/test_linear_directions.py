"""Directions from labelled codes: recovered where planted, apart where entangled."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.training.face.directions import (
    ATTRIBUTES,
    CONTROLS,
    Attribute,
    edit_vectors,
    half_colours,
    held_out,
    score_vectors,
)
from sklearn.metrics import roc_auc_score

COUNT = 24
EVEN = Attribute("even", "even", +1, False, ("other",), False, "")
OTHER = Attribute("other", "other", +1, False, ("even",), False, "")
ODD = Attribute("odd", "odd", -1, False, (), False, "")


@pytest.fixture
def planted() -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(6000, COUNT, generator=generator)
    parity = torch.ones(COUNT)
    parity[COUNT // 2 :] = -1
    truth = torch.zeros(3, COUNT)
    truth[0, :4] = torch.tensor([1.0, -2.0, 0.5, 1.0])
    truth[1, 2:6] = torch.tensor([1.0, 1.0, -1.0, 2.0])  # shares two coefficients with the first
    truth[2, -3:] = torch.tensor([1.0, 0.0, -1.0])
    truth = torch.nn.functional.normalize(truth, dim=1)
    noise = torch.randn(6000, 3, generator=generator) * 0.5
    values = codes @ truth.T + noise
    labels = {name: values[:, i] * 7 + 40 for i, name in enumerate(("even", "other", "odd"))}
    return codes, labels, parity, truth


def test_scores_recover_what_was_planted(planted) -> None:  # type: ignore[no-untyped-def]
    codes, labels, parity, truth = planted
    kept = codes.clone()
    scores = score_vectors(codes, labels, parity, (EVEN, OTHER, ODD))
    assert torch.equal(codes, kept)
    for i, name in enumerate(("even", "other", "odd")):
        assert scores[name] @ truth[i] > 0.995
        assert abs(float(scores[name].norm()) - 1) < 1e-5
    assert not scores["even"][parity < 0].any()
    assert not scores["odd"][parity > 0].any()


def test_edits_undo_the_entanglement() -> None:
    # codes that change with two labels, which go together in the data
    generator = torch.Generator().manual_seed(1)
    cause = torch.randn(8000, 2, generator=generator)
    cause[:, 1] = 0.7 * cause[:, 0] + 0.7 * cause[:, 1]
    effect = torch.zeros(2, COUNT)
    effect[0, 0], effect[1, 1] = 0.8, 0.8
    codes = cause @ effect + torch.randn(8000, COUNT, generator=generator) * 0.6
    labels = {"even": cause[:, 0], "other": cause[:, 1]}
    parity = torch.ones(COUNT)
    colours = torch.rand(8000, 6, generator=generator)
    scores = score_vectors(codes, labels, parity, (EVEN, OTHER))
    edits = edit_vectors(codes, labels, colours, parity, (EVEN, OTHER))
    # read off, each uses the other's coefficient; as edits they move their own only
    assert abs(float(scores["even"][1])) > 0.1
    assert edits["even"][0] > 0.99
    assert abs(float(edits["even"][1])) < 0.04
    assert edits["other"][1] > 0.99
    for vector in edits.values():
        assert abs(float(vector.norm()) - 1) < 1e-5


def test_edits_keep_parity_and_colour(planted) -> None:  # type: ignore[no-untyped-def]
    codes, labels, parity, truth = planted
    colours = torch.rand(len(codes), 6, generator=torch.Generator().manual_seed(2))
    keep = Attribute("even", "even", +1, False, (), True, "")
    plain = edit_vectors(codes, labels, colours, parity, (EVEN, ODD))
    assert not plain["even"][parity < 0].any()
    assert not plain["odd"][parity > 0].any()
    assert plain["odd"] @ truth[2] > 0.99
    # a colour that goes with coefficient 0 must be kept, so the direction loses it
    colours = colours + 0.5 + 0.1 * codes[:, :1]
    kept = edit_vectors(codes, labels, colours, parity, (keep,))
    assert abs(float(kept["even"][0])) < abs(float(plain["even"][0])) - 0.05


def test_colours_of_the_halves() -> None:
    crops = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    crops[0, 0, :, :4] = 255
    crops[0, 2, :, 4:] = 51
    expected = torch.tensor([[1.0, 0.001, 0.001, 0.001, 0.001, 0.2]])
    torch.testing.assert_close(half_colours(FaceSet(crops, ({},))), expected)


def test_held_out_figures_agree_with_references() -> None:
    generator = np.random.default_rng(0)
    labels = generator.random(200)
    values = labels + generator.normal(size=200)
    tensor_values, tensor_labels = torch.from_numpy(values), torch.from_numpy(labels)
    assert held_out(tensor_values, tensor_labels, True) == pytest.approx(
        roc_auc_score(labels > 0.5, values)
    )
    assert held_out(tensor_values, tensor_labels, False) == pytest.approx(
        np.corrcoef(values, labels)[0, 1]
    )
    assert np.isnan(held_out(tensor_values, torch.zeros(200), True))


def test_attributes_are_consistent() -> None:
    names = [a.name for a in (*ATTRIBUTES, *CONTROLS)]
    assert len(set(names)) == len(names)
    for attribute in ATTRIBUTES:
        assert set(attribute.kept) <= set(names) - {attribute.name}
        assert attribute.parity in (1, -1)

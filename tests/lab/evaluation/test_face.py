"""The commands that train the judge and measure the face model, on a few drawn photos."""

from __future__ import annotations

import json
import math
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_data_support import make_faces, make_people
from face_latents.cli.main import main
from face_latents.lab.evaluation.face import speed, whole
from face_latents.models.face_model import FaceModel
from face_latents.models.judge import load_judge, read

DIRECTIONS = ("smile", "beard", "gaze_left_right", "head_turn")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, face_model: FaceModel) -> Path:
    """A folder like that of the data."""
    folder = tmp_path_factory.mktemp("data")
    make_faces(folder / "faces", face_model, train=6, val=3)
    make_people(folder / "sharp", face_model)
    return folder


@pytest.fixture
def few_directions(monkeypatch: pytest.MonkeyPatch, face_model: FaceModel) -> None:
    """The bundled model with some of its directions, and its speed taken from few rounds."""
    directions = {name: face_model.directions[name] for name in DIRECTIONS}
    small = replace(face_model, directions=directions)
    monkeypatch.setattr(whole, "load_face_model", lambda path: small)
    monkeypatch.setattr(speed, "ROUNDS", 1)


def evaluate(data: Path, report: Path, *settings: str) -> dict:
    command = ["evaluate", "face", *settings, "--data", str(data), "--json", str(report)]
    assert main(command) == 0
    return json.loads(report.read_text(encoding="utf-8"))


def test_train_judge(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "judge.safetensors"
    given = ["steps=3", "--data", str(data), "--output", str(target)]
    assert main(["train", "judge", *given]) == 0
    figures = json.loads(json.loads(capsys.readouterr().out)["metrics"])
    assert figures["val_faces"] == 3
    assert 0 < read(load_judge(target), torch.rand(2, 3, 128, 128))["smile"].min() < 1


def test_identity_is_measured_with_a_recogniser_of_ones_own(
    data: Path, tmp_path: Path, few_directions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[torch.Size] = []

    def anyone(crops: torch.Tensor) -> torch.Tensor:
        """Whom it sees is told by the order, turned round for edited faces."""
        asked.append(crops.shape)
        order = torch.arange(len(crops)).float()[:, None]
        return order if len(asked) == 1 else order.flip(0)

    module = types.ModuleType("own_recogniser")
    anyone.__module__ = module.__name__
    monkeypatch.setattr(module, "anyone", anyone, raising=False)
    monkeypatch.setitem(sys.modules, "own_recogniser", module)
    own = ("parts=edits", "edit_faces=3", "recogniser=own_recogniser:anyone")
    edits = evaluate(data, tmp_path / "face.json", *own)["edits"]
    assert edits["identity_measure"] == "own_recogniser:anyone"
    # only the middle face is itself, and nobody else can have a beard
    by_attribute = edits["by_attribute"]
    assert set(by_attribute) == {"smile", "beard", "head_turn"}
    assert by_attribute["beard"]["identity_percentile"] == 1
    assert by_attribute["smile"]["identity_percentile"] == pytest.approx(1 / 3, abs=1e-3)
    assert asked == [torch.Size([3, 3, 224, 224])] * (1 + len(by_attribute))


def test_everything_is_in_one_report(data: Path, tmp_path: Path, few_directions: None) -> None:
    few = ("faces=3", "edit_faces=2", f"out_dir={tmp_path / 'sheets'}")
    figures = evaluate(data, tmp_path / "face.json", *few)
    assert set(figures["left_out"]) == {"finder", "paste"}
    measured = set(whole.PARTS) - set(figures["left_out"])
    assert set(figures) == measured | {"groups", "weights_mb", "left_out"}
    faces = {name: row["faces"] for name, row in figures["edits"]["by_attribute"].items()}
    assert faces == {"smile": 2, "beard": 1, "head_turn": 2}  # the second of two is male
    assert figures["edits"]["identity_measure"] == "gradient histograms"
    assert figures["groups"]["gender=female"]["faces"] == 2
    # what the model drew, it draws again
    assert figures["recon"]["psnr"] > 25
    assert figures["recon"]["attribute_agreement"] > 0.6
    assert figures["landmarks"]["sets"].keys() == {"sharp"}
    assert figures["landmarks"]["nme_rolled"] < 0.15
    smiles = figures["smiles"]
    assert (smiles["persons"], smiles["cross_validated"]["persons"]) == (1, 2)
    assert smiles["rest_measured"] <= smiles["rest"] < 1
    assert set(figures["expressions"]) == {"smile", "gaze_left_right"}
    assert set(figures["ranges"]) == set(DIRECTIONS)
    assert figures["pose"]["error_deg"] < 15
    assert "identity_pitch10" not in figures["pose"]  # no head_nod among the directions
    assert figures["morph"]["pairs"] == 1
    assert figures["samples"]["faces"] == 3
    assert 0 < figures["speed"]["slider_ms"] <= figures["speed"]["slider_ms_float32"]
    names = {file.name for file in (tmp_path / "sheets").iterdir()}
    assert names == {"reconstruction.png", *(f"edit_{name}.png" for name in DIRECTIONS)}


def test_what_cannot_be_measured_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = ["evaluate", "face", "parts=recon,smiles", "--data", str(tmp_path)]
    assert main(empty) != 0
    said = capsys.readouterr().err
    assert "recon needs the table of faces" in said
    assert "smiles needs the folder sharp" in said
    assert main(["evaluate", "face", "parts=noses", "--data", str(tmp_path)]) != 0
    assert "there is no noses" in capsys.readouterr().err
    wrong = ["evaluate", "face", "recogniser=nobody:embed", "--data", str(tmp_path)]
    assert main(wrong) != 0
    assert "MODULE:FUNCTION" in capsys.readouterr().err


def test_a_model_of_another_kind_is_measured_as_far_as_it_goes(
    data: Path, face_model: FaceModel
) -> None:
    able = replace(face_model.capabilities, editor=None)
    smile = {"smile": face_model.directions["smile"]}
    other = replace(face_model, module=torch.nn.Identity(), capabilities=able, directions=smile)
    settings = whole.FaceEvaluation(parts="pose,smiles", edit_faces=1)
    figures = whole.evaluate_whole(data, settings, model=other)
    assert figures["left_out"] == {"pose": "needs a model of shape and appearance"}
    smiles = figures["smiles"]
    assert isinstance(smiles, dict)
    assert "cross_validated" not in smiles
    assert math.isfinite(smiles["rest"])

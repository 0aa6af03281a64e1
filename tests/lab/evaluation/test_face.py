"""The commands that train the judge and measure the face model, on a few drawn photos."""

from __future__ import annotations

import csv
import io
import json
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from face_latents.cli.main import main
from face_latents.lab.data.faces import AGE_BINS
from face_latents.lab.evaluation.face import whole
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import LANDMARK_NAMES
from face_latents.models.judge import load_judge, read
from PIL import Image

NUMBERS = {"smile": 0.8, "glasses": 0.1, "beard": 0.2, "mouth_open": 0.6, "yaw_proxy": 0.05}

GEOMETRY = {"faces", "width_before", "width_after", "wider_share", "lift_mean", "lifted_share"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, face_model: FaceModel) -> Path:
    """A folder like that of the face data: faces of the bundled model as photos."""
    folder = tmp_path_factory.mktemp("faces")
    pictures = face_model.decode(face_model.sample(18, seed=3)).clamp(0, 1)
    points = face_model.template.pixels().tolist()
    rows = []
    with zipfile.ZipFile(folder / "faces-00.zip", "w") as archive:
        for i, picture in enumerate(pictures):
            stream = io.BytesIO()
            pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8)
            Image.fromarray(pixels.numpy()).save(stream, "PNG")
            archive.writestr(f"{i}.png", stream.getvalue())
            row = {"name": f"{i}.png", "shard": "faces-00.zip", "tier": "1"}
            row["split"] = "val" if i < 6 else "train"
            row["age_bin"], row["gender"] = AGE_BINS[i % 6], ("female", "male")[i % 2]
            row.update({name: str(value * (i % 3) / 2) for name, value in NUMBERS.items()})
            for name, point in zip(LANDMARK_NAMES, points, strict=True):
                row[f"{name}_x"], row[f"{name}_y"] = (str(value) for value in point)
            rows.append(row)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture
def few_directions(monkeypatch: pytest.MonkeyPatch, face_model: FaceModel) -> None:
    """The bundled model with two of its directions, and its speed taken from few rounds."""
    directions = {name: face_model.directions[name] for name in ("smile", "beard")}
    small = replace(face_model, directions=directions)
    monkeypatch.setattr(whole, "load_face_model", lambda path: small)
    monkeypatch.setattr(whole, "ROUNDS", 1)


def test_train_judge(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "judge.safetensors"
    given = ["steps=3", "--data", str(data), "--output", str(target)]
    assert main(["train", "judge", *given]) == 0
    figures = json.loads(json.loads(capsys.readouterr().out)["metrics"])
    assert figures["val_faces"] == 6
    assert 0 < read(load_judge(target), torch.rand(2, 3, 128, 128))["smile"].min() < 1


def test_identity_is_measured_with_a_recogniser_of_ones_own(
    data: Path, tmp_path: Path, few_directions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def anyone(crops: torch.Tensor) -> torch.Tensor:
        """Whom it sees is told by the order, turned round for edited faces."""
        asked.append(len(crops))
        order = torch.arange(len(crops)).float()[:, None]
        return order if len(asked) == 1 else order.flip(0)

    module = types.ModuleType("own_recogniser")
    anyone.__module__ = module.__name__
    monkeypatch.setattr(module, "anyone", anyone, raising=False)
    monkeypatch.setitem(sys.modules, "own_recogniser", module)
    report = tmp_path / "face.json"
    settings = ["parts=recon", "edit_faces=3", "recogniser=own_recogniser:anyone"]
    assert main(["evaluate", "face", *settings, "--data", str(data), "--json", str(report)]) == 0
    edits = json.loads(report.read_text(encoding="utf-8"))["edits"]
    assert edits["identity_measure"] == "own_recogniser:anyone"
    # only the middle face is itself, and nobody else can have a beard
    assert edits["identity_percentile"] == pytest.approx((1 + 1) / (3 + 1), abs=1e-3)
    assert asked == [3] * (1 + len(edits["by_attribute"]))


def test_everything_is_in_one_report(data: Path, tmp_path: Path, few_directions: None) -> None:
    report = tmp_path / "face.json"
    command = ["evaluate", "face", "edit_faces=3", "--data", str(data), "--json", str(report)]
    assert main(command) == 0
    figures = json.loads(report.read_text(encoding="utf-8"))
    assert {"recon", "edits", "groups", "weights_mb", "speed"} <= set(figures)
    edits = figures["edits"]
    faces = {name: row["faces"] for name, row in edits["by_attribute"].items()}
    assert faces == {"smile": 3, "beard": 1}  # the second of three is male
    assert set(edits["smile_geometry"]) == GEOMETRY
    assert edits["identity_measure"] == "gradient histograms"
    assert edits["identity_percentile"] > 0.7
    assert set(figures["left_out"]) == {"finder", "paste"}
    assert 0 < figures["speed"]["slider_ms"] <= figures["speed"]["slider_ms_float32"]
    only = ["evaluate", "face", "parts=speed", "--data", str(data), "--json", str(report)]
    assert main(only) == 0
    assert set(json.loads(report.read_text(encoding="utf-8"))) == {"speed"}


def test_a_recogniser_that_is_not_there(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "face", "recogniser=nobody:embed", "--data", str(data)]) != 0
    assert "MODULE:FUNCTION" in capsys.readouterr().err

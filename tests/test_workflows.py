"""The shipped workflows: complete as files; those for StyleGAN2 run with small random weights."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import host_server
import numpy as np
import pytest
from face_latents.cli.runner.graph import WorkflowError
from face_latents.cli.runner.run import Outcome, prepare
from face_latents.models.threads import one_thread
from face_latents.nodes import host
from PIL import Image
from skimage import data

FOLDER = host_server.PACK / "workflows"
EVERY = sorted(FOLDER.glob("*.json"))
STYLEGAN2 = [path for path in EVERY if host_server.STYLEGAN2_FILE in path.read_text("utf-8")]

# What each saves: file name prefix, and how many pictures.
SAVED = {
    "sample_stylegan2": {"stylegan2_faces": 6, "stylegan2_cutoff": 6},
    "style_mix": {"style_mix": 5},
    "stylegan2_sefa_directions": {"sefa_coarse": 1, "sefa_fine": 1, "sefa_edit": 6},
    "stylegan2_pca_directions": {"pca_directions": 1, "pca_edit": 3},
    "stylegan2_invert_and_edit": {
        "stylegan2_edit": 1,
        "stylegan2_edit_directions": 1,
        "stylegan2_inversion": 1,
    },
}
QUICKER = {
    "stylegan2_invert_and_edit": ["Encode Face.refine_steps=3"],
    "stylegan2_pca_directions": ["PCA Directions.samples=50"],
}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "example.png"
    Image.fromarray(data.astronaut()).crop((110, 0, 350, 240)).save(path)
    return path


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder models/face_latents of the stand-alone nodes."""
    folder = tmp_path / "models"
    for name in ("input", "output", "temp"):  # the runner sets them
        monkeypatch.setattr(host.stand_alone, name, getattr(host.stand_alone, name))
    monkeypatch.setattr(host.stand_alone, "models", folder)
    return folder


def run(path: Path, photo: Path, output: Path, *settings: str) -> Outcome:
    given = [*QUICKER.get(path.stem, []), *settings]
    with one_thread():
        (outcome,) = prepare(path, output, settings=given, photos=photo.parent).run()
    return outcome


def pictures(outcome: Outcome) -> dict[str, list[np.ndarray]]:
    """Saved pictures by file name prefix."""
    found: dict[str, list[np.ndarray]] = {}
    for path in outcome.saved("output"):
        prefix = path.name.rsplit("_", 2)[0]
        found.setdefault(prefix, []).append(np.asarray(Image.open(path).convert("RGB")))
    return found


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_workflow_has_a_thumbnail_a_note_and_file_names_of_its_own(path):
    thumbnail = Image.open(path.with_suffix(".jpg"))
    assert (thumbnail.size, thumbnail.format) == ((400, 300), "JPEG")
    nodes = json.loads(path.read_text("utf-8"))["nodes"]
    notes = [node for node in nodes if node["type"] == "MarkdownNote"]
    assert len(notes) == 1
    assert notes[0]["widgets_values"][0].startswith("## ")
    prefixes = [node["widgets_values"][0] for node in nodes if node["type"].startswith("Save")]
    assert prefixes
    assert max(Counter(prefixes).values()) == 1


def test_every_stylegan2_workflow_is_run_below():
    assert {path.stem for path in STYLEGAN2} == set(SAVED)


@pytest.mark.parametrize("path", STYLEGAN2, ids=lambda path: path.stem)
def test_a_stylegan2_workflow_runs(path, photo, models, tmp_path):
    host_server.add_stylegan2_model(models)
    found = pictures(run(path, photo, tmp_path / "out"))
    assert {prefix: len(items) for prefix, items in found.items()} == SAVED[path.stem]
    for prefix, items in found.items():
        for picture in items:
            assert picture.std() > 3, prefix  # something is drawn
        assert len({picture.tobytes() for picture in items}) == len(items), prefix


@pytest.mark.parametrize("path", STYLEGAN2, ids=lambda path: path.stem)
def test_without_the_model_a_stylegan2_workflow_says_what_to_do(path, photo, models, tmp_path):
    models.mkdir()
    with pytest.raises(WorkflowError, match=r"Load Face Model.*no face model.*stylegan2-ffhq") as e:
        run(path, photo, tmp_path / "out")
    assert "face-latents convert WEIGHTS stylegan2-ffhq.safetensors" in str(e.value)
    assert str(models) in str(e.value)
    assert not (tmp_path / "out").exists()


def test_style_mix_workflow_keeps_the_first_face_where_nothing_is_mixed(photo, models, tmp_path):
    host_server.add_stylegan2_model(models)
    path = FOLDER / "style_mix.json"
    prefix = "Style Mix: %s layers of the second.amount=0"
    settings = [prefix % group for group in ("coarse", "middle", "fine")]
    first, second, *mixes = pictures(run(path, photo, tmp_path / "out", *settings))["style_mix"]
    assert not np.array_equal(first, second)
    for mix in mixes:
        assert np.array_equal(mix, first)

"""Convert Weights: which files are offered, what they become, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from convert_support import LAYOUT, port_state, training_checkpoint
from face_latents import NODE_CLASS_MAPPINGS
from face_latents.models.convert import convert
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel
from face_latents.nodes import host
from face_latents.nodes.model.convert import NO_MODEL
from nodes_support import run
from safetensors.torch import save_file
from stylegan2_support import small_tensors

NODE = NODE_CLASS_MAPPINGS["FaceLatentsConvertWeights"]
MARK = "face-latents-was-run"


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder models/face_latents of the stand-alone nodes."""
    monkeypatch.setattr(host.stand_alone, "models", tmp_path / "models")
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def convert_file(file: str, **more: object) -> tuple[FaceModel, str, str]:
    return run("FaceLatentsConvertWeights", file=file, **{"model": NO_MODEL, **more})


def save_port(path: Path, seed: int = 0) -> None:
    torch.save(training_checkpoint(small_tensors(LAYOUT, seed=seed)), path)


def listed() -> list[str]:
    return NODE.INPUT_TYPES()["required"]["file"][0]


class Hostile:
    """Runs a command where it is unpickled carelessly."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(MARK),)  # type: ignore[return-value]


def test_files_of_other_programs_are_listed_and_converted_ones_are_not(models):
    save_port(models / "net.pt")
    save_file(dict(port_state(small_tensors(LAYOUT))), models / "bare.safetensors")
    (models / "sub").mkdir()
    np.save(models / "sub" / "age.npy", np.ones((1, 32), np.float32))
    (models / "notes.txt").write_text("no weights")
    convert(models / "net.pt", models / "done.safetensors")
    assert listed() == ["bare.safetensors", "net.pt", "sub/age.npy"]


@pytest.mark.parametrize("file", ["net.pt", "bare.safetensors"])
def test_a_network_becomes_a_model_that_draws(models, file):
    tensors = small_tensors(LAYOUT)
    if file == "net.pt":
        save_port(models / file)
    else:
        save_file(dict(port_state(tensors)), models / file)
    model, new, report = convert_file(file, name="faces/mine", licence="CC0", source="here")
    assert new == "faces/mine.safetensors"
    assert (models / new).is_file()
    assert model.metadata["licence"] == "CC0"
    assert model.metadata["source"] == "here"
    assert report.startswith(f"{file}: StyleGAN2 generator")
    assert report.endswith(f"Written: {models / new}")
    assert run("FaceLatentsLoadModel", model=new)[0] is model
    codes = run("FaceLatentsSample", face_model=model, seed=1, truncation_psi=0.7, batch_size=1)[0]
    assert run("FaceLatentsDecode", face_model=model, face_latent=codes)[0].std() > 0
    assert not list(models.glob(".converting*"))


def test_a_second_run_finds_the_file_of_the_first(models):
    save_port(models / "net.pt")
    _, new, _ = convert_file("net.pt")
    written = (models / new).stat().st_mtime_ns
    _, again, report = convert_file("net.pt")
    assert again == new == "net.safetensors"
    assert report.startswith(f"net.pt was converted before: {models / new}")
    assert (models / new).stat().st_mtime_ns == written


def test_another_file_is_never_replaced(models):
    save_port(models / "net.pt")
    convert_file("net.pt")
    kept = (models / "net.safetensors").read_bytes()
    save_port(models / "net.pt", seed=1)
    with pytest.raises(FaceLatentsError, match=r"already, of something else.*another 'name'"):
        convert_file("net.pt")
    assert (models / "net.safetensors").read_bytes() == kept
    assert not list(models.glob(".converting*"))


def test_a_direction_goes_to_the_directions_and_needs_its_model(models):
    save_port(models / "net.pt")
    np.save(models / "age.npy", np.ones((1, 32), np.float32))
    with pytest.raises(FaceLatentsError, match=r"then name it in the input 'model'"):
        convert_file("age.npy")
    convert_file("net.pt")
    model, new, _ = convert_file("age.npy", model="net.safetensors")
    assert new == "directions/age.safetensors"
    loaded = run("FaceLatentsLoadDirection", face_model=model, direction=new)[0]
    assert loaded.name == "age"
    assert convert_file("age.npy", model="net.safetensors")[1] == new  # the same once more
    np.save(models / "age.npy", np.full((1, 32), 2.0, np.float32) * np.arange(32))
    with pytest.raises(FaceLatentsError, match="something else"):
        convert_file("age.npy", model="net.safetensors")


def test_a_network_is_no_direction_whatever_model_is_chosen(models):
    save_port(models / "net.pt")
    assert convert_file("net.pt", model="face (bundled)")[1] == "net.safetensors"


def test_a_pickle_that_runs_something_is_refused_unrun(models, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (models / "bad.pkl").write_bytes(pickle.dumps({"G_ema": Hostile()}))
    with pytest.raises(FaceLatentsError, match=r"Convert Weights: .*bad\.pkl"):
        convert_file("bad.pkl")
    assert not (tmp_path / MARK).exists()
    assert [path.name for path in models.iterdir()] == ["bad.pkl"]


@pytest.mark.parametrize("file", ["../secret.pt", "secret.pt", "/etc/passwd", ""])
def test_only_files_of_the_folder_are_read(models, file):
    save_port(models.parent / "secret.pt")
    assert "There is no file" in str(NODE.VALIDATE_INPUTS(file=file))
    with pytest.raises(FaceLatentsError, match=r"There is no file .*Files that are there: none"):
        convert_file(file)
    assert not list(models.iterdir())


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_the_new_file_stays_in_the_folder(models, name):
    save_port(models / "net.pt")
    with pytest.raises(FaceLatentsError):
        convert_file("net.pt", name=name)
    assert [path.name for path in models.iterdir()] == ["net.pt"]


def test_a_changed_file_is_converted_anew(models):
    save_port(models / "net.pt")
    before = NODE.IS_CHANGED(file="net.pt")
    save_port(models / "net.pt", seed=1)
    (models / "net.pt").open("ab").write(b"x")
    assert NODE.IS_CHANGED(file="net.pt") != before
    assert NODE.IS_CHANGED(file="gone.pt") == "missing"


def test_load_face_model_tells_of_files_that_wait_and_where_weights_are(models):
    load = NODE_CLASS_MAPPINGS["FaceLatentsLoadModel"]
    said = str(load.VALIDATE_INPUTS(model="stylegan2-ffhq.safetensors"))
    assert "Files that wait for it: none. Weights are published by" in said
    assert "encoder4editing" in said
    save_port(models / "net.pt")
    said = str(load.VALIDATE_INPUTS(model="stylegan2-ffhq.safetensors"))
    assert "Convert Weights" in said
    assert "Files that wait for it: net.pt." in said
    info = "waiting for Convert Weights: net.pt"
    assert info in run("FaceLatentsLoadModel", model="digits (bundled)")[1]
    convert_file("net.pt")
    assert info not in run("FaceLatentsLoadModel", model="digits (bundled)")[1]


def test_a_bare_file_in_load_face_model_is_sent_to_convert_weights(models):
    save_file({"decoder.weight": torch.ones(3, 3)}, models / "bare.safetensors")
    with pytest.raises(FaceLatentsError, match="Convert Weights"):
        run("FaceLatentsLoadModel", model="bare.safetensors")

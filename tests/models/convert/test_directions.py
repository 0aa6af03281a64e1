"""Directions of other programs: their numbers, their space, and the model they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.cli.main import main
from face_latents.models.convert import convert
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.face_model import load_face_model
from face_latents.models.files.values import load_direction
from stylegan2_support import small_model_file

LAYERS, WIDTH = 8, 32  # of the model below


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return small_model_file(folder / "model.safetensors", 32, dim=WIDTH, width=4)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape)


def save(path: Path, values: np.ndarray) -> Path:
    """An array as .npy, or as .pt in single precision."""
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        torch.save(torch.from_numpy(values.astype(np.float32)), path)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
@pytest.mark.parametrize(
    ("shape", "space", "stored"),
    [
        ((1, WIDTH), "w", (WIDTH,)),  # InterFaceGAN, e4e
        ((WIDTH,), "w", (WIDTH,)),
        ((1, LAYERS, WIDTH), "w_plus", (LAYERS, WIDTH)),  # e4e's pose
        ((LAYERS, WIDTH), "w_plus", (LAYERS, WIDTH)),
        ((5, WIDTH), "w", (5, WIDTH)),
        ((5, 1, WIDTH), "w", (5, WIDTH)),
        ((5, LAYERS, WIDTH), "w_plus", (5, LAYERS, WIDTH)),
        ((LAYERS * WIDTH,), "w_plus", (LAYERS, WIDTH)),  # flattened, as boundaries of w+ are
        ((1, LAYERS * WIDTH), "w_plus", (LAYERS, WIDTH)),
        ((5, LAYERS * WIDTH), "w_plus", (5, LAYERS, WIDTH)),
    ],
)
def test_shapes(
    tmp_path: Path,
    model: Path,
    suffix: str,
    shape: tuple[int, ...],
    space: str,
    stored: tuple[int, ...],
) -> None:
    values = numbers(*shape)
    file, out = save(tmp_path / f"smile{suffix}", values), tmp_path / "smile.safetensors"
    report = convert(file, out, model=model)
    direction = load_direction(out)
    assert direction.name == "smile"
    assert tuple(direction.vector.shape) == stored
    assert direction.vector.dtype == torch.float32
    assert np.array_equal(direction.vector.flatten(), values.astype(np.float32).flatten())
    loaded = load_face_model(model)
    assert direction.space.same_as(loaded.spaces[space])
    assert report.model_id == loaded.space.model_id
    assert space in report.text()


def test_ganspace(tmp_path: Path, model: Path) -> None:
    comp, std = numbers(6, 1, WIDTH), np.abs(numbers(6)) + 0.1
    content = {"mean": numbers(1, WIDTH), "comp": comp, "std": std}
    file, out = tmp_path / "pca.pt", tmp_path / "pca.safetensors"
    torch.save({name: torch.tensor(value).float() for name, value in content.items()}, file)
    report = convert(file, out, model=model, name="Cars")
    direction = load_direction(out)
    assert direction.name == "Cars"
    assert direction.space.name == "w"
    wanted = torch.tensor(comp[:, 0] * std[:, None]).float()
    assert torch.allclose(direction.vector, wanted, atol=1e-6)
    assert "standard deviation" in direction.unit
    assert list(report.dropped) == ["mean"]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_ganspace_npz(tmp_path: Path, model: Path, write: Callable[..., None]) -> None:
    comp, std = numbers(6, 1, WIDTH), np.abs(numbers(6)) + 0.1
    arrays = {"act_mean": numbers(1, WIDTH), "act_comp": comp, "act_stdev": std}
    arrays |= {"lat_mean": numbers(1, WIDTH), "lat_comp": comp, "var_ratio": std}
    write(tmp_path / "pca.npz", **{name: a.astype(np.float32) for name, a in arrays.items()})
    report = convert(tmp_path / "pca.npz", tmp_path / "pca.safetensors", model=model)
    direction = load_direction(tmp_path / "pca.safetensors")
    assert direction.space.name == "w"
    wanted = torch.tensor(comp[:, 0] * std[:, None]).float()
    assert torch.allclose(direction.vector, wanted, atol=1e-6)
    assert set(report.dropped) == {"act_mean", "lat_mean", "lat_comp", "var_ratio"}


def test_values_of_other_places_and_orders(tmp_path: Path, model: Path) -> None:
    values = numbers(1, WIDTH)
    out = tmp_path / "new.safetensors"
    np.save(tmp_path / "a.npy", np.asfortranarray(values.astype(">f4")))
    convert(tmp_path / "a.npy", out, model=model)
    assert np.array_equal(load_direction(out).vector, values.astype(np.float32)[0])
    tensor = torch.from_numpy(values).float()
    torch.save(torch.nn.Parameter(tensor), tmp_path / "b.pt")
    convert(tmp_path / "b.pt", out, model=model)
    assert torch.equal(load_direction(out).vector, tensor[0])
    torch.save(tensor, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    convert(tmp_path / "c.pt", out, model=model)
    assert torch.equal(load_direction(out).vector, tensor[0])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (numbers(1, 512), "another model"),
        (numbers(18, 512), "another model"),
        (numbers(18, WIDTH), r"of w\+ in a model of 18 layers; model.safetensors has 8"),
        (numbers(3, 14, WIDTH), r"of w\+ in a model of 14 layers"),
        (numbers(1, 18 * WIDTH), r"of w\+ in a model of 18 layers"),
        (numbers(2, 2, 2, WIDTH), "shape"),
        (np.zeros((1, WIDTH)), "zeros"),
        (np.full((1, WIDTH), np.nan), "NaN"),
        (np.ones((1, WIDTH), dtype=np.int64), "floating point"),
        (np.array(3.0), "shape"),
        (np.zeros((0, WIDTH)), "0 directions"),
        (np.array([{"a": 1}], dtype=object), "array of Python objects"),
        (np.array(["a"]), "floating point"),
    ],
)
def test_refused(tmp_path: Path, model: Path, values: np.ndarray, told: str) -> None:
    file, out = tmp_path / "bad.npy", tmp_path / "new.safetensors"
    np.save(file, values, allow_pickle=True)
    with pytest.raises(UnsupportedModelError, match=told):
        convert(file, out, model=model)
    assert not out.exists()


def test_arrays_that_claim_too_much(tmp_path: Path, model: Path) -> None:
    file, out = tmp_path / "bad.npy", tmp_path / "new.safetensors"
    np.save(file, numbers(1, WIDTH))
    content = file.read_bytes()
    for shape in (
        b"(9999999, 32), }",
        b"(-1, 32), }     ",
        b"(exit(), 32), } ",
        b"(((((((((((((((((",
    ):
        file.write_bytes(content.replace(b"(1, 32), }      ", shape))
        with pytest.raises(UnsupportedModelError, match="damaged"):
            convert(file, out, model=model)
    file.write_bytes(content[:-1])
    with pytest.raises(UnsupportedModelError, match="damaged"):
        convert(file, out, model=model)
    assert not out.exists()


def test_the_model_must_be_named(tmp_path: Path, model: Path) -> None:
    file, out = save(tmp_path / "smile.npy", numbers(1, WIDTH)), tmp_path / "new.safetensors"
    with pytest.raises(UnsupportedModelError, match="--model"):
        convert(file, out)
    with pytest.raises(UnsupportedModelError, match="no such file"):
        convert(file, out, model=tmp_path / "none.safetensors")
    convert(file, out, model=model)
    other = tmp_path / "other.safetensors"
    with pytest.raises(UnsupportedModelError, match="not a converted"):
        convert(file, other, model=out)
    assert not other.exists()


def test_command(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = save(tmp_path / "age.npy", numbers(1, WIDTH)), tmp_path / "age.safetensors"
    arguments = ["convert", str(file), str(out), "--model", str(model), "--name", "older"]
    assert main(arguments) == 0
    assert "1 direction in 'w' (32)" in capsys.readouterr().out
    assert load_direction(out).name == "older"

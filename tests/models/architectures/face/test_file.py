"""Files of face models that were made to harm, or are damaged, are refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from face_latents.models.errors import UnsupportedModelError
from face_latents.models.face_model import load_face_model, save_face_model
from face_latents.models.geometry.templates import WIDE
from face_support import SHAPES, SIZE, random_tensors
from torch import Tensor


def change(name: str, value: float, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    tensor = tensors[name].clone()
    tensor.view(-1)[0] = value
    return tensors | {name: tensor}


def load(folder: Path, tensors: dict[str, Tensor]) -> object:
    save_face_model(folder / "face.safetensors", tensors, {}, WIDE.resized(SIZE))
    return load_face_model(folder / "face.safetensors")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("shape.parity", 0, r"shape\.parity must hold only \+1 and -1"),
        ("appearance.parity", 7, r"appearance\.parity must hold only"),
        ("shape.std", 0, r"shape\.std must be positive"),
        ("shape.pose_std", -1, r"shape\.pose_std must be positive"),
        ("appearance.std", 0, r"appearance\.std must be positive"),
        ("triangles", 478, "points from 0 to 477"),
        ("triangles", -1, "points from 0 to 477"),
    ],
)
def test_values_that_make_no_model(tmp_path: Path, name: str, value: float, words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        load(tmp_path, change(name, value, random_tensors()))


@pytest.mark.parametrize(
    "layer",
    [
        "renderer.enter.weight",
        "renderer.down.weight",
        "renderer.leave.weight",
        "renderer.middle.1.second.bias",
        "renderer.places",
        "renderer.detail.first.weight",
        "painter.enter.weight",
        "painter.leave.bias",
        "painter.places",
    ],
)
def test_missing_layers(tmp_path: Path, layer: str) -> None:
    tensors = random_tensors()
    del tensors[layer]
    with pytest.raises(UnsupportedModelError, match=layer.split(".")[0]) as caught:
        load(tmp_path, tensors)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("renderer.enter.weight", (8, 3, 3)),
        ("renderer.places", (8, SIZE, SIZE)),
        ("renderer.leave.weight", ()),
        ("painter.enter.weight", (8, 3, 3)),
        ("painter.places", (6, SIZE, SIZE)),
        ("triangles", (918,)),
        ("shape.std", (SHAPES + 1,)),
        ("shape.parity", (SHAPES, 2)),
        ("appearance.mean", (6, 4, 4)),
    ],
)
def test_tensors_of_odd_shapes(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    tensors = random_tensors()
    tensors[name] = torch.ones(shape).to(tensors[name].dtype)
    with pytest.raises(UnsupportedModelError):
        load(tmp_path, tensors)


@pytest.mark.parametrize("name", ["canon", "shape.basis", "appearance.components"])
def test_other_files_are_no_face_model(tmp_path: Path, name: str) -> None:
    tensors = random_tensors()
    del tensors[name]
    with pytest.raises(UnsupportedModelError, match="not a face model known here"):
        load(tmp_path, tensors)


def test_components_that_depend_on_each_other(tmp_path: Path) -> None:
    tensors = random_tensors()
    components = tensors["appearance.components"].clone()
    components[1] = 0
    with pytest.raises(UnsupportedModelError, match="independent"):
        load(tmp_path, tensors | {"appearance.components": components})

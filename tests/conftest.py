"""Settings of the whole suite, and what many tests share: the bundled models, a photo, its code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import host_server
import pytest
import torch
from hypothesis import settings

if TYPE_CHECKING:
    from face_latents.models.face_model import FaceModel
    from face_latents.models.values import FaceLatent

# The tensors here are small, and threads that wait for each other cost minutes.
torch.set_num_threads(1)

# New examples at every run on a desk; in CI the same ones, so that a failure is the change's own.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `host` where there is none, and say why."""
    if why := host_server.missing_host():
        for item in items:
            if item.get_closest_marker("host"):
                item.add_marker(pytest.mark.skip(reason=why))


def load_bundled(name: str) -> FaceModel:
    from nodes_support import run

    return run("FaceLatentsLoadModel", model=name)[0]


@pytest.fixture(scope="session")
def face_model() -> FaceModel:
    """The bundled face model. While it lives, each Load Face Model node returns this very one."""
    return load_bundled("face (bundled)")


@pytest.fixture(scope="session")
def digits_model() -> FaceModel:
    """The bundled digits model, as `face_model`."""
    return load_bundled("digits (bundled)")


@pytest.fixture(scope="session")
def astronaut() -> torch.Tensor:
    """The public-domain portrait that scikit-image ships, `(512, 512, 3)` in [0, 1]."""
    from skimage import data

    return torch.from_numpy(data.astronaut().copy()).float() / 255


@pytest.fixture(scope="session")
def portrait_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The astronaut's head as `portrait/example.png`, 240 pixels, with example folders beside it.

    `portrait/serious` and `portrait/smiling` are what workflows that fit directions read,
    `portrait/mirrored/example.png` is a second face.
    """
    from face_latents.cli.example_folders import make_example_folders
    from PIL import Image, ImageOps
    from skimage import data

    file = tmp_path_factory.mktemp("portrait") / "example.png"
    Image.fromarray(data.astronaut()).crop((110, 0, 350, 240)).save(file)
    make_example_folders(file, file.parent)
    (file.parent / "mirrored").mkdir()
    ImageOps.mirror(Image.open(file)).save(file.parent / "mirrored" / file.name)
    return file


@pytest.fixture(scope="session")
def encoded_astronaut(face_model: FaceModel, astronaut: torch.Tensor) -> FaceLatent:
    """The astronaut's face as Encode Face gives it, with the photo to paste back into."""
    from nodes_support import run

    settings = {"faces": "largest", "index": 0, "min_score": 0.5}
    return run("FaceLatentsEncode", image=astronaut[None], face_model=face_model, **settings)[0]

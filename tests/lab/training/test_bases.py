"""Making the bundled bases, on small made-up data."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.cli.main import main
from face_latents.lab.data.faces import FaceSet
from face_latents.lab.training import bases
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import bundled_digits_model_path, load_face_model
from face_latents.models.spectral.basis_file import bundled_basis_path, load_basis


@pytest.fixture
def digits_data(tmp_path: Path) -> Path:
    """Digits drawn by the bundled model, in MNIST's own files, in the sub-folder `mnist`."""
    net, known = (
        load_face_model(bundled_digits_model_path()),
        load_basis(bundled_basis_path("digits")),
    )
    folder = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count, seed in (("train", 120, 0), ("t10k", 40, 1)):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 10
        codes = 5 * known.vectors[labels] + 0.3 * torch.randn(count, 100, generator=generator)
        pixels = (net.decode(codes)[:, 0] * 255).round().byte().numpy()
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            np.array([2051, count, 28, 28], ">i4").tobytes() + pixels.tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            np.array([2049, count], ">i4").tobytes() + labels.byte().numpy().tobytes()
        )
    return tmp_path / "data"


def test_the_basis_of_digits_is_made_by_one_command(digits_data, tmp_path, capsys):
    target = tmp_path / "basis.safetensors"
    command = ["train", "basis", "--data", str(digits_data), "--output", str(target)]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["vectors"] == 100
    assert figures["rank_of_label_means"] == 10
    assert figures["accuracy"] > 0.9
    basis = load_basis(target)
    assert basis.labels == tuple("0123456789")
    assert basis.exclusive
    assert basis.accuracy == figures["accuracy"]
    assert "120 training digits" in basis.method
    overlap = (basis.vectors[:10] * load_basis(bundled_basis_path("digits")).vectors[:10]).sum(1)
    assert float(overlap.min()) > 0.8


def test_the_basis_of_faces_holds_mirror_aware_attributes(monkeypatch, tmp_path):
    generator, chance = torch.Generator().manual_seed(0), random.Random(0)

    def faces(data_dir, split, *, template, most, **_):
        assert (template.name, most) == ("wide", 48)
        size = (48, 3, template.size, template.size)
        crops = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
        columns = ("smile", "glasses", "beard", "mouth_open", "light_left_right", "brightness")
        rows = tuple(
            {name: str(chance.random()) for name in (*columns, "yaw_proxy")}
            | {"age_bin": ("20-29", "more than 70")[i % 2]}
            | {"gender": ("male", "female")[i // 2 % 2]}
            for i in range(48)
        )
        return FaceSet(crops, rows)

    monkeypatch.setattr(bases, "load_faces", faces)
    basis, figures = bases.face_basis(tmp_path, most=48)
    assert basis.labels == tuple(bases.FACE_LABELS)
    assert basis.complete
    assert not basis.exclusive
    assert set(figures["held_out"]) == set(bases.FACE_LABELS)
    net = load_face_model(bases.bundled_face_model_path()).module
    mirrored = net.mirror(basis.vectors[: len(basis.labels)])
    signs = (mirrored * basis.vectors[: len(basis.labels)]).sum(1)
    odd = {"light from the right", "head turned right"}
    for label, sign in zip(basis.labels, signs.tolist(), strict=True):
        assert sign == pytest.approx(-1 if label in odd else 1, abs=1e-4), label


def test_unknown_models_and_missing_data_are_named(tmp_path):
    with pytest.raises(FaceLatentsError, match="bases of 'digits' and 'face'; got 'cats'"):
        bases.train_basis(tmp_path, tmp_path / "x", bases.BasisTraining("cats"))
    with pytest.raises(FaceLatentsError, match=r"metadata\.csv"):
        bases.train_basis(tmp_path, tmp_path / "x", bases.BasisTraining("face"))
    assert not (tmp_path / "x").exists()


def test_what_moves_a_picture_comes_after_what_is_drawn():
    net = load_face_model(bases.bundled_face_model_path()).module
    std, shapes = net.picture_std, len(net.shape.std)
    drawn, shape, pose = std[6 + shapes :], std[6 : 6 + shapes], std[:6]
    assert std.shape == net.code_shape
    assert torch.equal(drawn, net.appearance.std)
    assert float(drawn.min()) > float(shape.max())
    assert float(shape.min()) >= float(pose.max()) > 0

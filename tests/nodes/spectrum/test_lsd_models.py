"""The LSD nodes on models other than the bundled ones: a GAN of digits, and StyleGAN2."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from digits_support import gan_of_digits, labelled_digits
from encoder_support import small_encoder
from face_latents import latent_ops
from face_latents.models.values import FaceLatent
from face_latents.nodes import host
from face_latents.nodes.model import cut
from nodes_support import landmarks_for, mesh_face, run
from stylegan2_support import small_model_file

BUILD = {
    "method": "symmetric", "completion": "principal", "size": 0, "seed": 0, "name": "own",
    "min_score": 0.5,
}  # fmt: skip
LABELS = ("0", "1", "2")


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("input", "output", "temp", "models"):
        monkeypatch.setattr(host.stand_alone, name, tmp_path / name)
        (tmp_path / name).mkdir()
    return tmp_path


def check_nodes(model: object, basis: object, faces: FaceLatent) -> None:
    """Denoise, rotate and read faces; the results are what the nodes promise."""
    vectors, mean = basis.vectors.flatten(1), basis.mean  # type: ignore[attr-defined]
    centre = torch.zeros(vectors.shape[1]) if mean is None else mean.flatten()
    count = len(basis.labels)  # type: ignore[attr-defined]
    settings = {"mode": "labels", "k": 1, "energy": 0.9, "keep_norm": False}
    (kept,) = run("FaceLatentsLSDDenoise", face_latent=faces, basis=basis, **settings)
    offset = kept.samples.flatten(1) - centre
    inside = offset @ vectors[:count].T @ vectors[:count]
    torch.testing.assert_close(offset, inside, atol=1e-3, rtol=1e-3)

    turn = {"from_label": LABELS[0], "to_label": LABELS[1], "angle": 90.0, "steps": 1}
    turned, *_ = run("FaceLatentsLSDRotate", face_latent=faces, basis=basis, **turn)
    before, after = (
        latent_ops.decompose(each.samples.flatten(1), vectors, centre) for each in (faces, turned)
    )
    torch.testing.assert_close(after[:, 1], before[:, 0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after[:, 2:], before[:, 2:], atol=1e-3, rtol=1e-3)

    drawing = {"show": 6, "layout": "one sheet", "theme": "dark"}
    image, _, read = run("FaceLatentsLSDSpectrum", face_latent=faces, basis=basis, **drawing)
    assert image.std() > 0
    assert set(read.splitlines()) <= set(LABELS)
    (decoded,) = run("FaceLatentsDecode", face_model=model, face_latent=turned)
    assert bool(torch.isfinite(decoded).all())
    assert decoded.std() > 0


def test_a_gan_of_digits_with_a_basis_from_labelled_folders(folders: Path) -> None:
    gan_of_digits(folders / "models" / "digits_gan.safetensors")
    (model, *_) = run("FaceLatentsLoadModel", model="digits_gan.safetensors")
    image = labelled_digits(folders / "input" / "mine", LABELS)
    basis, info = run(
        "FaceLatentsBuildBasisFolders", face_model=model, folders="mine", centre="origin", **BUILD
    )
    assert basis.labels == LABELS
    assert basis.vectors.shape == (100, 100)
    assert "  0: 6 code(s)" in info
    settings = {"faces": "all", "index": 0, "min_score": 0.5}
    faces = run("FaceLatentsEncode", image=image, face_model=model, **settings)[0]
    check_nodes(model, basis, faces)


def test_stylegan2_with_a_basis_from_labelled_folders_in_w(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(photo: torch.Tensor, wanted: int, number: int) -> object:
        mesh = landmarks_for(photo.unsqueeze(0), mesh_face(14, 12, 10))
        return cut.faces_from_landmarks(mesh, 0, *photo.shape[:2])

    monkeypatch.setattr(cut, "find_all", find)
    encoder = {f"encoder.{n}": t for n, t in small_encoder(8, 32).items()}
    file = folders / "models" / "style.safetensors"
    small_model_file(file, 32, dim=32, extra=encoder, metadata={"encoder_type": "e4e"})
    (model, *_) = run("FaceLatentsLoadModel", model="style.safetensors")
    image = labelled_digits(folders / "input" / "mine", LABELS)
    basis, _ = run(
        "FaceLatentsBuildBasisFolders", face_model=model, folders="mine", centre="model mean",
        **BUILD,
    )  # fmt: skip
    assert basis.space.name == "w_plus"
    assert basis.vectors.shape[1:] == (8, 32)
    assert torch.equal(basis.mean, model.space.mean)
    settings = {"faces": "all", "index": 0, "min_score": 0.5}
    faces = run("FaceLatentsEncode", image=image, face_model=model, **settings)[0]
    check_nodes(model, basis, faces)

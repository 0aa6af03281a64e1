"""Every architecture: a network is built, written, told from the others, and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from digits_support import tiny_tensors
from encoder_support import small_encoder
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.architectures.registry import (
    ARCHITECTURES,
    Architecture,
    detect_architecture,
)
from face_latents.models.face_model import load_face_model, save_face_model
from face_latents.models.files.tensors import read_header
from face_latents.models.geometry.templates import TIGHT
from face_support import random_tensors
from stylegan2_support import small_layout, small_tensors
from torch import Tensor


def generator_and_encoder() -> dict[str, Tensor]:
    encoder = {f"encoder.{name}": tensor for name, tensor in small_encoder(8, 32).items()}
    return small_tensors(small_layout(32, dim=32)) | encoder


TENSORS: dict[str, Callable[[], dict[str, Tensor]]] = {
    "shape_appearance": random_tensors,
    "digits": tiny_tensors,
    "stylegan2": generator_and_encoder,
}
METADATA = {"encoder_type": "psp"}
ABLE = {
    "shape_appearance": {"encode", "encode_points", "quick_decode", "mirror", "style_weight",
                         "editor", "doubts", "code_mean", "code_std", "sample_std", "parts",
                         "readings"},
    "digits": {"encode", "code_mean", "code_std", "mixture"},
    "stylegan2": {"encode", "style_weight", "layers", "precision", "code_mean", "code_std"},
}  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_a_network_comes_back_from_its_file(architecture: Architecture, tmp_path: Path) -> None:
    tensors = TENSORS[architecture.name]()
    net = architecture.load(tensors, METADATA)
    path = tmp_path / "net.safetensors"
    save_face_model(path, tensors, METADATA, TIGHT.resized(net.size))

    header = read_header(path)
    assert detect_architecture(header, header.shapes) is architecture
    assert {n: s.shape for n, s in architecture.expected(header.shapes).items()} == header.shapes
    model = load_face_model(path)
    state = net.state_dict()
    assert state.keys() == model.module.state_dict().keys()
    assert all(torch.equal(state[name], t) for name, t in model.module.state_dict().items())
    assert model.space.shape == net.code_shape
    assert model.space.name == net.space_name
    assert not model.module.training
    codes = model.sample(2, seed=0)
    pictures = net.decode(codes)
    assert pictures.shape == (2, 3, net.size, net.size)
    assert torch.equal(model.decode(codes), pictures)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_capabilities_are_those_of_the_network(architecture: Architecture) -> None:
    net = architecture.load(TENSORS[architecture.name](), METADATA)
    able = net.capabilities()
    values = {f.name: getattr(able, f.name) for f in fields(Capabilities)}
    found = {n for n, v in values.items() if not (v is None or v == () or v == {})}
    assert found == {"decode"} | ABLE[architecture.name]
    codes = torch.randn(2, *net.code_shape, generator=torch.Generator().manual_seed(0))
    for statistic in (able.code_mean, able.code_std, able.sample_std):
        assert statistic is None or statistic.shape == net.code_shape
    assert able.encode is not None
    assert able.encode(able.decode(codes)).shape == codes.shape
    if able.mirror is not None:
        assert torch.equal(able.mirror(able.mirror(codes)), codes)
    if able.style_weight is not None:
        assert able.style_weight(None).shape[1] == net.code_shape[-1]
    if able.editor is not None:
        maps = able.editor.edit(able.decode(codes).clamp(0, 1), codes, codes + 0.1, draft=True)
        assert maps.shape[:2] == (2, 9)
        assert maps.isfinite().all()
        assert able.editor.extent >= 1
    if able.doubts is not None:
        assert len(able.doubts(able.decode(codes).clamp(0, 1), codes)) == 2
    if able.quick_decode is not None:
        assert able.quick_decode(codes).shape == (2, 3, net.size, net.size)

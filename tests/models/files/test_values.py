"""Directions and face latents on disk: nothing lost, and wrong files refused with words."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.files.tensors import load_tensors, read_header, save_tensors
from face_latents.models.files.values import (
    load_direction,
    load_latent,
    save_direction,
    save_latent,
)
from face_latents.models.space import LatentSpace
from face_latents.models.spectral.basis import LatentBasis
from face_latents.models.spectral.basis_file import load_basis, save_basis
from face_latents.models.values import Direction, FaceLatent, PhotoContext
from loop_support import case

SPACE = LatentSpace("z", (4,), "0123abcd", torch.zeros(4), torch.ones(4))
TRANSFORM = torch.tensor([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0]], dtype=torch.float64) / 3


def photo(seed: int, exact: bool = True) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (6, 5, 3), generator=generator, dtype=torch.uint8)
    values = pixels.float() / 255
    return values if exact else values * 0.999


def context(picture: torch.Tensor, key: str, index: int = 0, **more: torch.Tensor) -> PhotoContext:
    landmarks = torch.rand(5, 2, dtype=torch.float64)
    return PhotoContext(picture, TRANSFORM, 128, landmarks, torch.rand(4), key, index, **more)


@pytest.mark.parametrize("accuracy", [None, 0.81])
@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_direction_round_trip(tmp_path: Path, accuracy: float | None, shape: tuple[int]) -> None:
    direction = Direction(torch.rand(shape), SPACE, "smile", "1 sd", (-2.0, 3.5), accuracy, "ridge")
    save_direction(tmp_path / "new" / "smile.safetensors", direction)
    loaded = load_direction(tmp_path / "new" / "smile.safetensors")
    assert torch.equal(loaded.vector, direction.vector)
    assert loaded.space.same_as(SPACE)
    assert loaded.space.std is not None
    assert torch.equal(loaded.space.std, torch.ones(4))
    for name in ("name", "unit", "safe_range", "accuracy", "method"):
        assert getattr(loaded, name) == getattr(direction, name)


def test_direction_of_a_space_without_statistics(tmp_path: Path) -> None:
    space = LatentSpace("vae", (2, 2, 2), "vae:2")
    save_direction(tmp_path / "d", Direction(torch.rand(2, 2, 2), space, "warm"))
    assert load_direction(tmp_path / "d").space.mean is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_latent_round_trip(tmp_path: Path, dtype: torch.dtype) -> None:
    shared = photo(0)
    alpha = torch.rand(6, 5)
    contexts = (
        context(shared, "a", 0, alpha=alpha),
        None,
        context(shared, "a", 1, alpha=alpha),
        context(photo(1, exact=False), "b"),
    )
    extras = {"noise_mask": torch.rand(1, 3), "batch_index": [0, 1], "downscale_ratio": 8}
    latent = FaceLatent(torch.rand(4, 4).to(dtype), SPACE, contexts, extras)
    save_latent(tmp_path / "l", latent)
    loaded = load_latent(tmp_path / "l")
    assert loaded.samples.dtype == dtype
    assert torch.equal(loaded.samples, latent.samples)
    assert loaded.contexts[1] is None
    for before, after in zip(contexts, loaded.contexts, strict=True):
        if before is None or after is None:
            continue
        for name in ("photo", "transform", "landmarks", "code"):
            assert torch.equal(getattr(before, name), getattr(after, name))
            assert getattr(before, name).dtype == getattr(after, name).dtype
        assert (before.photo_key, before.face_index, before.size) == (
            after.photo_key,
            after.face_index,
            after.size,
        )
        assert (before.alpha is None) == (after.alpha is None)
        if before.alpha is not None and after.alpha is not None:
            assert torch.equal(before.alpha, after.alpha)
    assert torch.equal(loaded.extras["noise_mask"], extras["noise_mask"])  # type: ignore[arg-type]
    assert loaded.extras["batch_index"] == [0, 1]
    assert loaded.extras["downscale_ratio"] == 8
    tensors = read_header(tmp_path / "l").tensors
    assert tensors["photo.0"].dtype == "U8"  # an 8-bit photo takes 8 bits
    assert tensors["photo.1"].dtype == "F32"
    assert "photo.2" not in tensors  # and a shared one is stored once


def test_extras_that_cannot_be_saved_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    latent = FaceLatent(torch.rand(1, 4), SPACE, (), {"model": object()})
    with caplog.at_level(logging.WARNING):
        save_latent(tmp_path / "l", latent)
    assert "'model'" in caplog.text
    assert load_latent(tmp_path / "l").extras == {}


def test_one_kind_is_not_read_as_another(tmp_path: Path) -> None:
    save_latent(tmp_path / "l", FaceLatent(torch.rand(1, 4), SPACE))
    save_direction(tmp_path / "d", Direction(torch.rand(4), SPACE, "smile"))
    save_tensors(tmp_path / "m", {"w": torch.ones(1)})
    with pytest.raises(UnsupportedModelError, match="Load Face Latent"):
        load_direction(tmp_path / "l")
    with pytest.raises(UnsupportedModelError, match="Load Direction"):
        load_latent(tmp_path / "d")
    for load in (load_direction, load_latent):
        with pytest.raises(UnsupportedModelError, match="Load Face Model"):
            load(tmp_path / "m")


@pytest.mark.parametrize(
    "changes",
    [
        {"space": "{"},
        {"space": "[]"},
        {"space": '{"name": "z", "shape": [5], "model_id": "x"}'},
        {"space": '{"name": "z", "shape": 4, "model_id": "x"}'},
        {"facts": "[1]"},
        {"facts": '{"safe_range": [1]}'},
        {"facts": '{"accuracy": "high"}'},
        {"facts": '{"safe_range": [1e18, 3]}'},
        {"facts": '{"safe_range": [NaN, 3]}'},
        {"facts": '{"safe_range": [-1e999, 3]}'},
        {"facts": '{"accuracy": 1e999}'},
        {"space": '{"name": "z", "shape": [], "model_id": "x"}'},
        {"space": '{"name": "z", "shape": [4.0], "model_id": "x"}'},
        {"space": '{"name": "z", "shape": [-4, -1], "model_id": "x"}'},
        {"space": '{"name": "z", "shape": [true, 4], "model_id": "x"}'},
        {"format_version": "99"},
    ],
)
def test_malformed_direction(tmp_path: Path, changes: dict[str, str]) -> None:
    save_direction(tmp_path / "d", Direction(torch.rand(4), SPACE, "smile"))
    tensors, metadata = load_tensors(tmp_path / "d")
    save_tensors(tmp_path / "d", tensors, {**metadata, **changes})
    with pytest.raises(FaceLatentsError, match="d"):
        load_direction(tmp_path / "d")


@pytest.mark.parametrize(
    "contexts",
    [
        "3",
        "[1]",
        "[{}]",
        "[null, null]",
        '[{"photo": 0, "photo_key": "a", "size": 1e999, "face_index": 0}]',
        '[{"photo": 0, "photo_key": "a", "size": -3, "face_index": 0}]',
        '[{"photo": 0, "photo_key": "a", "size": 1000000000, "face_index": 0}]',
        '[{"photo": 0, "photo_key": "a", "size": 128, "face_index": -1}]',
        '[{"photo": 7, "photo_key": "a", "size": 128, "face_index": 0}]',
        '[{"photo": "x", "photo_key": "a", "size": 128, "face_index": 0}]',
    ],
)
def test_malformed_contexts(tmp_path: Path, contexts: str) -> None:
    save_latent(tmp_path / "l", FaceLatent(torch.rand(1, 4), SPACE, (context(photo(0), "a"),)))
    tensors, metadata = load_tensors(tmp_path / "l")
    save_tensors(tmp_path / "l", tensors, {**metadata, "contexts": contexts})
    with pytest.raises(UnsupportedModelError):
        load_latent(tmp_path / "l")


@pytest.mark.parametrize("extras", ["5", "[1]", '"a"', "null", "{", "[" * 100_000])
def test_malformed_extras(tmp_path: Path, extras: str) -> None:
    save_latent(tmp_path / "l", FaceLatent(torch.rand(1, 4), SPACE))
    tensors, metadata = load_tensors(tmp_path / "l")
    save_tensors(tmp_path / "l", tensors, {**metadata, "extras": extras})
    with pytest.raises(UnsupportedModelError, match="extras"):
        load_latent(tmp_path / "l")


def test_tensors_of_a_photo_that_do_not_fit(tmp_path: Path) -> None:
    save_latent(tmp_path / "l", FaceLatent(torch.rand(1, 4), SPACE, (context(photo(0), "a"),)))
    tensors, metadata = load_tensors(tmp_path / "l")
    wrong = {
        "context.0.code": torch.rand(5),
        "context.0.transform": torch.zeros(2, 3),
        "photo.0": torch.zeros(0, 5, 3),
        "alpha.0": torch.zeros(2, 2),
    }
    for name, tensor in wrong.items():
        save_tensors(tmp_path / "l", {**tensors, name: tensor}, metadata)
        with case(name=name), pytest.raises(UnsupportedModelError, match="l: "):
            load_latent(tmp_path / "l")


def test_flipped_bits_change_nothing_in_silence(tmp_path: Path) -> None:
    """Of every kind of file: it is refused, or holds what it held."""
    basis = LatentBasis(torch.eye(4), ("a",), SPACE)
    latent = FaceLatent(torch.rand(1, 4), SPACE, (context(photo(0), "a"),), {"batch_index": [3]})
    tensors = {"x": torch.rand(8)}
    kinds: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
        "direction": (
            lambda file: save_direction(file, Direction(torch.rand(4), SPACE, "smile")),
            load_direction,
        ),
        "latent": (lambda file: save_latent(file, latent), load_latent),
        "basis": (lambda file: save_basis(file, basis), load_basis),
        "any": (lambda file: save_tensors(file, tensors, {"a": "b"}), load_tensors),
    }
    random = np.random.default_rng(0)
    for kind, (save, load) in kinds.items():
        file = tmp_path / kind
        save(file)
        good = file.read_bytes()
        wanted, refused = repr(load(file)), 0
        for bit in random.integers(0, 8 * len(good), 150).tolist():
            spoilt = bytearray(good)
            spoilt[bit // 8] ^= 1 << bit % 8
            file.write_bytes(spoilt)
            with case(kind=kind, bit=bit):
                try:
                    found = load(file)
                except UnsupportedModelError:
                    refused += 1
                else:  # such as in the word "checksum" itself
                    assert b'"checksum"' not in spoilt
                    assert repr(found) == wanted or kind == "any"
        assert refused > 140


def test_a_flipped_bit_is_refused_and_files_without_checksum_are_read(tmp_path: Path) -> None:
    file = tmp_path / "d"
    save_direction(file, Direction(torch.rand(4), SPACE, "smile", "1 sd", (-2.0, 3.5)))
    good = file.read_bytes()
    for find, put in ((b"-2.0, 3.5", b"-1.0, 3.5"), (b"smile", b"smilf"), (good[-4:], b"\0\0@@")):
        file.write_bytes(good.replace(find, put))
        with case(find=find), pytest.raises(UnsupportedModelError, match="checksum"):
            load_direction(file)
    older = re.sub(rb'"checksum":"\w{64}",', lambda m: b" " * len(m[0]), good)
    assert older != good
    file.write_bytes(older)
    assert load_direction(file).safe_range == (-2.0, 3.5)

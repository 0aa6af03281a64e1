"""Quasi-eigen bases: what is built, what is refused, and what comes back from a file."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from face_latents import latent_ops
from face_latents.models.errors import FaceLatentsError, UnsupportedModelError
from face_latents.models.files.values import save_direction
from face_latents.models.space import LatentSpace
from face_latents.models.spectral.accuracy import held_out_accuracy
from face_latents.models.spectral.basis import LatentBasis
from face_latents.models.spectral.basis_file import (
    BUNDLED_BASES,
    bundled_basis_path,
    load_basis,
    save_basis,
)
from face_latents.models.spectral.build import CENTRES, BasisOptions, basis_from_means, build_basis
from face_latents.models.values import Direction
from safetensors import safe_open
from safetensors.torch import save_file

NAMES = ("cat", "dog", "bird")
SPACE = LatentSpace("z", (12,), "a" * 16, torch.full((12,), 0.3), torch.ones(12))
CUBE = LatentSpace("vae", (2, 3, 2), "vae:2")


def labelled(count=40, spread=0.3, seed=0, shape=(12,)):
    """Codes around three far-apart centres, and their labels."""
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.eye(math.prod(shape))[:3].reshape(3, *shape) + 0.5
    labels = torch.arange(count) % 3
    return centres[labels] + spread * torch.randn(count, *shape, generator=generator), labels


def gram_error(basis):
    flat = basis.vectors.double().flatten(1)
    return float((flat @ flat.T - torch.eye(len(flat), dtype=torch.float64)).abs().max())


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("method", latent_ops.BASIS_METHODS)
@pytest.mark.parametrize("completion", latent_ops.COMPLETIONS)
def test_a_basis_is_orthonormal_complete_and_tells_the_labels_apart(centre, method, completion):
    codes, labels = labelled()
    options = BasisOptions(method, completion, centre=centre)
    if (centre, method) == ("mean of the groups", "gram_schmidt"):
        with pytest.raises(FaceLatentsError, match=r"label 2 .* 0 = 'cat', 1 = 'dog', 2 = 'bird'"):
            build_basis(codes, labels, NAMES, SPACE, options)
        return
    basis = build_basis(codes, labels, NAMES, SPACE, options)
    assert basis.vectors.shape == (12, 12)
    assert basis.vectors.dtype == torch.float32
    assert basis.complete
    assert gram_error(basis) < 1e-6
    found = latent_ops.decompose(codes, basis.vectors, basis.mean)
    assert torch.equal(latent_ops.classify(found, 3), labels)
    again = latent_ops.reconstruct(found, basis.vectors, basis.mean)
    assert float((again - codes).norm() / codes.norm()) < 1e-6
    assert basis.rank == (2 if centre == "mean of the groups" else 3)
    assert 1 <= basis.condition < 10
    assert held_out_accuracy(codes, labels, 3, SPACE, method=method, centre=centre) == 1.0


def test_symmetric_label_vectors_are_those_of_the_polar_decomposition():
    codes, labels = labelled()
    basis = build_basis(codes, labels, NAMES, SPACE)
    means = np.stack([codes.double().numpy()[labels.numpy() == k].mean(0) for k in range(3)])
    values, vectors = np.linalg.eigh(means @ means.T)
    expected = vectors @ np.diag(values**-0.5) @ vectors.T @ means
    assert np.allclose(basis.vectors[:3].numpy(), expected, atol=1e-5)
    assert basis.condition == pytest.approx(np.linalg.cond(means), rel=1e-4)


def test_the_same_seed_gives_the_same_basis_and_codes_are_left_alone():
    codes, labels = labelled()
    before = codes.clone()
    make = [
        build_basis(
            codes, labels, NAMES, SPACE, BasisOptions(completion="random", seed=seed)
        ).vectors
        for seed in (4, 4, 5)
    ]
    assert torch.equal(make[0], make[1])
    assert not torch.equal(make[0], make[2])
    assert torch.equal(codes, before)


def test_codes_of_three_dimensions_and_half_precision():
    codes, labels = labelled(shape=(2, 3, 2))
    basis = build_basis(codes.half(), labels, NAMES, CUBE, BasisOptions(size=5))
    assert basis.vectors.shape == (5, 2, 3, 2)
    assert not basis.complete
    assert gram_error(basis) < 1e-6
    assert [basis.vector_name(i) for i in (0, 2, 3)] == ["cat", "bird", "#4"]


def test_large_codes_get_as_many_vectors_as_they_determine():
    space = LatentSpace("vae", (4, 32, 32), "vae:4")
    codes, labels = labelled(20, shape=space.shape)
    assert len(build_basis(codes, labels, NAMES, space)) == 20
    with pytest.raises(FaceLatentsError, match=r"20000; it must be from 3.*to 4096"):
        build_basis(codes, labels, NAMES, space, BasisOptions(size=20000))
    huge = LatentSpace("vae", (4, 128, 128), "vae:4")
    codes, labels = labelled(6, shape=(12,))
    wide = torch.zeros(6, *huge.shape)
    wide.view(6, -1)[:, :12] = codes
    with pytest.raises(FaceLatentsError, match=r"1250 MB; at most 256 MB.* 1024 or less"):
        build_basis(wide, labels, NAMES, huge, BasisOptions(size=5000))


def test_hardly_independent_labels_are_warned_about():
    codes, labels = labelled()
    good = build_basis(codes, labels, NAMES, SPACE)
    assert replace(good, accuracy=0.98).warnings() == []
    codes = codes * 0.01 + 5
    near = replace(build_basis(codes, labels, NAMES, SPACE), accuracy=0.34)
    assert near.condition > 100
    independent, apart = near.warnings()
    assert "hardly independent (condition" in independent
    assert "34% of held-out codes, 33% is guessing" in apart


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.arange(40) % 2}, r"no codes of the label\(s\) 'bird': 40 code"),
        ({"labels": torch.arange(40) % 4}, "4 labels, but 3 names"),
        ({"names": ("cat", "dog", "Cat ")}, "label 'Cat ' twice"),
        ({"names": ("cat", "", "dog")}, "empty label"),
        ({"names": ()}, "has no labels"),
        ({"codes": torch.full((40, 12), math.nan)}, "NaN or infinite"),
        ({"codes": torch.zeros(40, 5)}, r"shape \(40, 5\).*'z' \(12\)"),
        ({"codes": torch.ones(40, 12)}, r"linearly dependent.*0 = 'cat'"),
        ({"codes": torch.zeros(40, 12)}, r"linearly dependent.*0 = 'cat'"),
        ({"options": BasisOptions(size=2)}, "it must be from 3"),
        ({"options": BasisOptions(size=13)}, "to 12"),
        ({"options": BasisOptions(centre="middle")}, "centre must be one of origin"),
        (
            {
                "space": LatentSpace("z", (12,), "x"),
                "options": BasisOptions(centre="model mean"),
            },
            "not state the mean",
        ),
    ],
)
def test_what_makes_no_basis_is_explained(change, message):
    codes, labels = labelled()
    given = {"codes": codes, "labels": labels, "names": NAMES, "space": SPACE} | change
    with pytest.raises(FaceLatentsError, match=message):
        build_basis(**given)


def test_fewer_codes_than_labels():
    codes, labels = labelled(2)
    with pytest.raises(FaceLatentsError, match=r"'bird': 2 code\(s\) for 3 labels"):
        build_basis(codes, labels, NAMES, SPACE)


def test_more_labels_than_a_code_has_numbers():
    space = LatentSpace("z", (2,), "a")
    with pytest.raises(FaceLatentsError, match="at most 2 labels can be"):
        build_basis(torch.eye(3)[:, :2] + 1, torch.arange(3), NAMES, space)


def test_the_accuracy_is_that_of_codes_left_out():
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(40, 12, generator=generator)
    labels = torch.arange(40) % 2
    inside = build_basis(noise, labels, NAMES[:2], SPACE)
    seen = latent_ops.classify(latent_ops.decompose(noise, inside.vectors, None), 2)
    assert float((seen == labels).float().mean()) > 0.6  # memorised
    assert abs(held_out_accuracy(noise, labels, 2, SPACE) - 0.5) < 0.2
    many, kinds = labelled(90)
    assert held_out_accuracy(many, kinds, 3, SPACE) == 1.0
    assert held_out_accuracy(many[:3], kinds[:3], 3, SPACE) is None
    assert held_out_accuracy(many, torch.zeros_like(kinds), 1, SPACE) is None
    same = torch.ones(4, 12)
    assert held_out_accuracy(same, torch.arange(4) % 2, 2, SPACE) is None


def test_labels_are_found_whatever_their_case():
    basis = build_basis(*labelled(), ("Cat", "dog", "CAT fish"), SPACE)
    assert [basis.label_index(name) for name in ("Cat", "cat", " DOG ", "cat fish")] == [0, 0, 1, 2]
    with pytest.raises(FaceLatentsError, match=r"no label 'cow'. Its labels: Cat, dog, CAT fish"):
        basis.label_index("cow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": torch.eye(12)[:, :5]}, r"vectors of shape \(number, 12\); got \(12, 5\)"),
        ({"vectors": torch.zeros(0, 12)}, r"got \(0, 12\)"),
        ({"vectors": torch.eye(12)[:2]}, "3 labels but only 2 vectors"),
        ({"vectors": 1.01 * torch.eye(12)}, "not orthonormal"),
        ({"vectors": torch.ones(4, 12) / 12**0.5}, "not orthonormal"),
        ({"vectors": torch.full((12, 12), math.nan)}, "NaN or infinite"),
        ({"vectors": torch.eye(12, dtype=torch.int64)}, "torch.int64, not floating point"),
        ({"mean": torch.zeros(3)}, r"centre of shape \(3,\)"),
        ({"mean": torch.full((12,), math.inf)}, "NaN or infinite"),
        ({"labels": ()}, "has no labels"),
        ({"labels": ("a", "a")}, "label 'a' twice"),
    ],
)
def test_what_is_no_basis_is_refused(change, message):
    good = LatentBasis(torch.eye(12), NAMES, SPACE)
    with pytest.raises(FaceLatentsError, match=message):
        replace(good, **change)


@pytest.mark.parametrize("space", [SPACE, CUBE])
def test_a_basis_comes_back_from_its_file(tmp_path, space):
    codes, labels = labelled(shape=space.shape)
    options = BasisOptions(centre=CENTRES[1], size=7)
    basis = build_basis(codes, labels, NAMES, space, options, name="animals")
    basis = replace(basis, exclusive=False, accuracy=0.5)
    save_basis(tmp_path / "x.safetensors", basis)
    found = load_basis(tmp_path / "x.safetensors")
    assert torch.equal(found.vectors, basis.vectors)
    assert torch.equal(found.mean, basis.mean)
    assert found.space.same_as(space)
    for name in ("labels", "name", "method", "exclusive", "rank", "condition", "accuracy"):
        assert getattr(found, name) == getattr(basis, name), name


def test_facts_that_are_no_numbers_survive_a_file(tmp_path):
    basis = LatentBasis(torch.eye(12), NAMES, SPACE, condition=math.inf)
    save_basis(tmp_path / "x.safetensors", basis)
    found = load_basis(tmp_path / "x.safetensors")
    assert math.isnan(found.condition)
    assert found.accuracy is None
    assert found.mean is None
    with safe_open(str(tmp_path / "x.safetensors"), framework="pt") as file:
        json.loads(file.metadata()["facts"], parse_constant=pytest.fail)


def damaged(tmp_path, tensors=None, **metadata):
    """A file of a good basis with some of its tensors and metadata replaced (None: removed)."""
    path = tmp_path / "x.safetensors"
    save_basis(path, build_basis(*labelled(), NAMES, SPACE))
    with safe_open(str(path), framework="pt") as file:
        held = {name: file.get_tensor(name) for name in file.keys()} | (tensors or {})  # noqa: SIM118
        facts = dict(file.metadata()) | {"checksum": None} | metadata
    held = {name: tensor for name, tensor in held.items() if tensor is not None}
    save_file(held, path, {key: value for key, value in facts.items() if value is not None})
    return path


def test_damaged_and_hostile_files_are_refused(tmp_path):
    facts = {"labels": list(NAMES)}
    cases = (
        ({"vectors": None}, {}, "'vectors' is missing"),
        ({"vectors": torch.eye(12)[:, :7].contiguous()}, {}, r"got \(12, 7\)"),
        ({"vectors": torch.full((12, 12), math.nan)}, {}, "vectors"),
        ({"vectors": 2 * torch.eye(12)}, {}, "not orthonormal"),
        ({"vectors": torch.tensor(1.0)}, {}, "needs vectors of shape"),
        ({"mean": torch.zeros(3)}, {}, "centre of shape"),
        ({"space.mean": torch.zeros(3)}, {}, "space"),
        ({}, {"kind": "face_latents.direction"}, "expected a quasi-eigen basis, but .* direction"),
        ({}, {"kind": None}, "expected a quasi-eigen basis"),
        ({}, {"format_version": "99"}, "version 99"),
        ({}, {"space": None}, "space is malformed"),
        ({}, {"space": "{}"}, "space is malformed"),
        ({}, {"facts": None}, "'facts' is missing"),
        ({}, {"facts": "{"}, "'facts' is not valid JSON"),
        ({}, {"facts": "[]"}, "must be a JSON object"),
        ({}, {"facts": "{}"}, "'labels' is missing"),
        ({}, {"facts": json.dumps({"labels": "abc"})}, "labels must be a list"),
        ({}, {"facts": json.dumps({"labels": []})}, "has no labels"),
        ({}, {"facts": json.dumps({"labels": ["a"] * 20})}, "label 'a' twice"),
        ({}, {"facts": json.dumps({"labels": [f"l{i}" for i in range(20)]})}, "20 labels but only"),
        ({}, {"facts": json.dumps(facts | {"rank": "many"})}, "malformed"),
        ({}, {"facts": json.dumps(facts | {"accuracy": [1]})}, "malformed"),
        ({}, {"facts": json.dumps(facts)[:-1] + ', "rank": Infinity}'}, "not valid JSON"),
        ({}, {"facts": json.dumps(facts)[:-1] + ', "rank": 1e999}'}, "malformed"),
        ({}, {"checksum": "0" * 64}, "checksum"),
    )  # fmt: skip
    for tensors, metadata, message in cases:
        path = damaged(tmp_path, tensors, **metadata)
        with pytest.raises(UnsupportedModelError, match=f"(?s){message}"):
            load_basis(path)
    (tmp_path / "x.safetensors").write_bytes(b"\x80\x04\x95 no safetensors")
    with pytest.raises(UnsupportedModelError):
        load_basis(tmp_path / "x.safetensors")
    direction = Direction(torch.ones(12), SPACE, "smile")
    save_direction(tmp_path / "d.safetensors", direction)
    with pytest.raises(UnsupportedModelError, match="holds a direction"):
        load_basis(tmp_path / "d.safetensors")


def test_attributes_may_come_together():
    means = torch.eye(12)[:3] + 0.1
    basis = basis_from_means(means, NAMES, SPACE, means, BasisOptions(size=3))
    basis = replace(basis, exclusive=False, accuracy=0.1)
    assert len(basis) == 3
    assert basis.warnings() == []


def test_unknown_bundled_bases_are_named():
    assert {bundled_basis_path(name).name for name in BUNDLED_BASES} == {
        "basis_face.safetensors",
        "basis_digits.safetensors",
    }
    with pytest.raises(FaceLatentsError, match=r"no bundled basis '../x'"):
        bundled_basis_path("../x")

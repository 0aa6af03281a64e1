"""Eigenfaces: exact values, their inverse, and their fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents.lab.training.face.linear import fit_linear
from face_latents.models.architectures.face.eigenfaces import Eigenfaces
from face_latents.models.architectures.face.planes import from_planes, to_planes
from face_latents.models.errors import UnsupportedModelError
from sklearn.decomposition import PCA

SIZE = 8


def random_tensors(count: int = 6, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    stored = (6, SIZE // 2, SIZE // 4)
    parity = torch.ones(count, dtype=torch.int8)
    parity[1::2] = -1
    return {
        "linear.mean": torch.rand(stored, generator=generator),
        "linear.components": torch.randint(
            -127, 128, (count, *stored), dtype=torch.int8, generator=generator
        ),
        "linear.step": torch.full((count,), 0.001),
        "linear.parity": parity,
        "linear.std": torch.rand(count, generator=generator) + 0.5,
    }


def net_of(tensors: dict[str, torch.Tensor]) -> Eigenfaces:
    net = Eigenfaces(len(tensors["linear.std"]), SIZE)
    net.load_state_dict({name.removeprefix("linear."): t for name, t in tensors.items()})
    net.prepare()
    return net


def faces(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(20, 3 * SIZE * SIZE, generator=generator)
    values = torch.randn(count, 20, generator=generator) @ mixing
    return (values * 12 + 128).clamp(0, 255).to(torch.uint8).reshape(count, 3, SIZE, SIZE)


def test_values_by_hand() -> None:
    tensors = random_tensors()
    net = net_of(tensors)
    codes = torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    expected = np.zeros((3, 3, SIZE, SIZE))
    mean = from_planes(tensors["linear.mean"][None])[0].numpy().astype(np.float64)
    expected += np.concatenate([mean, mean[..., ::-1]], -1)
    for b in range(3):
        for k in range(6):
            half = from_planes(tensors["linear.components"][k : k + 1])[0].numpy()
            sign = int(tensors["linear.parity"][k])
            whole = np.concatenate([half, sign * half[..., ::-1]], -1)
            weight = tensors["linear.step"][k].item() * tensors["linear.std"][k].item()
            expected[b] += codes[b, k].item() * weight * whole
    np.testing.assert_allclose(net.linear_sum(codes).numpy(), expected, atol=2e-5)


def test_components_that_depend_on_each_other_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="independent"):
        net_of(random_tensors() | {"linear.components": torch.zeros(6, 6, 4, 2, dtype=torch.int8)})


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_fit_inverts_the_sum(batch: int) -> None:
    net = net_of(random_tensors(seed=3))
    codes = torch.randn(batch, 6, generator=torch.Generator().manual_seed(batch))
    kept = codes.clone()
    torch.testing.assert_close(net.fit(net.linear_sum(codes)), codes, atol=1e-4, rtol=1e-4)
    assert torch.equal(codes, kept)


def test_the_fit_is_the_least_squares_fit() -> None:
    net = net_of(random_tensors(seed=4))
    crop = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    columns = (
        (net.linear_sum(torch.eye(6)) - net.linear_sum(torch.zeros(1, 6)))
        .flatten(1)
        .double()
        .numpy()
    )
    residual = (crop - net.linear_sum(torch.zeros(1, 6))).flatten().double().numpy()
    expected = np.linalg.lstsq(columns.T, residual, rcond=None)[0]
    np.testing.assert_allclose(net.fit(crop)[0].numpy(), expected, atol=1e-4)


def test_mirroring_flips_signs() -> None:
    net = net_of(random_tensors(seed=6))
    codes = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    mirrored = net.linear_sum(codes * net.parity)
    torch.testing.assert_close(mirrored, net.linear_sum(codes).flip(-1), atol=1e-6, rtol=0)


def test_half_precision_codes_and_gradient() -> None:
    net = net_of(random_tensors())
    codes = torch.randn(2, 6, dtype=torch.float16)
    assert net.linear_sum(codes).dtype == torch.float32
    small = codes.float().requires_grad_()
    net.linear_sum(small).sum().backward()
    assert small.grad is not None
    assert small.grad.abs().sum() > 0


def test_fit_agrees_with_scikit_learn() -> None:
    crops = faces(40)
    seen = from_planes(to_planes(crops / 255))
    both = torch.cat([seen, seen.flip(-1)]).flatten(1).double().numpy()
    reference = PCA(n_components=12).fit(both)
    tensors = fit_linear(crops, 12)
    # halves hold half of the energy; scikit-learn divides by n - 1
    variance = 2 * tensors["linear.std"].double().numpy() ** 2
    np.testing.assert_allclose(variance, reference.explained_variance_ * 79 / 80, rtol=1e-3)
    net = net_of(tensors)
    rebuilt = net.linear_sum(net.fit(crops.float() / 255)).flatten(1).double().numpy()
    expected = reference.inverse_transform(reference.transform(both[:40]))
    # what is left is the rounding of the components to 8 bits
    assert np.abs(rebuilt - expected).max() < 0.02


def test_training_codes_are_white() -> None:
    crops = faces(60, seed=2)
    net = net_of(fit_linear(crops, 20))
    codes = net.fit(crops.float() / 255)
    codes = torch.cat([codes, codes * net.parity])
    covariance = codes.T @ codes / len(codes)
    torch.testing.assert_close(covariance, torch.eye(20), atol=0.03, rtol=0)


def test_subspace_iteration_agrees_with_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = faces(50, seed=3)
    exact = fit_linear(crops, 10)
    monkeypatch.setattr("face_latents.lab.training.face.linear.EXACT_BELOW", 0)
    iterated = fit_linear(crops, 10)
    torch.testing.assert_close(exact["linear.std"], iterated["linear.std"], rtol=1e-3, atol=1e-6)
    difference = exact["linear.components"].int() - iterated["linear.components"].int()
    assert difference.abs().max() <= 2


def test_too_few_faces() -> None:
    with pytest.raises(ValueError, match="at most 5"):
        fit_linear(faces(3), 10)
    with pytest.raises(ValueError, match="fewer than 4"):
        fit_linear(faces(1).expand(5, -1, -1, -1).contiguous(), 4)

"""PCA and SeFa directions of models whose codes have layers, against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents.models.architectures.capabilities import Capabilities
from face_latents.models.errors import FaceLatentsError
from face_latents.models.face_model import FaceModel
from face_latents.models.fit.found import pca_directions, sefa_directions
from face_latents.models.geometry.templates import TIGHT
from face_latents.models.space import LatentSpace
from face_latents.models.values import FaceLatent
from nodes_support import run
from sklearn.decomposition import PCA
from torch import Tensor, nn

LAYERS, SIZE, PICTURE = 10, 12, 32


class LayeredNet(nn.Module):
    """Each layer colours a stripe of the picture; its weight says how strongly."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        weights = torch.randn(LAYERS, 20, SIZE, generator=generator)
        self.register_buffer("weights", weights * torch.linspace(3, 1, SIZE))

    def style_weight(self, layers: tuple[int, ...] | None = None) -> Tensor:
        chosen = self.weights if layers is None else self.weights[list(layers)]
        return chosen.flatten(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        values = torch.einsum("bld,lod->blo", codes, self.weights).tanh()[..., :3]
        stripes = values.permute(0, 2, 1).repeat_interleave(4, -1)[..., :PICTURE]
        return 0.5 + 0.4 * stripes.unsqueeze(-1).expand(-1, -1, -1, PICTURE)


class LayeredModel(FaceModel):
    def sample(self, count: int, seed: int, truncation_psi: float = 1.0, **_: object) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        w = torch.randn(count, 1, SIZE, generator=generator) * torch.linspace(0.5, 2, SIZE)
        return (w + 0.3).expand(-1, LAYERS, -1).clone()


def model() -> FaceModel:
    space = LatentSpace("w_plus", (LAYERS, SIZE), "e" * 16, torch.full((LAYERS, SIZE), 0.3))
    net = LayeredNet()
    able = Capabilities(net.decode, style_weight=net.style_weight)
    return LayeredModel(net, able, space, TIGHT.resized(PICTURE), {}, {}, "layered")


def cosines(a: Tensor, b: np.ndarray) -> np.ndarray:
    """Of each row of both, whatever their signs."""
    rows = np.abs((a.double().numpy() * b).sum(-1))
    return rows / np.linalg.norm(a.double().numpy(), axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.mark.parametrize("layers", [None, (0, 1, 2, 3), (8,)])
def test_pca_of_random_faces_is_that_of_w(layers):
    given = model()
    codes = given.sample(300, 5)
    found, shares = pca_directions(given, codes, 4, layers)
    reference = PCA(4).fit(codes[:, 0].double().numpy())
    chosen = list(range(LAYERS)) if layers is None else list(layers)
    others = [layer for layer in range(LAYERS) if layer not in chosen]
    for layer in chosen:
        assert cosines(found.vector[:, layer], reference.components_).min() > 1 - 1e-6
    assert not found.vector[:, others].any()
    np.testing.assert_allclose(shares.numpy(), reference.explained_variance_ratio_, atol=1e-5)
    lengths = found.vector[:, chosen[0]].norm(dim=1).numpy()
    np.testing.assert_allclose(lengths, np.sqrt(reference.explained_variance_), rtol=1e-4)


@pytest.mark.parametrize("layers", [None, (4, 6, 7)])
def test_pca_of_faces_whose_layers_differ_takes_the_layers_together(layers):
    given = model()
    codes = torch.randn(60, LAYERS, SIZE, generator=torch.Generator().manual_seed(1))
    found, shares = pca_directions(given, codes, 5, layers)
    chosen = list(range(LAYERS)) if layers is None else list(layers)
    rows = codes[:, chosen].flatten(1).double().numpy()
    reference = PCA(5, svd_solver="full").fit(rows)
    assert cosines(found.vector[:, chosen].flatten(1), reference.components_).min() > 1 - 1e-6
    np.testing.assert_allclose(shares.numpy(), reference.explained_variance_ratio_, atol=1e-5)
    others = [layer for layer in range(LAYERS) if layer not in chosen]
    assert not found.vector[:, others].any()


@pytest.mark.parametrize("layers", [None, (0, 1, 2, 3), (9,)])
def test_sefa_directions_are_eigenvectors_of_the_layers_weights(layers):
    given = model()
    found, shares = sefa_directions(given, 3, layers)
    weight = given.module.style_weight(layers).double().numpy()
    values, vectors = np.linalg.eigh(weight.T @ weight)
    chosen = list(range(LAYERS)) if layers is None else list(layers)
    others = [layer for layer in range(LAYERS) if layer not in chosen]
    for layer in chosen:
        assert cosines(found.vector[:, layer], vectors[:, ::-1].T[:3]).min() > 1 - 1e-5
    assert not found.vector[:, others].any()
    np.testing.assert_allclose(shares.numpy(), (values / values.sum())[::-1][:3], atol=1e-5)


def test_strength_one_of_sefa_is_one_deviation_of_random_faces():
    given = model()
    vectors = sefa_directions(given, 3, (2, 5))[0].vector
    w = given.sample(4000, 77)[:, 0]
    unit = torch.nn.functional.normalize(vectors[:, 2], dim=1)
    torch.testing.assert_close(vectors[:, 2].norm(dim=1), (w @ unit.T).std(0), rtol=0.15, atol=0)


@pytest.mark.parametrize("node", ["FaceLatentsPCADirections", "FaceLatentsSeFaDirections"])
def test_the_nodes_draw_a_sheet_and_move_the_named_layers(node):
    given = model()
    settings = {"count": 3, "index": 1, "strength": 2.0, "name": "turn", "layers": "coarse"}
    direction, batch, sheet, info = run(node, face_model=given, **settings)
    assert batch.vector.shape == (3, LAYERS, SIZE)
    assert torch.equal(direction.vector, batch.vector[1])
    assert direction.vector[:4].any(1).all()
    assert not direction.vector[4:].any()
    assert "layers 0, 1, 2, 3" in direction.method
    assert "random faces" not in info  # whose PCA says something here
    assert sheet.shape[1] > 3 * 96
    face = FaceLatent(given.sample(1, 9), given.space)
    moved = run("FaceLatentsAddDirection", face_latent=face, direction=direction, strength=1.0)[0]
    assert torch.equal(moved.samples[:, 4:], face.samples[:, 4:])
    assert not torch.equal(moved.samples[:, :4], face.samples[:, :4])


@pytest.mark.parametrize("node", ["PCA", "SeFa"])
def test_layers_that_are_not_there_are_refused_by_the_node(node):
    settings = {"count": 3, "index": 1, "strength": 2.0, "name": ""}
    with pytest.raises(FaceLatentsError, match=rf"^{node} Directions: layers '10'"):
        run(f"FaceLatents{node}Directions", face_model=model(), **settings, layers="10")

"""Directions found without labels, to be named by looking: PCA of codes and SeFa of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ... import latent_ops
from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..layers import keep_layers, layer_count
from ..threads import in_background
from ..values import Direction

_TRIED = 256  # random faces that tell how far codes lie apart, where the model does not


def pca_directions(
    model: FaceModel, codes: Tensor, count: int, layers: Sequence[int] | None = None
) -> tuple[Direction, Tensor]:
    """The directions along which codes vary most (GANSpace takes those of w).

    Args:
        model: whose codes these are.
        codes: `(N, *shape)`.
        count: how many, at most N - 1.
        layers: of a code of several layers: only these count, and only these move; None for all.

    Where all these layers hold the same w, as in random faces, this is the PCA of w, and each
    direction is the same step in each of the layers.

    Returns:
        A batch of directions, strength 1 being one standard deviation of the codes along each; and
        the share of the variance along each, `(count,)`.

    Raises:
        FaceLatentsError: too few codes, or codes that do not vary.
    """
    codes = codes.detach().cpu().float()
    shape = model.space.shape
    chosen: Tensor | None = None
    if layer_count(model.space) is not None:
        chosen = torch.arange(shape[0]) if layers is None else torch.tensor(list(layers))
        codes = codes[:, chosen]
        if torch.equal(codes, codes[:, :1].expand_as(codes)):
            codes = codes[:, :1]
    _require_count(count, min(len(codes) - 1, codes[0].numel()), f"{len(codes)} faces")
    try:
        vectors, shares = latent_ops.principal_directions(codes, count)
    except ValueError as error:
        raise FaceLatentsError(f"PCA: {error}") from error
    along = (codes - codes.mean(0)).flatten(1) @ vectors.flatten(1).T
    steps = vectors * along.std(0).reshape(-1, *[1] * (vectors.ndim - 1))
    if chosen is not None:
        whole = torch.zeros(count, *shape)
        whole[:, chosen] = steps.expand(count, len(chosen), shape[1])
        steps = whole
    direction = Direction(
        vector=steps,
        space=model.space,
        name="PCA",
        unit=f"one standard deviation of the {len(codes)} faces along it",
        method=f"principal components of {len(codes)} codes{_on_layers(layers)}",
    )
    return direction, shares


def sefa_directions(
    model: FaceModel, count: int, layers: Sequence[int] | None = None
) -> tuple[Direction, Tensor]:
    """The directions that the first weight of the network amplifies most (SeFa).

    Args:
        model: its network needs a `style_weight`, see `Capabilities`.
        count: how many, at most d.
        layers: of a code of several layers: only the weights that these drive count, and only
            these move; None for all.

    Returns:
        A batch of directions, strength 1 being one standard deviation of the model's codes along
        each (of random faces where the model does not state it); and each one's share of the sum
        of eigenvalues, `(count,)`.

    Raises:
        FaceLatentsError: a network without that weight, or too few directions.
    """
    weight_of = model.capabilities.style_weight
    if weight_of is None:
        raise FaceLatentsError(
            f"SeFa needs the weight that first acts on a code, which the network of model "
            f"'{model.name}' does not offer. Use PCA Directions, which only needs faces."
        )
    with torch.no_grad():
        weight = weight_of(layers).detach().cpu().float()
    size, shape = weight.shape[1], model.space.shape
    if shape[-1] != size:
        raise FaceLatentsError(
            f"SeFa: the weight of model '{model.name}' acts on {size} numbers, but its codes have "
            f"shape {shape}."
        )
    _require_count(count, size, f"codes of {size} numbers")
    vectors, values = in_background(lambda: latent_ops.sefa_directions(weight, size))
    shares = (values / values.sum())[:count]
    # for codes of several layers: the same step in each of them
    vectors = vectors[:count].reshape(count, *[1] * (len(shape) - 1), size).expand(count, *shape)
    vectors = keep_layers(vectors, layers)
    unit = vectors / vectors.flatten(1).norm(dim=1).reshape(-1, *[1] * len(shape))
    deviation = _deviation(model, unit).reshape(-1, *[1] * len(shape))
    direction = Direction(
        vector=(unit * deviation).contiguous(),
        space=model.space,
        name="SeFa",
        unit="one standard deviation of the model's codes along it",
        method=f"SeFa: eigenvectors of the weight that first acts on the code{_on_layers(layers)}",
    )
    return direction, shares


def _deviation(model: FaceModel, unit: Tensor) -> Tensor:
    """Standard deviation of the model's codes along each unit vector `(k, *shape)`: `(k,)`."""
    if layer_count(model.space) is None:
        spread = model.space.std
        scaled = unit if spread is None else unit * spread.cpu().float()
        lengths: Tensor = scaled.flatten(1).norm(dim=1)
        return lengths
    # layers of a random face are not independent: they hold the same w
    codes = model.sample(_TRIED, seed=0).cpu().float()
    return ((codes - codes.mean(0)).flatten(1) @ unit.flatten(1).T).std(0)


def _on_layers(layers: Sequence[int] | None) -> str:
    return "" if layers is None else f", layers {', '.join(map(str, layers))}"


def _require_count(count: int, most: int, of: str) -> None:
    if not 1 <= count <= most:
        raise FaceLatentsError(
            f"{count} directions were asked for, but {of} give at most {max(most, 0)}. Lower "
            "count, or give more faces."
        )

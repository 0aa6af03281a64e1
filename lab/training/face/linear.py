"""Fitting eigenfaces: principal components of faces and their mirror images.

With every face present twice, plain and mirrored, the covariance splits into that of the mirror-
symmetric halves (x + mirror x) / 2 and of the antisymmetric ones (x - mirror x) / 2
(Sirovich & Kirby 1990). Each is decomposed through its Gram matrix, so pixels enter only once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ....models.architectures.face.planes import to_planes

CHUNK = 1024  # images turned to float32 at a time
EXACT_BELOW = 3000  # images; larger Gram matrices are decomposed by subspace iteration


def fit_linear(
    crops: Tensor,
    count: int,
    *,
    iterations: int = 8,
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> dict[str, Tensor]:
    """Tensors of eigenfaces (`architectures/face/eigenfaces.py`) fitted to aligned crops.

    Args:
        crops: `(N, 3, S, S)` uint8, S even.
        count: components to keep, those of largest variance whatever their parity.
        iterations: of subspace iteration.
        seed: of its random start.
        progress: told the stage.

    Raises:
        ValueError: fewer than `count` components exist in the data.
    """
    number = len(crops)
    if count > 2 * number - 1:
        raise ValueError(f"{number} faces give at most {2 * number - 1} components, not {count}")
    mean = torch.zeros_like(_halves(crops[:1], +1)[0], dtype=torch.float64)
    for part in crops.split(CHUNK):
        mean += _halves(part, +1).double().sum(0)
    mean = (mean / number).float()
    variances, rows, parities = [], [], []
    for parity in (+1, -1):
        progress("symmetric part" if parity > 0 else "antisymmetric part")
        data = torch.empty(number, mean.numel())
        for i, part in enumerate(crops.split(CHUNK)):
            half = _halves(part, parity)
            centred = half - mean if parity > 0 else half
            data[i * CHUNK : i * CHUNK + len(part)] = centred.flatten(1)
        values, vectors = _principal(data, min(count, number), iterations, seed)
        variances.append(values)
        rows.append(vectors)
        parities.append(torch.full((len(values),), parity, dtype=torch.int8))
        del data
    variance, component = torch.cat(variances), torch.cat(rows)
    largest = variance.argsort(descending=True)[:count]
    if len(largest) < count:
        raise ValueError(f"the faces differ in fewer than {count} independent ways")
    component, variance = component[largest], variance[largest]
    # rounding to 255 levels costs far less than what the components leave out
    step = component.abs().amax(1) / 127
    quantised = (component / step[:, None]).round().to(torch.int8)
    return {
        "linear.mean": mean,
        "linear.components": quantised.reshape(count, *mean.shape),
        "linear.step": step,
        "linear.parity": torch.cat(parities)[largest],
        "linear.std": variance.sqrt(),
    }


def _halves(crops: Tensor, parity: int) -> Tensor:
    """Planes `(n, 6, S / 2, S / 4)` of the left half of the mirror-symmetric or antisymmetric part,
    float32."""
    left, right = (crops.float() / 255).chunk(2, dim=-1)
    half = (left + parity * right.flip(-1)) / 2
    return to_planes(half)


def _principal(data: Tensor, count: int, iterations: int, seed: int) -> tuple[Tensor, Tensor]:
    """Largest variances `(k,)` and unit rows `(k, D)` of centred data `(N, D)`."""
    number = data.shape[0]
    gram = data @ data.T
    if number <= EXACT_BELOW:
        values, vectors = torch.linalg.eigh(gram.double())
    else:
        generator = torch.Generator().manual_seed(seed)
        start = torch.randn(number, min(number, count + 128), generator=generator)
        basis = torch.linalg.qr(start).Q
        for _ in range(iterations):
            basis = torch.linalg.qr(gram @ basis).Q
        values, vectors = torch.linalg.eigh((basis.T @ (gram @ basis)).double())
        vectors = basis.double() @ vectors
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    keep = values > 1e-9 * values[0]
    values, vectors = values[keep], vectors[:, keep]
    rows = (vectors.float().T @ data) / values.sqrt().float()[:, None]
    # fixed signs make the fit reproducible on another machine
    signs = torch.sign(rows.gather(1, rows.abs().argmax(1, keepdim=True)))
    return (values / number).float(), rows * signs

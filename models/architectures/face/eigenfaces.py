"""Eigenfaces of a mirror-symmetric training set (Turk & Pentland 1991).

A face is the mean plus a weighted sum of components. Every training face also took part mirrored,
so each component is mirror-symmetric (parity +1) or mirror-antisymmetric (-1) (Sirovich & Kirby
1990): only its left half is stored, and to mirror a face is to change signs of its code.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import UnsupportedModelError
from .planes import PLANES, from_planes, to_planes


class Eigenfaces(nn.Module):
    """Whitened eigenfaces: `linear_sum(z) = mean + (z * std) @ components`, `fit` its inverse.

    The coefficients of training faces have mean 0 and standard deviation 1. All is computed in
    float32. `fit` is the exact least-squares fit to the components as stored, so it gives z back
    although rounding left them only nearly orthonormal.
    """

    mean: Tensor
    components: Tensor
    step: Tensor
    parity: Tensor
    std: Tensor
    basis: Tensor
    solver: Tensor
    order: Tensor

    def __init__(
        self,
        count: int,  # components
        size: int,  # pixels of the square crop
    ) -> None:
        super().__init__()
        self.size = size
        stored = (PLANES, size // 2, size // 4)  # planes of a left half
        self.register_buffer("mean", torch.zeros(stored))
        # largest variance first; a component is `step` times these
        self.register_buffer("components", torch.zeros(count, *stored, dtype=torch.int8))
        self.register_buffer("step", torch.ones(count))
        self.register_buffer("parity", torch.ones(count, dtype=torch.int8))
        self.register_buffer("std", torch.ones(count))  # of coefficients of training faces
        # derived by prepare(): symmetric rows first, then antisymmetric ones
        for name in ("basis", "solver"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.register_buffer("order", torch.zeros(0, dtype=torch.long), persistent=False)

    @torch.no_grad()
    def prepare(self) -> None:
        """Derive the float32 basis and the least-squares solver from the stored tensors.

        Raises:
            UnsupportedModelError: the components are not linearly independent.
        """
        self.order = torch.argsort(self.parity.int(), descending=True, stable=True)
        self._split = int((self.parity > 0).sum())
        scale = (self.step * self.std)[self.order, None]
        self.basis = self.components[self.order].flatten(1).float()
        # one block per parity: halves of opposite parity do not mix
        blocks = []
        for part in (slice(self._split), slice(self._split, None)):
            size = scale[part].double()
            gram = _products(self.basis[part]) * (size @ size.T)
            factor, failed = torch.linalg.cholesky_ex(gram)
            if int(failed):
                raise UnsupportedModelError("linear.components are not linearly independent.")
            blocks.append(torch.cholesky_inverse(factor))
        self.basis *= scale
        self.solver = torch.block_diag(*blocks).float()

    def part(self, rows: slice, beside: int) -> tuple[Tensor, Tensor]:
        """Mean and basis of some rows of the planes, without so many columns at both sides."""
        basis = self.basis.unflatten(1, self.mean.shape)
        return self.mean[:, rows, beside:], basis[:, :, rows, beside:].flatten(1)

    def linear_sum(self, coefficients: Tensor, part: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Coefficients `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1]; or a part."""
        mean, basis = part or (self.mean, self.basis)
        ordered = coefficients.float()[:, self.order]
        rows = (len(coefficients), *mean.shape)
        even = (ordered[:, : self._split] @ basis[: self._split]).reshape(rows) + mean
        odd = (ordered[:, self._split :] @ basis[self._split :]).reshape(rows)
        even, odd = from_planes(even), from_planes(odd)
        return torch.cat([even + odd, (even - odd).flip(-1)], dim=-1)

    def fit(self, crops: Tensor, part: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to coefficients `(B, K)` float32, by least squares; or
        what a part of them adds to these."""
        mean, basis = part or (self.mean, self.basis)
        left, right = crops.float().chunk(2, dim=-1)
        right = right.flip(-1)
        even = (to_planes((left + right) / 2) - mean).flatten(1)
        odd = to_planes((left - right) / 2).flatten(1)
        products = torch.cat([even @ basis[: self._split].T, odd @ basis[self._split :].T], dim=1)
        solved = products @ self.solver
        coefficients = torch.empty_like(solved)
        coefficients[:, self.order] = solved
        return coefficients


def _products(rows: Tensor) -> Tensor:
    """Inner products `(K, K)` float64 of rows `(K, N)` of whole numbers up to 127, exactly.

    A float32 product is exact below 2^24, which 1024 numbers do not reach, and takes half the time.
    """
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows.device)
    for part in rows.split(1024, 1):
        total += part @ part.T
    return total

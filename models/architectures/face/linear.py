"""Linear face model: eigenfaces of a mirror-symmetric training set (Turk & Pentland 1991).

A face is the mean plus a weighted sum of components. Because every training face also took part
mirrored, each component is either mirror-symmetric (parity +1) or mirror-antisymmetric (-1)
(Sirovich & Kirby 1990), so only its left half is stored, and mirroring a face is a change of signs
of its code. The components are stored as int8 with one step size each.

Tensors of a file (K components, S pixels): see `SPECS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...files.tensors import TensorSpec
from ..capabilities import Capabilities, FaceNet

NAME = "linear"
_COMPONENTS = "linear.components"


def specs(count: int, size: int) -> dict[str, TensorSpec]:
    """Every tensor of a linear model of `count` components and `size` pixels."""
    half = (3, size, size // 2)
    return {
        "linear.mean": TensorSpec(half, ("F32",)),  # left half of the mean face
        _COMPONENTS: TensorSpec((count, *half), ("I8",)),  # left halves, largest variance first
        "linear.step": TensorSpec((count,), ("F32",)),  # component = step * int8
        "linear.parity": TensorSpec((count,), ("I8",)),  # +1 mirror-symmetric, -1 antisymmetric
        "linear.std": TensorSpec((count,), ("F32",)),  # of each coefficient over the training set
    }


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when tensor names and the shape of the components are those of a linear model."""
    shape = shapes.get(_COMPONENTS, ())
    if len(shape) != 4 or shape[0] < 1 or shape[1] != 3 or shape[2] != 2 * shape[3]:
        return False
    return set(shapes) == set(specs(shape[0], shape[2]))


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true."""
    count, _, size, _ = shapes[_COMPONENTS]
    return specs(count, size)


def check_values(tensors: Mapping[str, Tensor]) -> None:
    """Refuse values that make no model.

    Raises:
        UnsupportedModelError: parity other than +-1, or std <= 0.
    """
    check_parity("linear.parity", tensors["linear.parity"])
    if not bool((tensors["linear.std"] > 0).all()):
        raise UnsupportedModelError("linear.std must be positive everywhere.")


def check_parity(name: str, parity: Tensor) -> None:
    """Refuse what is neither +1 nor -1.

    Raises:
        UnsupportedModelError: see above.
    """
    if not bool((parity.abs() == 1).all()):
        raise UnsupportedModelError(f"{name} must hold only +1 and -1.")


def load(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> LinearFaceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Raises:
        UnsupportedModelError: values that make no model (parity other than +-1, std <= 0).
    """
    check_values(tensors)
    count, _, size, _ = tensors[_COMPONENTS].shape
    net = LinearFaceNet(count, size)
    net.load_state_dict({name.removeprefix("linear."): t for name, t in tensors.items()})
    net.prepare()
    return net.eval()


class LinearFaceNet(FaceNet):
    """Whitened eigenfaces: `decode(z) = mean + (z * std) @ components`, encode its inverse.

    The coefficients of training faces have mean 0 and standard deviation 1. Everything is
    computed in float32. Encoding is the exact least-squares fit to the components as stored, so
    `encode(decode(z))` gives z back although rounding left them only nearly orthonormal.
    """

    mean: Tensor
    components: Tensor
    step: Tensor
    parity: Tensor
    std: Tensor
    basis: Tensor
    solver: Tensor
    order: Tensor

    space_name = "z"

    def __init__(
        self,
        count: int,  # components, the length of a code
        size: int,  # pixels of the square crop
    ) -> None:
        super().__init__()
        self.size = size
        half = (3, size, size // 2)
        stored = self.to_rows(torch.zeros(1, *half)).shape[1:]
        self.register_buffer("mean", torch.zeros(stored))
        self.register_buffer("components", torch.zeros(count, *stored, dtype=torch.int8))
        self.register_buffer("step", torch.ones(count))
        self.register_buffer("parity", torch.ones(count, dtype=torch.int8))
        self.register_buffer("std", torch.ones(count))
        # derived by prepare(): symmetric rows first, then antisymmetric ones
        for name in ("basis", "solver"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.register_buffer("order", torch.zeros(0, dtype=torch.long), persistent=False)

    def to_rows(self, halves: Tensor) -> Tensor:
        """Half pictures `(B, 3, S, S / 2)` as they are stored in the components."""
        return halves

    def from_rows(self, rows: Tensor) -> Tensor:
        """The inverse of `to_rows`."""
        return rows

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(K,)`."""
        return (self.std.shape[0],)

    @property
    def symmetric_count(self) -> int:
        """How many components are mirror-symmetric."""
        return int((self.parity > 0).sum())

    @torch.no_grad()
    def prepare(self) -> None:
        """Derive the float32 basis and the least-squares solver from the stored tensors.

        Raises:
            UnsupportedModelError: the components are not linearly independent.
        """
        self.order = torch.argsort(self.parity.int(), descending=True, stable=True)
        self._split = self.symmetric_count
        scale = (self.step * self.std)[self.order, None]
        self.basis = self.components[self.order].flatten(1).float() * scale
        # one block per parity: halves of opposite parity do not mix
        blocks = []
        for part in (self.basis[: self._split], self.basis[self._split :]):
            rows = part.double()
            gram = rows @ rows.T
            factor, failed = torch.linalg.cholesky_ex(gram)
            if int(failed):
                raise UnsupportedModelError("linear.components are not linearly independent.")
            blocks.append(torch.cholesky_inverse(factor))
        self.solver = torch.block_diag(*blocks).float()

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        ordered = codes.float()[:, self.order]
        rows = (codes.shape[0], *self.mean.shape)
        even = (ordered[:, : self._split] @ self.basis[: self._split]).reshape(rows) + self.mean
        odd = (ordered[:, self._split :] @ self.basis[self._split :]).reshape(rows)
        even, odd = self.from_rows(even), self.from_rows(odd)
        return torch.cat([even + odd, (even - odd).flip(-1)], dim=-1)

    def encode(self, crops: Tensor) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to their codes `(B, K)` float32, by least squares."""
        left, right = crops.float().chunk(2, dim=-1)
        right = right.flip(-1)
        even = (self.to_rows((left + right) / 2) - self.mean).flatten(1)
        odd = self.to_rows((left - right) / 2).flatten(1)
        products = torch.cat(
            [even @ self.basis[: self._split].T, odd @ self.basis[self._split :].T], dim=1
        )
        solved = products @ self.solver
        codes = torch.empty_like(solved)
        codes[:, self.order] = solved
        return codes

    def mirror(self, codes: Tensor) -> Tensor:
        """The codes `(B, K)` of the faces mirrored left to right."""
        return codes * self.parity.to(codes.dtype)

    def capabilities(self) -> Capabilities:
        """Codes are white: mean 0 and standard deviation 1."""
        return Capabilities(
            decode=self.decode,
            encode=self.encode,
            mirror=self.mirror,
            style_weight=self.style_weight,
            code_mean=torch.zeros(self.code_shape),
            code_std=torch.ones(self.code_shape),
        )

    def style_weight(self, layers: Sequence[int] | None = None) -> Tensor:
        """What each number of a code adds to the pixels, `(3 S S, K)` float32: the weight that
        first acts on the code."""
        identity = torch.eye(len(self.std), device=self.std.device)
        origin = torch.zeros_like(identity[:1])
        return (self.decode(identity) - self.decode(origin)).flatten(1).T

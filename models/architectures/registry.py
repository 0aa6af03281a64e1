"""Which architecture a checkpoint has: told by tensor names and shapes, never by file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..errors import UnsupportedModelError
from ..files.tensors import Header, TensorSpec
from . import digits
from .face import file as rendered
from .face import linear
from .statistics import CodeStatistics
from .stylegan2 import file as stylegan2_file


class FaceNet(Protocol):
    """What every architecture's network offers; each is an `nn.Module` in evaluation mode.

    More methods are used where a network has them: `mirror(codes)`, the codes of the faces
    mirrored left to right, helps to fit directions; `style_weight()`, the weight `(out, d)` that
    first acts on a code (or on each layer of one), is what SeFa decomposes; `code_std`, the
    standard deviation of codes where it is not 1, and `random_std`, that of random ones where it
    is another; `motion(codes)`, how a change of the code moves a face, which Paste Back follows; a
    network with layers also offers `LayeredNet`, one that fits edits to the photo `RetouchingNet`.
    """

    size: int
    space_name: str

    @property
    def code_statistics(self) -> CodeStatistics | None:
        """How training codes are distributed; None: whitened, mean 0 and deviation 1."""

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code."""

    def encode(self, crops: Tensor) -> Tensor:
        """`(B, 3, S, S)` in [0, 1] to `(B, *code_shape)` float32."""

    def decode(self, codes: Tensor) -> Tensor:
        """`(B, *code_shape)` to `(B, 3, S, S)` float32, nominally in [0, 1]."""


@runtime_checkable
class LayeredNet(Protocol):
    """A network whose own codes are w+, one w per layer, mapped from z."""

    num_ws: int
    z_dim: int
    w_dim: int

    def map(self, z: Tensor, class_index: int | None = None) -> Tensor:
        """z `(B, z_dim)` to w `(B, w_dim)`."""

    def broadcast(self, w: Tensor) -> Tensor:
        """w `(B, w_dim)` to w+ `(B, num_ws, w_dim)`."""

    def mean_code(self) -> Tensor:
        """Mean of the codes, `(num_ws, w_dim)`."""

    def code_std(self) -> Tensor:
        """Standard deviation of the codes, `(num_ws, w_dim)`."""

    def sample_codes(
        self,
        count: int,
        generator: torch.Generator,
        psi: float = 1.0,
        cutoff: int | None = None,
        class_index: int | None = None,
    ) -> Tensor:
        """Random codes `(count, num_ws, w_dim)`."""


class RetouchingNet(Protocol):
    """A network that fits edits to the photo's own face."""

    def retouches(self, change: Tensor) -> Tensor:
        """Which changes of codes `(B, *code_shape)` it can fit, `(B,)`."""

    def drawn(self, codes: Tensor) -> Tensor:
        """Codes `(B, *code_shape)` as they are drawn where nothing is edited, `(B, 3, S, S)`."""

    def edited_photos(
        self, photos: Tensor, before: Tensor, after: Tensor, *, drawn: Tensor | None = None
    ) -> Tensor:
        """Aligned crops `(B, 3, S, S)` and their codes before and after an edit to edited crops.
        `drawn` is what `drawn` made of the former, if it is at hand."""


@dataclass(frozen=True)
class Architecture:
    """One kind of checkpoint: how it is told from others, and how its network is built.

    `load_described` takes the place of `load` where the tensors alone do not say everything.
    """

    name: str
    description: str
    detect: Callable[[Mapping[str, tuple[int, ...]]], bool]
    expected: Callable[[Mapping[str, tuple[int, ...]]], dict[str, TensorSpec]]
    load: Callable[[Mapping[str, Tensor]], FaceNet]
    load_described: Callable[[Mapping[str, Tensor], Mapping[str, str]], FaceNet] | None = None

    def build(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> FaceNet:
        """The network of checked tensors, and of the file's metadata."""
        if self.load_described is not None:
            return self.load_described(tensors, metadata)
        return self.load(tensors)


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        linear.NAME,
        "linear face model (eigenfaces)",
        linear.detect,
        linear.expected,
        linear.load,
    ),
    Architecture(
        rendered.NAME,
        "rendered face model (eigenfaces and a convolutional renderer)",
        rendered.detect,
        rendered.expected,
        rendered.load,
    ),
    Architecture(
        digits.NAME,
        "digit model (convolutional autoencoder, 28 x 28 grey pictures)",
        digits.detect,
        digits.expected,
        digits.load,
    ),
    Architecture(
        stylegan2_file.NAME,
        "StyleGAN2 generator, 32 to 1024 px, with or without an e4e or pSp encoder",
        stylegan2_file.detect,
        stylegan2_file.expected,
        stylegan2_file.load,
        stylegan2_file.load,
    ),
)


def detect_architecture(header: Header, shapes: Mapping[str, tuple[int, ...]]) -> Architecture:
    """The architecture whose names and shapes a checkpoint has.

    Args:
        header: of the file, for the message.
        shapes: tensor name to shape, without what does not belong to the network.

    Raises:
        UnsupportedModelError: no architecture fits; shows names seen and architectures known.
    """
    for architecture in ARCHITECTURES:
        if architecture.detect(shapes):
            return architecture
    names = sorted(shapes)
    seen = ", ".join(f"{name} {list(shapes[name])}" for name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    known = "; ".join(f"{a.name}: {a.description}" for a in ARCHITECTURES)
    raise UnsupportedModelError(
        f"{header.path}: not a face model known here. Its tensors: {seen or 'none'}{more}. "
        f"Known architectures: {known}. If it is a model of another kind, convert it first."
    )

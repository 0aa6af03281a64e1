"""What a network of an architecture can do, and what all of them have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ..values import Direction, Reading
from .statistics import CodeStatistics


@dataclass(frozen=True, eq=False)
class Removal:
    """An attribute that edits take away.

    Attributes:
        direction: the attribute; its reading has a least value.
        share: `(B,)` in [0, 1], how much of it goes from each face.
    """

    direction: Direction
    share: Tensor


class PhotoEditor(Protocol):
    """Applies edits to the photo's own face.

    Attributes:
        extent: sides of the crop that the maps cover.
    """

    extent: float

    def edit(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        removals: Sequence[Removal] = (),
        *,
        draft: bool = False,
    ) -> Tensor:
        """What edits do to photos.

        Args:
            photos: aligned crops `(B, 3, S, S)` in [0, 1].
            before, after: `(B, *s)`, codes of the crops, and after the edit.
            removals: what is taken away beside that.
            draft: at half the resolution.

        Returns:
            `(B, 9, N, N)`, maps as `EditMaps.stacked` gives them.
        """


class StyleLayers(Protocol):
    """Codes of several layers (w_plus), one w each, mapped from z."""

    z_dim: int

    def map(self, z: Tensor, class_index: int | None = None) -> Tensor:
        """z `(B, z_dim)` to w `(B, w_dim)`."""

    def broadcast(self, w: Tensor) -> Tensor:
        """w `(B, w_dim)` to w_plus `(B, num_ws, w_dim)`."""

    def sample_codes(
        self,
        count: int,
        generator: torch.Generator,
        psi: float = 1.0,
        cutoff: int | None = None,
        class_index: int | None = None,
    ) -> Tensor:
        """Random codes `(count, num_ws, w_dim)`."""


class Precision(Protocol):
    """Where a network computes in half precision if told so."""

    dtype: torch.dtype  # float32, bfloat16 or float16; may be set at any time


def cpu_convolves_in(dtype: torch.dtype) -> bool:
    """False where this CPU has no instructions for convolutions in `dtype`.

    PyTorch then takes six to eight times as long as in float32.
    """
    names = {torch.bfloat16: "bf16", torch.float16: "fp16"}
    if dtype not in names or not torch.backends.mkldnn.is_available():
        return True
    supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{names[dtype]}_supported", None)
    return supported is None or bool(supported())


@dataclass(frozen=True, eq=False)
class Capabilities:
    """What a network can do. `(*s)` is the shape of one code; None says that it cannot.

    Attributes:
        decode: codes `(B, *s)` to pictures `(B, 3, S, S)` float32, nominally in [0, 1].
        encode: crops `(B, 3, S, S)` in [0, 1] to codes `(B, *s)` float32.
        encode_points: like `encode`, with dense landmarks `(B, 478, 3)` in shares of the side from
            the middle, with depth; those that are NaN are found.
        quick_decode: like `decode`, without fine detail, many times as fast.
        mirror: codes `(B, *s)` to those of the faces mirrored left to right.
        style_weight: the weight `(out, d)` that first acts on a code, or on the given layers of
            one (None: all). SeFa decomposes it.
        editor: applies edits to the photo's own face.
        doubts: crops `(B, 3, S, S)` and their codes `(B, *s)` to what makes edits of them look
            wrong, in words each; "" where there is nothing.
        layers: maps, broadcasts and samples codes of several layers.
        precision: sets the type of numbers that the network computes in.
        code_mean, code_std: `(*s)`, of the training codes, on the CPU; None: 0 and 1.
        sample_std: `(*s)`, of random codes; None: `code_std`.
        mixture: the classes that random codes are drawn from; None: one normal distribution.
        readings: what is read off a code exactly, such as the angles of a head.
        parts: which numbers of a code say what, by name, such as "pose"; together all of them.
    """

    decode: Callable[[Tensor], Tensor]
    encode: Callable[[Tensor], Tensor] | None = None
    encode_points: Callable[[Tensor, Tensor], Tensor] | None = None
    quick_decode: Callable[[Tensor], Tensor] | None = None
    mirror: Callable[[Tensor], Tensor] | None = None
    style_weight: Callable[[Sequence[int] | None], Tensor] | None = None
    editor: PhotoEditor | None = None
    doubts: Callable[[Tensor, Tensor], list[str]] | None = None
    layers: StyleLayers | None = None
    precision: Precision | None = None
    code_mean: Tensor | None = None
    code_std: Tensor | None = None
    sample_std: Tensor | None = None
    mixture: CodeStatistics | None = None
    readings: Sequence[Reading] = ()
    parts: Mapping[str, slice] = field(default_factory=dict)


class FaceNet(nn.Module, ABC):
    """Base of every architecture's network. A loaded one is in evaluation mode.

    Attributes:
        size: side of a picture in pixels.
        space_name: name of the space of its codes, see `LatentSpace`.
    """

    size: int
    space_name: str

    @property
    @abstractmethod
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code."""

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What the network can do."""

    @abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, *code_shape)` to pictures `(B, 3, S, S)` float32, nominally in [0, 1]."""

    def forward(self, codes: Tensor) -> Tensor:
        """Same as `decode`."""
        return self.decode(codes)

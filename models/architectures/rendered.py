"""Rendered face model: eigenfaces for the code, a renderer for the picture.

The code of a face is that of a linear model (`linear.py`): whitened coefficients of mirror-
symmetric and antisymmetric eigenfaces, so encoding is a closed-form least-squares fit, directions
are straight, and mirroring is a change of signs. What is decoded from it is the linear picture
drawn again by a renderer (`renderer.py`). Components keep colour at half resolution (`planes.py`).

Tensors of a file (K components, S pixels): see `specs`, and `renderer.*` in float16.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import UnsupportedModelError
from ..safefile import TensorSpec
from . import linear
from .planes import PLANES, from_planes, to_planes
from .renderer import Renderer, renderer_of

NAME = "rendered"
PREFIX = "renderer."
_COMPONENTS = "linear.components"


def linear_specs(count: int, size: int) -> dict[str, TensorSpec]:
    """Every tensor of the linear part: `count` components for crops of `size` pixels."""
    stored = (PLANES, size // 2, size // 4)
    return {
        **linear.specs(count, size),
        "linear.mean": TensorSpec(stored, ("F32",)),
        _COMPONENTS: TensorSpec((count, *stored), ("I8",)),
    }


def _renderer_shapes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {n.removeprefix(PREFIX): s for n, s in shapes.items() if n.startswith(PREFIX)}


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when tensor names and shapes are those of a rendered model."""
    shape = shapes.get(_COMPONENTS, ())
    if len(shape) != 4 or shape[0] < 1 or shape[1] != PLANES or shape[2] != 2 * shape[3]:
        return False
    return f"{PREFIX}enter.weight" in shapes


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true.

    Raises:
        UnsupportedModelError: layers of the renderer are missing.
    """
    count, _, rows, _ = shapes[_COMPONENTS]
    try:
        with torch.device("meta"):
            renderer = renderer_of(_renderer_shapes(shapes))
    except (KeyError, IndexError, RuntimeError) as error:
        raise UnsupportedModelError(
            f"The renderer lacks tensors or has odd ones: {error}."
        ) from error
    if renderer.tell.in_features > count or rows % 4:
        raise UnsupportedModelError(
            f"The renderer reads {renderer.tell.in_features} numbers of codes of {count}, at "
            f"{2 * rows} pixels; there must be enough, and pixels divisible by 8."
        )
    specs = linear_specs(count, 2 * rows)
    for name, tensor in renderer.state_dict().items():
        specs[PREFIX + name] = TensorSpec(tuple(tensor.shape), ("F16", "F32"))
    return specs


def load(tensors: Mapping[str, Tensor]) -> RenderedFaceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Raises:
        UnsupportedModelError: values that make no model.
    """
    part = {n: t for n, t in tensors.items() if not n.startswith(PREFIX)}
    linear.check_values(part)
    count, _, rows, _ = tensors[_COMPONENTS].shape
    weights = {n.removeprefix(PREFIX): t.float() for n, t in tensors.items() if n not in part}
    renderer = renderer_of({name: tuple(t.shape) for name, t in weights.items()})
    renderer.load_state_dict(weights)
    net = RenderedFaceNet(count, 2 * rows, renderer)
    net.load_state_dict(
        {n.removeprefix("linear."): t for n, t in part.items()}
        | {PREFIX + n: t for n, t in weights.items()}
    )
    net.prepare()
    return net.eval().requires_grad_(False)


class RenderedFaceNet(linear.LinearFaceNet):
    """Eigenfaces and a renderer: `decode(z) = render(mean + (z * std) @ components)`.

    The linear part is computed in float32; the renderer in `dtype` (float32, bfloat16 or float16),
    which may be set at any time. `encode` inverts the linear part only, so
    `encode(linear_picture(z))` gives z back; of a rendered picture it gives nearly z.
    """

    def __init__(self, count: int, size: int, renderer: Renderer) -> None:
        super().__init__(count, size)
        self.renderer = renderer.to(memory_format=torch.channels_last)
        self.dtype = torch.float32

    def to_rows(self, halves: Tensor) -> Tensor:
        """Half pictures `(B, 3, S, S / 2)` as planes `(B, 6, S / 2, S / 4)`."""
        return to_planes(halves)

    def from_rows(self, rows: Tensor) -> Tensor:
        """The inverse of `to_rows`, but for the colour within blocks of 2 x 2 pixels."""
        return from_planes(rows)

    def linear_picture(self, codes: Tensor) -> Tensor:
        """What the renderer starts from, `(B, 3, S, S)` float32."""
        return super().decode(codes)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        linear = self.linear_picture(codes)
        with torch.autocast(linear.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.renderer(linear, codes.float())

    def style_weight(self) -> Tensor:
        """What each number of a code adds to the linear picture, `(3 S S, K)` float32."""
        identity = torch.eye(len(self.std), device=self.std.device)
        origin = self.linear_picture(torch.zeros_like(identity[:1]))
        return (self.linear_picture(identity) - origin).flatten(1).T

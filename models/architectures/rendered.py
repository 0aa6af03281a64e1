"""Rendered face model: eigenfaces for the code, a renderer for the picture, controls for edits.

The code of a face begins as that of a linear model (`linear.py`): whitened coefficients of mirror-
symmetric and antisymmetric eigenfaces, so encoding is a closed-form least-squares fit, directions
are straight, and mirroring is a change of signs. What is decoded from it is the linear picture
drawn again by a renderer (`renderer.py`). Components keep colour at half resolution (`planes.py`).

The last numbers of a code are its controls, `CONTROL` for each unit of strength. They are 0 in
every encoded photo: it is as it is, and a direction edits it from there. They tell the renderer
how far a face was edited, which no sum of eigenfaces says, and move the drawn face (`motion.py`).

Where an edit is put back into the photo, a retoucher (`retoucher.py`) fits what was drawn to the
photo's own face; a file may lack it.

Tensors of a file (S pixels): see `linear_specs`, `control_specs`, and those of renderer and
retoucher (`renderer.*`, `retoucher.*`) in float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UnsupportedModelError
from ..safefile import TensorSpec
from . import linear
from .motion import motion_of, move
from .planes import PLANES, from_planes, to_planes
from .renderer import Renderer, renderer_of
from .retoucher import Retoucher, retoucher_of

T = TypeVar("T")

NAME = "rendered"
PREFIX = "renderer."
RETOUCHER = "retoucher."
_COMPONENTS = "linear.components"
_FIELDS, _PARITY = "control.fields", "control.parity"

CONTROL = 0.2  # what a control gains per unit of strength: little beside the whole of a direction
RANDOM_STRENGTH = 0.5  # standard deviation of a control's strength in random codes


def linear_specs(count: int, size: int) -> dict[str, TensorSpec]:
    """Every tensor of the linear part: `count` components for crops of `size` pixels."""
    stored = (PLANES, size // 2, size // 4)
    return {
        **linear.specs(count, size),
        "linear.mean": TensorSpec(stored, ("F32",)),
        _COMPONENTS: TensorSpec((count, *stored), ("I8",)),
    }


def control_specs(count: int, side: int) -> dict[str, TensorSpec]:
    """Every tensor of `count` controls, whose motion is given on `side` x `side` places."""
    return {
        _FIELDS: TensorSpec((count, 2, side, side), ("F16", "F32")),  # see `motion.move`
        _PARITY: TensorSpec((count,), ("I8",)),  # -1: the mirrored face is edited the opposite way
    }


def _part(values: Mapping[str, T], prefix: str) -> dict[str, T]:
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when tensor names and shapes are those of a rendered model."""
    shape = shapes.get(_COMPONENTS, ())
    if len(shape) != 4 or shape[0] < 1 or shape[1] != PLANES or shape[2] != 2 * shape[3]:
        return False
    return f"{PREFIX}enter.weight" in shapes and len(shapes.get(_FIELDS, ())) == 4


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true.

    Raises:
        UnsupportedModelError: layers of the renderer are missing.
    """
    count, _, rows, _ = shapes[_COMPONENTS]
    controls, _, side, _ = shapes[_FIELDS]
    retouches = any(name.startswith(RETOUCHER) for name in shapes)
    part = "renderer"
    try:
        with torch.device("meta"):
            renderer = renderer_of(_part(shapes, PREFIX), controls)
            part = "retoucher"
            retoucher = retoucher_of(_part(shapes, RETOUCHER)) if retouches else None
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The {part} lacks tensors or has odd ones: {error}."
        ) from error
    if not 0 < renderer.context <= count or rows % 4:
        raise UnsupportedModelError(
            f"The renderer reads {renderer.context} coefficients of codes of {count}, at "
            f"{2 * rows} pixels; there must be enough, and pixels divisible by 8."
        )
    if retoucher is not None and retoucher.tell.in_features != controls:
        raise UnsupportedModelError(
            f"The retoucher is told {retoucher.tell.in_features} controls; there are {controls}."
        )
    specs = linear_specs(count, 2 * rows) | control_specs(controls, side)
    for prefix, network in ((PREFIX, renderer), (RETOUCHER, retoucher)):
        for name, tensor in ({} if network is None else network.state_dict()).items():
            specs[prefix + name] = TensorSpec(tuple(tensor.shape), ("F16", "F32"))
    return specs


def load(tensors: Mapping[str, Tensor]) -> RenderedFaceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Raises:
        UnsupportedModelError: values that make no model.
    """
    linear.check_values({n: t for n, t in tensors.items() if n.startswith("linear.")})
    linear.check_parity(_PARITY, tensors[_PARITY])
    count, _, rows, _ = tensors[_COMPONENTS].shape
    controls, _, side, _ = tensors[_FIELDS].shape
    weights = {n: t.float() for n, t in tensors.items() if n.startswith((PREFIX, RETOUCHER))}
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    retouches = _part(shapes, RETOUCHER)
    net = RenderedFaceNet(
        count,
        2 * rows,
        renderer_of(_part(shapes, PREFIX), controls),
        controls,
        side,
        retoucher_of(retouches) if retouches else None,
    )
    net.load_state_dict(
        _part(tensors, "linear.")
        | weights
        | {"fields": tensors[_FIELDS].float(), "control_parity": tensors[_PARITY]}
    )
    net.prepare()
    return net.eval().requires_grad_(False)


class RenderedFaceNet(linear.LinearFaceNet):
    """Eigenfaces, renderer, controls: `decode([z, c]) = move(render(mean + z * std @ rows, c), c)`.

    The linear part and the motion are computed in float32; the renderer in `dtype` (float32,
    bfloat16 or float16), which may be set at any time. `encode` inverts the linear part only, so
    `encode(linear_picture(z))` gives z back; of a rendered picture it gives nearly z, and always
    controls of 0.
    """

    fields: Tensor
    control_parity: Tensor

    def __init__(
        self,
        count: int,
        size: int,
        renderer: Renderer,
        controls: int,
        side: int = 64,
        retoucher: Retoucher | None = None,
    ) -> None:
        super().__init__(count, size)
        self.renderer = renderer.to(memory_format=torch.channels_last)
        self.retoucher = None
        if retoucher is not None:
            self.retoucher = retoucher.to(memory_format=torch.channels_last)
        self.register_buffer("fields", torch.zeros(controls, 2, side, side))
        self.register_buffer("control_parity", torch.ones(controls, dtype=torch.int8))
        self.dtype = torch.float32

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(K,)`: coefficients of the components, then controls."""
        return (len(self.std) + len(self.fields),)

    @property
    def code_std(self) -> Tensor:
        """Standard deviation of random codes, `(K,)`."""
        spread = CONTROL * RANDOM_STRENGTH
        return F.pad(torch.ones(len(self.std)), (0, len(self.fields)), value=spread)

    @property
    def code_parity(self) -> Tensor:
        """+1 or -1 for every number of a code, by which a mirrored face differs, `(K,)` int8."""
        return torch.cat([self.parity, self.control_parity])

    def to_rows(self, halves: Tensor) -> Tensor:
        """Half pictures `(B, 3, S, S / 2)` as planes `(B, 6, S / 2, S / 4)`."""
        return to_planes(halves)

    def from_rows(self, rows: Tensor) -> Tensor:
        """The inverse of `to_rows`, but for the colour within blocks of 2 x 2 pixels."""
        return from_planes(rows)

    def coefficients(self, codes: Tensor) -> Tensor:
        """The part of codes `(B, K)` that weighs components."""
        return codes[:, : len(self.std)]

    def strengths(self, codes: Tensor) -> Tensor:
        """How strongly codes `(B, K)` were edited along each control, `(B, C)` float32."""
        return codes[:, len(self.std) :].float() / CONTROL

    def encode(self, crops: Tensor) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to their codes `(B, K)` float32, controls 0."""
        return F.pad(super().encode(crops), (0, len(self.fields)))

    def linear_picture(self, codes: Tensor) -> Tensor:
        """What the renderer starts from, `(B, 3, S, S)` float32."""
        return super().decode(self.coefficients(codes))

    def draw(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to faces `(B, 3, S, S)` float32 that have not moved yet."""
        linear = self.linear_picture(codes)
        with self._precision(linear):
            return self.renderer(linear, codes.float(), self.strengths(codes))

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def move(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` moved as the controls of codes `(B, K)` say."""
        return move(pictures, self.fields, self.strengths(codes))

    def motion(self, codes: Tensor) -> Tensor:
        """How the controls of codes `(B, K)` move a face, see `motion.motion_of`."""
        return motion_of(self.fields, self.strengths(codes), self.size)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        return self.move(self.draw(codes), codes)

    def retouches(self, change: Tensor) -> Tensor:
        """Which changes of codes `(B, K)` are fitted to the photo's own face, `(B,)`.

        Those along the model's own directions: what another one is meant to show the retoucher is
        not told, and it would take dark rims for glasses.
        """
        known = (self.strengths(change) != 0).any(1)
        return known if self.retoucher is not None else torch.zeros_like(known)

    def edited_photos(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        allowed: Tensor | float = 1.0,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """The photos' own faces as an edit of their codes changes and moves them.

        Args:
            photos: aligned crops `(B, 3, S, S)` in [0, 1].
            before: `(B, K)`, codes of the crops.
            after: `(B, K)`, codes after the edit; equal ones give the crop bit for bit.
            allowed: share of the drawn change that is put on the photo, at each pixel.
            drawn: what `draw` made of `before`, if it is at hand.

        Returns:
            `(B, 3, S, S)` float32, not clamped.
        """
        if drawn is None:
            drawn, edited = self.draw(torch.cat([before, after])).chunk(2)
        else:  # another batch is rounded in another way, but no edit is no change
            same = (before == after).all(1)[:, None, None, None]
            edited = torch.where(same, drawn, self.draw(after))
        change, fitted = edited - drawn, self.retouches(after - before)
        if self.retoucher is not None and bool(fitted.any()):
            with self._precision(photos):
                made = self.retoucher(photos, drawn, edited, self.strengths(after - before))
            change = torch.where(fitted[:, None, None, None], made, change)
        return self.move(photos + allowed * change, after - before)

    def mirror(self, codes: Tensor) -> Tensor:
        """The codes `(B, K)` of the faces mirrored left to right."""
        return codes * self.code_parity.to(codes.dtype)

    def style_weight(self) -> Tensor:
        """What each number of a code adds to the linear picture, `(3 S S, K)` float32; controls
        add nothing to it."""
        identity = torch.eye(len(self.std), device=self.std.device)
        origin = self.linear_picture(torch.zeros_like(identity[:1]))
        weight = (self.linear_picture(identity) - origin).flatten(1).T
        return F.pad(weight, (0, len(self.fields)))

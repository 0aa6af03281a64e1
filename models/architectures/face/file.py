"""Rendered face model: eigenfaces for the code, a renderer for the picture, controls for edits.

The code of a face begins as that of a linear model (`linear.py`): whitened coefficients of mirror-
symmetric and antisymmetric eigenfaces, so encoding is a closed-form least-squares fit, directions
are straight, and mirroring is a change of signs. What is decoded from it is the linear picture
drawn again by a renderer (`renderer.py`). Components keep colour at half resolution (`planes.py`).

The last numbers of a code are its controls, `CONTROL` for each unit of strength. They are 0 in
every encoded photo: it is as it is, and a direction edits it from there. They tell the renderer
how far a face was edited, which no sum of eigenfaces says, and move the drawn face (`motion.py`).
Those of light are not drawn: they light the picture as it is (`lighting.py`). Edited faces are
drawn and moved in a frame where all lips meet at one height (`mouth.py`); closed mouths are opened
by motion more than by drawing (`opening.py`).

Where an edit is put back into the photo, a retoucher (`retoucher.py`) fits what was drawn to the
photo's own face; a file may lack it.

Tensors of a file (S pixels): see `linear_specs`, `control_specs`, and those of renderer and
retoucher (`renderer.*`, `retoucher.*`) in float16. A file without `control.lights` has none, one
without `control.mouth` and `control.open` opens mouths by drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...files.tensors import TensorSpec
from . import linear
from .net import RenderedFaceNet
from .planes import PLANES
from .renderer import renderer_of
from .retoucher import retoucher_of

T = TypeVar("T")

NAME = "rendered"
PREFIX = "renderer."
RETOUCHER = "retoucher."
_COMPONENTS = "linear.components"
_FIELDS, _PARITY = "control.fields", "control.parity"
_ALONG, _LIGHTS = "control.along", "control.lights"
_MOUTH, _OPEN = "control.mouth", "control.open"


def linear_specs(count: int, size: int) -> dict[str, TensorSpec]:
    """Every tensor of the linear part: `count` components for crops of `size` pixels."""
    stored = (PLANES, size // 2, size // 4)
    return {
        **linear.specs(count, size),
        "linear.mean": TensorSpec(stored, ("F32",)),
        _COMPONENTS: TensorSpec((count, *stored), ("I8",)),
    }


def control_specs(count: int, side: int, components: int) -> dict[str, TensorSpec]:
    """Every tensor of `count` controls, whose motion is given on `side` x `side` places."""
    return {
        _FIELDS: TensorSpec((count, 2, side, side), ("F16", "F32")),  # see `motion.move`
        _PARITY: TensorSpec((count,), ("I8",)),  # -1: the mirrored face is edited the opposite way
        _ALONG: TensorSpec((count, components), ("F32",)),  # of a code, per unit of strength
        _LIGHTS: TensorSpec((count,), ("I8",)),  # 1 of a control that is light, else 0
        # how much each control opens a mouth, and strengths of the edit that opens it by 1
        _MOUTH: TensorSpec((2, count), ("F32",)),
        # log-odds that a mouth is open, per unit of each coefficient, and of the mean face
        _OPEN: TensorSpec((components + 1,), ("F32",)),
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
    specs = linear_specs(count, 2 * rows) | control_specs(controls, side, count)
    for name in {_ALONG, _LIGHTS, _MOUTH, _OPEN} - set(shapes):
        del specs[name]
    for prefix, network in ((PREFIX, renderer), (RETOUCHER, retoucher)):
        for name, tensor in ({} if network is None else network.state_dict()).items():
            specs[prefix + name] = TensorSpec(tuple(tensor.shape), ("F16", "F32"))
    return specs


def load(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> RenderedFaceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Raises:
        UnsupportedModelError: values that make no model.
    """
    linear.check_values({n: t for n, t in tensors.items() if n.startswith("linear.")})
    linear.check_parity(_PARITY, tensors[_PARITY])
    if not set(tensors.get(_LIGHTS, torch.zeros(1)).tolist()) <= {0, 1}:
        raise UnsupportedModelError(f"{_LIGHTS} must hold only 0 and 1.")
    count, _, rows, _ = tensors[_COMPONENTS].shape
    controls, _, side, _ = tensors[_FIELDS].shape
    # the renderer and the retoucher compute in float32, channels last
    weights = {
        n: t.to(
            torch.float32,
            memory_format=torch.channels_last if t.dim() == 4 else torch.contiguous_format,
        )
        for n, t in tensors.items()
        if n.startswith((PREFIX, RETOUCHER))
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    retouches = _part(shapes, RETOUCHER)
    with torch.device("meta"):  # no numbers are drawn that the file's replace at once
        renderer = renderer_of(_part(shapes, PREFIX), controls)
        retoucher = retoucher_of(retouches) if retouches else None
    net = RenderedFaceNet(count, 2 * rows, renderer, controls, side, retoucher)
    net.load_state_dict(
        _part(tensors, "linear.")
        | weights
        | {
            "fields": tensors[_FIELDS].float(),
            "control_parity": tensors[_PARITY],
            "along": tensors.get(_ALONG, torch.zeros(controls, count)),
            "lights": tensors.get(_LIGHTS, torch.zeros(controls, dtype=torch.int8)),
            "mouth": tensors.get(_MOUTH, torch.zeros(2, controls)),
            "open": tensors.get(_OPEN, torch.zeros(count + 1)),
        },
        assign=True,
    )
    net.prepare()
    return net.eval().requires_grad_(False)

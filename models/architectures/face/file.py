"""Rendered face model: eigenfaces for the code, a renderer for the picture, controls for edits.

A code begins with the whitened coefficients of eigenfaces (`eigenfaces.py`), so encoding is a
closed-form least-squares fit, directions are straight, and mirroring is a change of signs. What is
decoded from it is the weighted sum, drawn again by a renderer (`renderer.py`). Components keep
colour at half resolution (`planes.py`).

The last numbers of a code are its controls, `CONTROL` for each unit of strength. They are 0 in
every encoded photo: it is as it is, and a direction edits it from there. They tell the renderer
how far a face was edited, which no sum of eigenfaces says, and move the drawn face (`motion.py`).
Those of light are not drawn: they light the picture as it is (`lighting.py`). Edited faces are
drawn and moved in a frame where all lips meet at one height (`mouth.py`); closed mouths are opened
by motion more than by drawing (`opening.py`). Where an edit is put back into the photo, a retoucher
(`retoucher.py`) fits what was drawn to the photo's own face.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...files.tensors import TensorSpec
from .net import RenderedFaceNet
from .planes import PLANES
from .renderer import renderer_of
from .retoucher import retoucher_of

T = TypeVar("T")

NAME = "rendered"
RENDERER, RETOUCHER = "renderer.", "retoucher."
_COMPONENTS, _FIELDS = "linear.components", "control.fields"
# What a file calls the network's buffers; renderer and retoucher have one name in both.
_NAMES = {
    **{name: f"linear.{name}" for name in ("mean", "components", "step", "parity", "std")},
    **{name: f"control.{name}" for name in ("fields", "along", "lights", "mouth", "open")},
    "control_parity": "control.parity",
}
_HALF = ("fields", RENDERER, RETOUCHER)  # what may be stored as float16


def _part(values: Mapping[str, T], prefix: str) -> dict[str, T]:
    return {n.removeprefix(prefix): v for n, v in values.items() if n.startswith(prefix)}


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when tensor names and shapes are those of a rendered model."""
    shape = shapes.get(_COMPONENTS, ())
    if len(shape) != 4 or shape[0] < 1 or shape[1] != PLANES or shape[2] != 2 * shape[3]:
        return False
    return f"{RENDERER}enter.weight" in shapes and len(shapes.get(_FIELDS, ())) == 4


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true.

    Raises:
        UnsupportedModelError: layers of the renderer or the retoucher are missing or do not fit.
    """
    state = _untrained(shapes).state_dict()
    specs = {}
    for name, tensor in state.items():
        floats = ("F16", "F32") if name.startswith(_HALF) else ("F32",)
        dtypes = floats if tensor.is_floating_point() else ("I8",)
        specs[_NAMES.get(name, name)] = TensorSpec(tuple(tensor.shape), dtypes)
    return specs


def load(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> RenderedFaceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Args:
        tensors: by their names in the file.
        metadata: of the file; not needed.

    Raises:
        UnsupportedModelError: values that make no model.
    """
    for name in ("linear.parity", "control.parity"):
        if not bool((tensors[name].abs() == 1).all()):
            raise UnsupportedModelError(f"{name} must hold only +1 and -1.")
    if not bool((tensors["linear.std"] > 0).all()):
        raise UnsupportedModelError("linear.std must be positive everywhere.")
    if not set(tensors["control.lights"].tolist()) <= {0, 1}:
        raise UnsupportedModelError("control.lights must hold only 0 and 1.")
    net = _untrained({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    state = {name: _as_computed(name, tensor) for name, tensor in state_of(tensors).items()}
    net.load_state_dict(state, assign=True)
    net.prepare()
    return net.eval().requires_grad_(False)


def state_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a file, or some of them, by their names in the network."""
    names = {stored: name for name, stored in _NAMES.items()}
    return {names.get(stored, stored): tensor for stored, tensor in tensors.items()}


def _as_computed(name: str, tensor: Tensor) -> Tensor:
    """A stored tensor as the network computes with it: in float32, convolutions channels last."""
    if not tensor.is_floating_point():
        return tensor
    convolution = tensor.dim() == 4 and name.startswith((RENDERER, RETOUCHER))
    layout = torch.channels_last if convolution else torch.contiguous_format
    return tensor.to(torch.float32, memory_format=layout)


def _untrained(shapes: Mapping[str, tuple[int, ...]]) -> RenderedFaceNet:
    """A network of the sizes that these shapes tell, without numbers (on the meta device).

    Raises:
        UnsupportedModelError: layers of the renderer or the retoucher are missing or do not fit.
    """
    count, _, rows, _ = shapes[_COMPONENTS]
    controls, _, side, _ = shapes[_FIELDS]
    part = "renderer"
    try:
        with torch.device("meta"):
            renderer = renderer_of(_part(shapes, RENDERER), controls)
            part = "retoucher"
            retoucher = retoucher_of(_part(shapes, RETOUCHER))
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The {part} lacks tensors or has odd ones: {error}."
        ) from error
    if not 0 < renderer.context <= count or rows % 4:
        raise UnsupportedModelError(
            f"The renderer reads {renderer.context} coefficients of codes of {count}, at "
            f"{2 * rows} pixels; there must be enough, and pixels divisible by 8."
        )
    if retoucher.tell.in_features != controls:
        raise UnsupportedModelError(
            f"The retoucher is told {retoucher.tell.in_features} controls; there are {controls}."
        )
    with torch.device("meta"):
        return RenderedFaceNet(count, 2 * rows, renderer, controls, side, retoucher)

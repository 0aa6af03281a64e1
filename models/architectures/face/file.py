"""Files of the face model of pose, shape and appearance: told, checked and built.

Tensors: `canon` and `triangles` (the mesh), `shape.*` (pose and basis of frontal shapes),
`appearance.*` (eigenfaces of the canonical face, at half of its size), `renderer.*` and `painter.*`
(of mouths). The network that finds dense landmarks is a file of its own, see
`finder/dense_landmarks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import UnsupportedModelError
from ...files.networks import without_numbers
from ...files.tensors import TensorSpec
from ...finder.dense_landmarks import read_dense_landmarks
from ...finder.landmarks_net import POINTS
from .mouth import painter_of
from .net import FaceShapeAppearanceNet
from .planes import PLANES
from .renderer import renderer_of

NAME = "shape_appearance"
RENDERER, PAINTER = "renderer.", "painter."
HALVED = (RENDERER, PAINTER, "shape.basis")
_COMPONENTS, _BASIS = "appearance.components", "shape.basis"


def detect(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """True when tensor names and shapes are those of such a model."""
    shape = shapes.get(_COMPONENTS, ())
    if len(shape) != 4 or shape[0] < 1 or shape[1] != PLANES or shape[2] != 2 * shape[3]:
        return False
    basis = shapes.get(_BASIS, ())
    return len(basis) == 3 and basis[1:] == (POINTS, 3) and shapes.get("canon") == (POINTS, 3)


def expected(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorSpec]:
    """The specification that belongs to a file for which `detect` is true.

    Raises:
        UnsupportedModelError: layers of renderer or painter are missing or do not fit.
    """
    specs = {}
    for name, tensor in _untrained(shapes).state_dict().items():
        if tensor.is_floating_point():
            dtypes = ("F16", "F32") if name.startswith(HALVED) else ("F32",)
        else:
            dtypes = ("I16",) if tensor.dtype == torch.int16 else ("I8",)
        specs[name] = TensorSpec(tuple(tensor.shape), dtypes)
    return specs


def load(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> FaceShapeAppearanceNet:
    """Build the network from tensors whose names, shapes and types were checked.

    Args:
        tensors: by their names in the file.
        metadata: of the file; not needed.

    Raises:
        UnsupportedModelError: values that make no model.
    """
    for name in ("shape.parity", "appearance.parity"):
        if not bool((tensors[name].abs() == 1).all()):
            raise UnsupportedModelError(f"{name} must hold only +1 and -1.")
    for name in ("shape.std", "shape.pose_std", "appearance.std"):
        if not bool((tensors[name] > 0).all()):
            raise UnsupportedModelError(f"{name} must be positive everywhere.")
    triangles = tensors["triangles"]
    if not bool(((triangles >= 0) & (triangles < POINTS)).all()):
        raise UnsupportedModelError(f"triangles must hold points from 0 to {POINTS - 1}.")
    net = _untrained({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    net.load_state_dict({n: _as_computed(n, t) for n, t in tensors.items()}, assign=True)
    # its own, not a shared one: models move between devices each on its own
    net.landmarks = read_dense_landmarks()
    net.prepare()
    return net.eval().requires_grad_(False)


def _as_computed(name: str, tensor: Tensor) -> Tensor:
    """A stored tensor as the network computes with it: in float32, convolutions channels last."""
    if not tensor.is_floating_point():
        return tensor
    convolution = tensor.dim() == 4 and name.startswith((RENDERER, PAINTER))
    layout = torch.channels_last if convolution else torch.contiguous_format
    return tensor.to(torch.float32, memory_format=layout)


def _untrained(shapes: Mapping[str, tuple[int, ...]]) -> FaceShapeAppearanceNet:
    """A network of the sizes that these shapes tell, without numbers (on the meta device).

    Raises:
        UnsupportedModelError: layers of renderer or painter are missing or do not fit.
    """
    count, _, rows, _ = shapes[_COMPONENTS]
    size = 4 * rows
    if size % 8:
        raise UnsupportedModelError(f"Faces of {size} pixels cannot be drawn; 8 must divide it.")
    drawing, painting = (
        {n.removeprefix(part): s for n, s in shapes.items() if n.startswith(part)}
        for part in (RENDERER, PAINTER)
    )
    try:
        with without_numbers():
            return FaceShapeAppearanceNet(
                size,
                shapes[_BASIS][0],
                count,
                shapes["triangles"][0],
                renderer_of(drawing, size),
                painter_of(painting, size),
            )
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise UnsupportedModelError(
            f"The renderer, the painter or the mesh lacks tensors or has odd ones: {error}."
        ) from error

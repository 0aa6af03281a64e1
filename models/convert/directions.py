"""Directions from elsewhere: InterFaceGAN, e4e, GANSpace, and arrays of the StyleGAN community."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..architectures.stylegan2.layout import SIZES, layout_of
from ..files.header import read_header
from ..space import LatentSpace
from ..values import Direction
from .inert import Refusal
from .torch_files.storage import TensorRef

_MAX_VECTORS = 4096
_GANSPACE = ("mean", "comp", "std")
_GANSPACE_ARRAYS = ("act_mean", "act_comp", "act_stdev")  # of what was analysed: here w


class Vectors(NamedTuple):
    """Directions as a file has them."""

    values: Tensor  # (w_dim,), (1, w_dim), (N, 1, w_dim), (layers, w_dim), (N, layers, w_dim)
    method: str
    unit: str
    taken: str  # path of the tensor in the file
    dropped: dict[str, str]


def is_direction(value: object) -> bool:
    """True for an array, a single tensor, or a GANSpace file."""
    if isinstance(value, dict):
        return set(value) == set(_GANSPACE) or set(_GANSPACE_ARRAYS) <= set(value)
    return isinstance(value, (np.ndarray, TensorRef))


def read_vectors(value: object) -> Vectors:
    """The numbers of a file for which `is_direction` is true, as float32.

    Raises:
        Refusal: not numbers, or not finite.
    """
    if isinstance(value, dict):
        names = _GANSPACE if set(value) == set(_GANSPACE) else _GANSPACE_ARRAYS
        mean, components, deviations = (value[name] for name in names)
        parts = (mean, components, deviations)
        if not all(isinstance(part, (TensorRef, np.ndarray)) for part in parts):
            raise Refusal(f"its {', '.join(names)} are no tensors.")
        comp, std = _numbers(components), _numbers(deviations)
        if comp.dim() != 3 or comp.shape[1] != 1 or std.shape != comp.shape[:1]:
            raise Refusal(
                f"its {names[1]} and {names[2]} have the shapes {list(comp.shape)} and "
                f"{list(std.shape)}; a GANSpace file of w has [N, 1, 512] and [N]."
            )
        why = "directions need no origin: strengths are added, not set"
        return Vectors(
            comp * std[:, None, None],
            f"GANSpace: {len(comp)} principal components of w",
            "one standard deviation of random codes along it",
            f"{names[1]} x {names[2]}",
            {str(n): why if n == names[0] else "not needed" for n in value if n not in names[1:]},
        )
    return Vectors(_numbers(value), "converted from another program", "", "the array", {})


def make_direction(vectors: Vectors, model: Path, name: str) -> Direction:
    """A direction of a model, or several, in the space that their shape tells.

    One vector, or a row of vectors `(N, w_dim)`, belongs to w; an array of as many rows as the
    model has layers belongs to w+.

    Args:
        vectors: what the file holds.
        model: the converted model that they were found for.
        name: what to call it.

    Raises:
        UnsupportedModelError: the model is no StyleGAN2 file of this project.
        Refusal: a shape that does not fit it.
    """
    header = read_header(model)
    layout, model_id = layout_of(header.shapes), header.metadata.get("model_id")
    if layout is None or not model_id:
        raise Refusal(
            f"{model} is not a converted StyleGAN2 model. Convert the model first, then name the "
            "result with --model."
        )
    each = (layout.num_ws, layout.w_dim)
    values = _in_rows(vectors.values, each, model.name)
    shape = tuple(values.shape)
    if shape == each or shape[1:] == each:
        space = LatentSpace("w_plus", each, model_id)
    else:
        if len(shape) == 3 and shape[1] == 1:
            values = values[:, 0]
        if values.shape[-1:] != (layout.w_dim,) or values.dim() > 2:
            raise Refusal(
                f"it has the shape {list(shape)}, but a direction of {model.name} has [1, "
                f"{layout.w_dim}] (in w) or [{each[0]}, {each[1]}] (in w+). It was made for "
                "another model."
            )
        space = LatentSpace("w", (layout.w_dim,), model_id)
    values = values.reshape(-1, *space.shape)
    if not 1 <= len(values) <= _MAX_VECTORS:
        raise Refusal(f"it holds {len(values)} directions.")
    lengths = values.flatten(1).norm(dim=1)
    if not bool((lengths > 0).all()):
        raise Refusal("a direction in it is all zeros.")
    unit = vectors.unit or f"the vector as it was, of length {float(lengths[0]):.3g}"
    return Direction(
        values[0].clone() if len(values) == 1 else values.contiguous(),
        space,
        name,
        unit=unit,
        method=vectors.method,
    )


def _in_rows(values: Tensor, each: tuple[int, int], model: str) -> Tensor:
    """Directions of w+ that are written in one row, as rows of a layer each.

    Args:
        values: as the file has them.
        each: (layers, w_dim) of the model.
        model: its name, for messages.

    Raises:
        Refusal: rows of a model with another number of layers.
    """
    layers, width = each
    others = [2 * (size.bit_length() - 2) for size in SIZES]
    found, many = values.shape[-1] // width, values.shape[-1] % width == 0
    if values.dim() <= 2 and many and found == layers:
        return values.reshape(-1, layers, width)
    if values.dim() <= 2 and not (many and found in others):
        found = values.shape[0] if values.dim() == 2 and values.shape[1] == width else layers
    elif values.dim() == 3:
        found = values.shape[1] if values.shape[1:] != (1, width) else layers
    if found != layers and found in others:
        raise Refusal(
            f"it has the shape {list(values.shape)}, of w+ in a model of {found} layers; {model} "
            f"has {layers}. It was made for another model: name that one with --model. If these "
            f"are {found} directions of w, save them with the shape [{found}, 1, {width}]."
        )
    return values


def _numbers(value: object) -> Tensor:
    if isinstance(value, TensorRef):
        tensor = value.view()
    elif isinstance(value, np.ndarray):
        tensor = torch.from_numpy(value.astype(np.float32))
    else:
        raise TypeError("neither a tensor nor an array")
    if not tensor.is_floating_point() or tensor.dim() not in (1, 2, 3):
        raise Refusal(f"it holds {tensor.dtype} numbers of shape {list(tensor.shape)}.")
    tensor = tensor.float().contiguous()
    if not bool(torch.isfinite(tensor).all()):
        raise Refusal("it holds values that are NaN or infinite.")
    return tensor

"""Tensors of PyTorch files as descriptions: nothing is read until a tensor is asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..inert import Builder, Name, Opaque, Record, Refusal

_MAX_DIMS = 8
_TYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
STORAGE_TYPES: Mapping[str, torch.dtype] = {
    f"torch.{place}{name}Storage": dtype
    for name, dtype in _TYPES.items()
    for place in ("", "cuda.")
}


@dataclass(eq=False)
class Storage:
    """Numbers of one type that lie in a row in the file; `data` may be known later."""

    dtype: torch.dtype
    count: int
    data: memoryview | None = None

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class TensorRef:
    """A tensor of a storage, checked to lie within it."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def dtype(self) -> torch.dtype:
        return self.storage.dtype

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def view(self) -> Tensor:
        """The tensor, its values still in the file.

        Raises:
            Refusal: the file does not hold its numbers.
        """
        data = self.storage.data
        if data is None or len(data) != self.storage.size:
            raise Refusal("the numbers of a tensor are missing. Fetch the file again.")
        if math.prod(self.shape) == 0:
            return torch.empty(self.shape, dtype=self.dtype)
        numbers = torch.frombuffer(data, dtype=self.dtype)
        return numbers.as_strided(self.shape, self.stride, self.offset)


def make_storage(identity: tuple[object, ...]) -> tuple[str, Storage]:
    """Key and storage of a persistent identity ("storage", type, key, device, count, ...)."""
    if len(identity) not in (5, 6) or identity[0] != "storage":
        raise Refusal("the pickle in it points to something that is no storage of numbers.")
    kind, key, count = identity[1], identity[2], identity[4]
    dtype = STORAGE_TYPES.get(kind.full) if type(kind) is Name else None
    if dtype is None:
        raise Refusal("it holds numbers of a type that networks here do not use.")
    if type(key) is not str or type(count) is not int or not 0 <= count < 2**44:
        raise ValueError("a storage without a size")
    if len(identity) == 6 and identity[5] is not None:
        raise Refusal("it holds views of storages, as only very old versions of PyTorch saved.")
    return key, Storage(dtype, count)


def rebuild_tensor(arguments: tuple[object, ...]) -> TensorRef:
    """What PyTorch's pickles call to make a tensor from (storage, offset, shape, stride, ...)."""
    storage, offset, shape, stride = arguments[:4]
    if type(storage) is not Storage or type(offset) is not int:
        raise TypeError("a tensor without a storage")
    sizes, steps = _whole_numbers(shape), _whole_numbers(stride)
    if len(sizes) != len(steps) or len(sizes) > _MAX_DIMS or offset < 0:
        raise ValueError("a tensor of a strange shape")
    count = math.prod(sizes)
    last = offset + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
    # a repeated number could make a small file a huge tensor
    if count > storage.count or (count and last >= storage.count):
        raise ValueError("a tensor larger than its numbers")
    return TensorRef(storage, offset, sizes, steps)


def _whole_numbers(values: object) -> tuple[int, ...]:
    if type(values) is not tuple or not all(type(n) is int and 0 <= n < 2**44 for n in values):
        raise ValueError("a shape that is none")
    return values


def _parameter(arguments: tuple[object, ...]) -> TensorRef:
    data = arguments[0]
    if type(data) is not TensorRef:
        raise TypeError("a parameter that is no tensor")
    return data


def _with_attributes(arguments: tuple[object, ...]) -> object:
    function, _, inner = arguments[:3]
    if type(function) is not Name or function.build is None or type(inner) is not tuple:
        raise TypeError("a tensor that is none")
    return function.build(inner)


def _entries(arguments: tuple[object, ...]) -> dict[object, object]:
    pairs = arguments[0] if arguments else []
    if type(pairs) is not list:
        raise TypeError("entries that are no list")
    result: dict[object, object] = {}
    for key, value in pairs:
        if type(key) is not str:
            raise TypeError("a key that is no text")
        result[key] = value
    return result


def _elements(arguments: tuple[object, ...]) -> set[object]:
    items = arguments[0] if arguments else []
    if type(items) is not list or not all(type(item) is str for item in items):
        raise TypeError("elements that are no list of texts")
    return set(items)


def _encoded(arguments: tuple[object, ...]) -> bytes:
    text, encoding = arguments
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise TypeError("a text in another encoding")
    return text.encode("latin-1")


def _size(arguments: tuple[object, ...]) -> tuple[int, ...]:
    (sizes,) = arguments
    return _whole_numbers(tuple(sizes) if type(sizes) is list else sizes)


def _opaque(name: str) -> Builder:
    return lambda arguments: Opaque(name)


_OPAQUE = (
    "torch.device",
    "numpy.dtype",
    "numpy.ndarray",
    *(f"numpy.{core}.multiarray.{n}" for core in ("core", "_core") for n in ("scalar",)),
    *(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")),
)

# What files of tensors may name, and what stands for it here.
TENSOR_NAMES: Mapping[str, Builder | None] = {
    **dict.fromkeys(STORAGE_TYPES),
    **{f"torch.{str(dtype).removeprefix('torch.')}": None for dtype in _TYPES.values()},
    **{name: _opaque(name) for name in _OPAQUE},
    "torch.Tensor": None,
    "torch.nn.parameter.Parameter": None,
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": rebuild_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "collections.OrderedDict": _entries,
    "builtins.set": _elements,
    "_codecs.encode": _encoded,
    # settings of a training run
    "argparse.Namespace": lambda arguments: Record("argparse.Namespace", {}),
    "dnnlib.util.EasyDict": lambda arguments: {},
}

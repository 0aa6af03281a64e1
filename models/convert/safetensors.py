"""Networks of other programs in a safetensors file: their tensors by name, still in the file."""

from __future__ import annotations

import itertools
import mmap
import operator
from pathlib import Path

from ..files.header import DTYPES, read_header
from .inert import Refusal
from .torch_files.storage import Storage, TensorRef


def read_safetensors(path: Path) -> dict[str, object]:
    """The tensors of a file by name, those of "g_ema." together under that name.

    Raises:
        Refusal: a file of this project, which needs no conversion.
        UnsupportedModelError: the file is damaged.
    """
    header = read_header(path)
    if "model_id" in header.metadata:
        raise Refusal(
            "it is a file of this project already. Put it into models/face_latents and choose it "
            "in Load Face Model."
        )
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    start = 8 + int.from_bytes(data[:8], "little")
    found: dict[str, object] = {}
    for name, info in header.tensors.items():
        part = data[start + info.begin : start + info.end]
        dtype = DTYPES[info.dtype]
        storage = Storage(dtype, len(part) // dtype.itemsize, part)
        found[name] = TensorRef(storage, 0, info.shape, _strides(info.shape))
    averaged = {name: item for name, item in found.items() if name.startswith("g_ema.")}
    others = {name: item for name, item in found.items() if name not in averaged}
    if not averaged:
        return found
    return {**others, "g_ema": {name.removeprefix("g_ema."): t for name, t in averaged.items()}}


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps = itertools.accumulate(reversed(shape[1:]), operator.mul, initial=1)
    return tuple(reversed(tuple(steps)))[: len(shape)]

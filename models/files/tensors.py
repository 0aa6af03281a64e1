"""Reading and writing safetensors files that may come from anyone.

The header is checked completely first (see `header`). Nothing here, and nothing that calls it,
ever opens a pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from ..errors import UnsupportedModelError
from ..threads import check_interrupt
from .header import (
    DTYPE_NAMES,
    DTYPES,
    FLOAT_DTYPES,
    MAX_HEADER_BYTES,
    Header,
    TensorInfo,
    open_checked,
    read_header,
)

CHECKSUM = "checksum"  # key of the metadata

__all__ = [
    "CHECKSUM",
    "Header",
    "TensorInfo",
    "TensorSpec",
    "check_expected",
    "check_finite",
    "load_tensors",
    "read_header",
    "save_tensors",
    "tensors_hash",
]


class TensorSpec(NamedTuple):
    """What a loader expects of one tensor; None in `shape` stands for any size."""

    shape: tuple[int | None, ...]
    dtypes: tuple[str, ...] = FLOAT_DTYPES


def load_tensors(
    path: str | Path,
    *,
    expect: Mapping[str, TensorSpec | tuple[int | None, ...]] | None = None,
    require_finite: bool = True,
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a checked safetensors file into CPU memory.

    A file that `save_tensors` wrote carries a checksum of its tensors and metadata, which has to be
    right; files without one are read as well.

    Args:
        path: the file.
        expect: exact set of tensors with their shapes (and dtypes); None accepts any set.
        require_finite: refuse NaN and infinity, which would spread silently through every result.

    Returns:
        Tensors by name, each with memory of its own, and the string metadata without checksum.

    Raises:
        UnsupportedModelError: as `read_header`, the tensors are not the expected ones, or the
            checksum is wrong.
    """
    with open_checked(path) as (header, file):
        if expect is not None:
            check_expected(header, expect)
        by_place = sorted(header.tensors.items(), key=lambda item: item[1].begin)  # without gaps
        read = {name: _read_tensor(file, info, header.path) for name, info in by_place}
    tensors = {name: read[name] for name in header.tensors}
    metadata = dict(header.metadata)
    written = metadata.pop(CHECKSUM, None)
    if written is not None and written != _checksum(tensors, metadata):
        raise UnsupportedModelError(
            f"{header.path}: its contents do not match the checksum written in it. The file is "
            "damaged or was altered; use another copy."
        )
    if require_finite:
        for name, tensor in tensors.items():
            check_finite(name, tensor, str(header.path))
    return tensors, metadata


def _read_tensor(file: BinaryIO, info: TensorInfo, path: Path) -> Tensor:
    """The next tensor of a file. Not mapped into memory: a mapped file that another program
    shortens ends the process.
    """
    check_interrupt()
    data = torch.empty(info.end - info.begin, dtype=torch.uint8)
    if file.readinto(data.numpy()) != len(data):  # type: ignore[attr-defined]
        raise UnsupportedModelError(
            f"{path}: it was shortened while it was read. Wait until it is copied, or fetch it "
            "again."
        )
    return data.view(DTYPES[info.dtype]).reshape(info.shape)


def check_expected(
    header: Header,
    expect: Mapping[str, TensorSpec | tuple[int | None, ...]],
    names: Iterable[str] | None = None,
) -> None:
    """Compare a header with the tensors a loader needs, before they are read.

    Raises:
        UnsupportedModelError: listing missing and unexpected names, or every wrong shape and dtype.
    """
    found = set(header.tensors if names is None else names)
    missing, unexpected = sorted(set(expect) - found), sorted(found - set(expect))
    problems = []
    if missing:
        problems.append(f"missing: {_shorten(missing)}")
    if unexpected:
        problems.append(f"unexpected: {_shorten(unexpected)}")
    for name in sorted(found & set(expect)):
        wanted, info = expect[name], header.tensors[name]
        spec = wanted if isinstance(wanted, TensorSpec) else TensorSpec(tuple(wanted))
        same = len(spec.shape) == len(info.shape) and all(
            want is None or want == got for want, got in zip(spec.shape, info.shape, strict=True)
        )
        if not same:
            shape = [("any" if n is None else n) for n in spec.shape]
            problems.append(f"{name}: expected shape {shape}, got {list(info.shape)}")
        if info.dtype not in spec.dtypes:
            problems.append(f"{name}: expected type {' or '.join(spec.dtypes)}, got {info.dtype}")
    if problems:
        raise UnsupportedModelError(
            f"{header.path}: the tensors are not those this kind of file holds. "
            + "; ".join(problems[:8])
            + (f"; and {len(problems) - 8} more" if len(problems) > 8 else "")
            + "."
        )


def check_finite(name: str, tensor: Tensor, where: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        UnsupportedModelError: naming the tensor and how many values are bad.
    """
    if not tensor.dtype.is_floating_point:
        return
    values = tensor.float() if tensor.element_size() == 1 else tensor
    # the extremes are NaN where any value is, and found in a fraction of the time of a count
    if not values.numel() or bool(torch.isfinite(torch.stack(values.aminmax())).all()):
        return
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise UnsupportedModelError(
            f"{where}: tensor '{name}' holds {bad} values that are NaN or infinite; "
            "the file is damaged or its training failed. Use another copy or checkpoint."
        )


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file: same input, same bytes; either the whole file appears or none.

    A checksum of tensors and metadata joins the metadata.

    Args:
        path: the target; parent folders are made, an existing file is replaced at the very end.
        tensors: by name, any device; NaN and infinity are refused.
        metadata: string to string.

    Raises:
        UnsupportedModelError: a tensor cannot be stored.
        TypeError: metadata that is not string to string.
    """
    path = Path(path)
    metadata = dict(metadata or {})
    if not all(isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()):
        raise TypeError("safetensors metadata must map strings to strings")
    metadata[CHECKSUM] = _checksum(tensors, {k: v for k, v in metadata.items() if k != CHECKSUM})
    # widest type first keeps every tensor aligned to its own element size
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    fields: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    offset = 0
    for name in order:
        tensor = tensors[name]
        if name == "__metadata__" or tensor.dtype not in DTYPE_NAMES:
            raise UnsupportedModelError(
                f"{path}: tensor '{name}' of type {tensor.dtype} cannot be saved."
            )
        check_finite(name, tensor, str(path))
        end = offset + tensor.numel() * tensor.element_size()
        fields[name] = {
            "dtype": DTYPE_NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    header = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER_BYTES:
        raise UnsupportedModelError(f"{path}: the metadata is too large to be read back.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(struct.pack("<Q", len(header)))
            file.write(header)
            for name in order:
                file.write(_tensor_bytes(tensors[name]))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) over name, dtype, shape and bytes of the tensors, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        entry = [name, DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype)), list(tensor.shape)]
        digest.update(json.dumps(entry).encode())
        digest.update(_tensor_bytes(tensor))
    return digest.hexdigest()


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 (hex) over metadata and tensors."""
    told = json.dumps(sorted(metadata.items()))
    return hashlib.sha256(told.encode() + tensors_hash(tensors).encode()).hexdigest()


def _tensor_bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def _shorten(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(name[:80] for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")

"""Checking the header of a safetensors file that may come from anyone.

Everything is checked before a single tensor byte is read, so a hostile or broken file is refused
in well under a second and without a large allocation.

Format: 8 bytes little-endian header length, a JSON header, then the tensor bytes.
Reference: https://github.com/huggingface/safetensors, section "Format".
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch

from ..errors import UnsupportedModelError

# The format itself allows 100 MB; 8 MiB describes some 80,000 tensors, and JSON of that size is
# still parsed in a fraction of a second.
MAX_HEADER_BYTES = 8 * 1024 * 1024
MAX_DIMS = 16
MAX_DIM_SIZE = 2**48

DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "F32": torch.float32,
    "I64": torch.int64,
    "F64": torch.float64,
}
DTYPE_NAMES: Mapping[torch.dtype, str] = {dtype: name for name, dtype in DTYPES.items()}
FLOAT_DTYPES = ("F16", "BF16", "F32", "F64")


class TensorInfo(NamedTuple):
    """What the header says of one tensor; `begin` and `end` count from the first data byte."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """A checked safetensors header."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape, what architecture detection looks at."""
        return {name: info.shape for name, info in self.tensors.items()}


def read_header(path: str | Path) -> Header:
    """Read and check the header of a safetensors file without reading any tensor.

    Raises:
        UnsupportedModelError: the file is missing, no safetensors file, truncated or malformed.
    """
    with open_checked(path) as (header, _):
        return header


@contextmanager
def open_checked(path: str | Path) -> Iterator[tuple[Header, BinaryIO]]:
    """The checked header of a safetensors file, and the file at its first tensor's first byte.

    Both are of the one file that was opened, whatever takes its place meanwhile.

    Raises:
        UnsupportedModelError: as `read_header`, or it cannot be read within the block.
    """
    path = Path(path)
    _require_regular_file(path)
    try:
        with path.open("rb") as file:
            raw, data_size = _read_raw_header(path, file, os.fstat(file.fileno()).st_size)
            fields = _parse_json(path, raw)
            metadata = _check_metadata(path, fields.pop("__metadata__", {}))
            tensors = {name: _check_tensor(path, name, entry) for name, entry in fields.items()}
            _check_layout(path, tensors, data_size)
            yield Header(path, tensors, metadata), file
    except OSError as error:
        raise UnsupportedModelError(f"{path}: cannot be read ({error.strerror}).") from error


def _require_regular_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UnsupportedModelError(f"{path}: there is no such file.") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedModelError(f"{path}: not a file. Give the path of a .safetensors file.")


def _read_raw_header(path: Path, file: BinaryIO, size: int) -> tuple[bytes, int]:
    """The header's bytes and the size of the data that follows them."""
    start = file.read(512)
    if not start:
        raise UnsupportedModelError(
            f"{path}: the file is empty. The download or copy failed; fetch it again."
        )
    length = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else 0
    # a valid length can share its first bytes with a pickle, so guess only after this fails
    if length < 2 or length > MAX_HEADER_BYTES or start[8:9] != b"{":
        looks = _looks_like(start)
        if looks is not None:
            raise UnsupportedModelError(
                f"{path}: not a safetensors file; it looks like {looks[0]}. {looks[1]}"
            )
        if start[8:9] == b"{" and length > MAX_HEADER_BYTES:
            raise UnsupportedModelError(
                f"{path}: refused, its header claims {length:,} bytes; the most accepted is "
                f"{MAX_HEADER_BYTES:,}. The file is damaged or made to do harm."
            )
        raise UnsupportedModelError(
            f"{path}: not a safetensors file. Expected a .safetensors file."
        )
    if length > size - 8:
        raise UnsupportedModelError(
            f"{path}: truncated: the header needs {length:,} bytes, the file has {size - 8:,} "
            "after the first 8. Fetch it again."
        )
    file.seek(8)
    return file.read(length), size - 8 - length


_CONVERT = (
    "Formats that can run code are never opened here: convert it with `face-latents convert`, "
    "or fetch the .safetensors version."
)
_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive or PyTorch .pt/.pth checkpoint", _CONVERT),
    (b"version https://git-lfs", "a git-lfs pointer", "Run `git lfs pull` to get the real file."),
    (b"\x89HDF", "an HDF5 (Keras .h5) file", _CONVERT),
    (b"GGUF", "a GGUF file", "Use the .safetensors version."),
    (b"\x93NUMPY", "a NumPy .npy array", _CONVERT),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
    (b"7z\xbc\xaf", "a 7-Zip archive", "Unpack it first."),
    (b"\x89PNG", "a PNG picture", "Connect pictures to Load Image instead."),
    (b"\xff\xd8\xff", "a JPEG picture", "Connect pictures to Load Image instead."),
)


def _looks_like(start: bytes) -> tuple[str, str] | None:
    """Name the format of a file that is no safetensors file, and what to do about it."""
    for signature, name, advice in _SIGNATURES:
        if start.startswith(signature):
            return name, advice
    if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return "a Python pickle (.pkl, or an old .pt)", _CONVERT
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
        return "a web page (HTML)", "The download saved an error or log-in page; fetch it again."
    if text.startswith((b"{", b"[")):
        return "a JSON text", "Expected a .safetensors file."
    # protocol 0 pickles are text and end in a full stop
    if start[:1] in b"(c" and b"\n" in start and text.rstrip().endswith(b"."):
        return "a Python pickle (.pkl)", _CONVERT
    return None


def _parse_json(path: Path, raw: bytes) -> dict[str, object]:
    def no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            twice = counts.most_common(1)[0][0]
            raise UnsupportedModelError(f"{path}: malformed header: '{twice[:80]}' stands twice.")
        return result

    def no_constant(text: str) -> object:
        raise ValueError(f"{text} is no JSON")

    try:
        fields = json.loads(
            raw.decode("utf-8"), object_pairs_hook=no_duplicates, parse_constant=no_constant
        )
    except UnsupportedModelError:
        raise
    except (ValueError, RecursionError) as error:  # includes bad UTF-8 and endless digits
        raise UnsupportedModelError(
            f"{path}: malformed header, not valid JSON text ({str(error)[:120]}). "
            "The file is damaged; fetch it again."
        ) from error
    if not isinstance(fields, dict):
        raise UnsupportedModelError(f"{path}: malformed header: expected a JSON object.")
    return fields


def _check_metadata(path: Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise UnsupportedModelError(
            f"{path}: malformed header: __metadata__ must map text to text only."
        )
    return metadata


def _is_size(value: object, limit: int = MAX_DIM_SIZE) -> bool:
    return type(value) is int and 0 <= value <= limit  # `is int`: JSON true is an int in Python


def _check_tensor(path: Path, name: str, entry: object) -> TensorInfo:
    shown = f"{path}: malformed header, tensor '{name[:80]}'"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise UnsupportedModelError(f"{shown}: expected exactly dtype, shape and data_offsets.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UnsupportedModelError(
            f"{shown}: type {str(dtype)[:40]!r} is not supported; known are {', '.join(DTYPES)}."
        )
    if not isinstance(shape, list) or len(shape) > MAX_DIMS or not all(map(_is_size, shape)):
        raise UnsupportedModelError(
            f"{shown}: shape {str(shape)[:80]} must be a list of at most {MAX_DIMS} sizes, "
            "each a whole number from 0 up."
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_size, offsets)):
        raise UnsupportedModelError(
            f"{shown}: data_offsets {str(offsets)[:80]} must be two whole numbers from 0 up."
        )
    begin, end = offsets
    need = DTYPES[dtype].itemsize
    for size in shape:
        need *= size
    if end - begin != need:
        raise UnsupportedModelError(
            f"{shown}: {dtype} {shape} needs {need:,} bytes, its offsets give {end - begin:,}."
        )
    return TensorInfo(dtype, tuple(shape), begin, end)


def _check_layout(path: Path, tensors: Mapping[str, TensorInfo], data_size: int) -> None:
    """Tensors must fill the data without gap or overlap."""
    position = 0
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if info.begin != position:
            kind = "overlaps its neighbour" if info.begin < position else "leaves a gap before it"
            raise UnsupportedModelError(
                f"{path}: malformed header: tensor '{name[:80]}' starts at byte {info.begin:,} "
                f"where {position:,} was expected; it {kind}."
            )
        position = info.end
    if position > data_size:
        raise UnsupportedModelError(
            f"{path}: truncated: the tensors need {position:,} bytes, the file has {data_size:,}. "
            "The download or copy stopped early; fetch it again."
        )
    if position < data_size:
        raise UnsupportedModelError(
            f"{path}: malformed: {data_size - position:,} bytes follow the last tensor."
        )

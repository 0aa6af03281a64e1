"""NumPy's .npy files of floating point numbers, read without evaluating their header.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .inert import Refusal

MAGIC = b"\x93NUMPY"
_MAX_BYTES = 512 * 1024 * 1024
_MAX_HEADER = 10_000
_ZIP_ERRORS = (  # of the standard library with damaged archives
    *(zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError),
    *(ValueError, OverflowError, LookupError, OSError),
)
_TYPE = re.compile(r"'descr': *'([<>|=]?)([a-zA-Z])(\d*)'")
_ORDER = re.compile(r"'fortran_order': *(True|False)")
_SHAPE = re.compile(r"'shape': *\(([\d, ]*)\)")
_DAMAGED = "the array is damaged or truncated. Fetch the file again."


def read_npy(path: Path) -> np.ndarray:
    """The array of a .npy file.

    Raises:
        Refusal: not floating point numbers, damaged, or too large for directions.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise Refusal(f"an array of {path.stat().st_size:,} bytes, which cannot be directions.")
    return _array(path.read_bytes())


def read_npz(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a .npz file by name, without ".npy"; None for another zip archive.

    Raises:
        Refusal: an array as `read_npy` refuses it, or more numbers than directions have.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if not members or not all(item.filename.endswith(".npy") for item in members):
                return None
            if sum(item.file_size for item in members) > _MAX_BYTES:
                raise Refusal("arrays of more numbers than directions have.")
            return {
                item.filename.removesuffix(".npy"): _array(_unpack(archive, item))
                for item in members
            }
    except Refusal:
        raise
    except _ZIP_ERRORS:
        return None  # not an archive that NumPy wrote: whoever reads zips says what is wrong


def _unpack(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> bytes:
    with archive.open(item) as file:
        return file.read(item.file_size)  # no more than was promised


def _array(content: bytes) -> np.ndarray:
    """The array of a .npy file's content."""
    size_bytes = 2 if content[6:7] == b"\x01" else 4
    start = 8 + size_bytes
    length = int.from_bytes(content[8:start], "little")
    header = content[start : start + length].decode("latin-1")
    found = [pattern.search(header) for pattern in (_TYPE, _ORDER, _SHAPE)]
    kind, order, shape = found
    if length > _MAX_HEADER or kind is None or order is None or shape is None:
        raise Refusal(_DAMAGED)
    if kind[2] == "O":
        raise Refusal(
            "an array of Python objects, which can run code when it is opened. Save it again as "
            "plain numbers."
        )
    if kind[2] != "f" or kind[3] not in ("2", "4", "8"):
        raise Refusal(f"an array of type '{kind[2]}{kind[3]}', not of floating point numbers.")
    sizes = tuple(int(n) for n in shape[1].split(",") if n.strip())
    data = content[start + length :]
    if len(data) != math.prod(sizes) * int(kind[3]):
        raise Refusal(_DAMAGED)
    byte_order = ">" if kind[1] == ">" else "<"
    values = np.frombuffer(data, dtype=f"{byte_order}f{kind[3]}")
    return values.reshape(sizes, order="F" if order[1] == "True" else "C")

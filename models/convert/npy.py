"""NumPy's .npy files of floating point numbers, read without evaluating their header.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from .inert import Refusal

MAGIC = b"\x93NUMPY"
_MAX_BYTES = 512 * 1024 * 1024
_MAX_HEADER = 10_000
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
    content = path.read_bytes()
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

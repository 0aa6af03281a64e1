"""Colours of 16 bits, which Pillow cuts down to 8 in reading and does not write at all.

Reading decodes the file twice: for the upper and for the lower byte of each number. Writing lets
Pillow write a file of one pixel with all that goes with it, and puts the pixels in.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

_NATIVE_LOWER = "16B" if sys.byteorder == "little" else "16L"
_LOWER = {"16B": "16L", "16L": "16B", "16N": _NATIVE_LOWER}  # byte order: the one off by a byte
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_LONG = 4  # TIFF type


def read_deep(mode: str, raw: str, decode: Callable[[str], Image.Image]) -> np.ndarray | None:
    """The 16-bit numbers of a file with colour or alpha, turned as its EXIF data says.

    Args:
        mode: that Pillow opens the file with.
        raw: how its pixels lie in it, see `traits.raw_mode`.
        decode: decodes the file anew as if they lay in another way.

    Returns:
        `(H, W, C)` uint16; None for what is not 16 bits deep, 16-bit grey (which Pillow reads), or
        a layout that cannot be read in full.
    """
    kind, _, order = raw.partition(";")
    if raw == "LA;16B" and mode == "RGBA":
        parts = _decoded(decode, "RGBA")
        return _joined(parts[..., 0::2], parts[..., 1::2])
    if kind not in ("RGB", "RGBA") or kind != mode or order not in _LOWER:
        return None
    return _joined(_decoded(decode, raw), _decoded(decode, f"{kind};{_LOWER[order]}"))


def _joined(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    numbers: np.ndarray = upper * np.uint16(256) + lower
    return numbers


def _decoded(decode: Callable[[str], Image.Image], layout: str) -> np.ndarray:
    with decode(layout) as picture:
        return np.asarray(ImageOps.exif_transpose(picture)).astype(np.uint16)


def write_deep_png(pixels: np.ndarray, shell: bytes) -> bytes:
    """A PNG of 16 bits.

    Args:
        pixels: `(H, W, C)` uint16, C from 1 to 4.
        shell: a PNG of any picture, whose other chunks are kept.
    """
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels.astype(">u2")).view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # filter 2, "up": differences compress better
    lines = np.concatenate([np.full((height, 1), 2, np.uint8), rows], axis=1)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header += bytes([16, _PNG_COLOUR_TYPES[channels], 0, 0, 0])
    parts, at, written = [_PNG_START], 8, False
    while at < len(shell):
        size, name = int.from_bytes(shell[at : at + 4], "big"), shell[at + 4 : at + 8]
        if name == b"IHDR":
            parts.append(_chunk(name, header))
        elif name != b"IDAT":
            parts.append(shell[at : at + size + 12])
        elif not written:
            parts.append(_chunk(name, zlib.compress(lines.tobytes(), 6)))
            written = True
        at += size + 12
    return b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data).to_bytes(4, "big")
    return len(data).to_bytes(4, "big") + name + data + check


def write_deep_tiff(pixels: np.ndarray, shell: bytes) -> bytes:
    """A TIFF of 16 bits, deflated.

    Args:
        pixels: `(H, W, C)` uint16, C 3 or 4.
        shell: an uncompressed little-endian TIFF of 8-bit pixels of as many channels, whose other
            tags are kept.
    """
    height, width, channels = pixels.shape
    data = zlib.compress(pixels.astype("<u2").tobytes(), 6)
    file = bytearray(shell + b"\0" * (len(shell) % 2))
    values = {256: width, 257: height, 259: 8, 273: len(file), 278: height, 279: len(data)}
    start = int.from_bytes(file[4:8], "little")
    count = int.from_bytes(file[start : start + 2], "little")
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag = int.from_bytes(file[entry : entry + 2], "little")
        if tag == 258:  # bits of each channel, a SHORT each, elsewhere in the file
            place = int.from_bytes(file[entry + 8 : entry + 12], "little")
            file[place : place + 2 * channels] = b"\x10\0" * channels
        elif tag in values:
            one = (tag, 2), (_LONG, 2), (1, 4), (values[tag], 4)
            file[entry : entry + 12] = b"".join(n.to_bytes(size, "little") for n, size in one)
    return bytes(file) + data

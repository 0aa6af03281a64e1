"""Opening a picture file that may come from anyone: its size is checked before it is decoded."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from ..errors import FaceLatentsError

# Pixels of a file, its frames together. Reading takes about 20 bytes a pixel at worst, so a photo
# stays below 2 GB with everything else; cameras of 50 million pixels are within it.
MOST_PIXELS = 64_000_000
# What Pillow raises on files that are no pictures or damaged.
_DAMAGED = (
    OSError, UnidentifiedImageError, ValueError, SyntaxError, TypeError, LookupError, RuntimeError,
    AttributeError, ArithmeticError, EOFError, struct.error, zlib.error,
)  # fmt: skip
# What Pillow may open. It hands some others to programs of the system (EPS to Ghostscript).
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "TGA", "JPEG2000", "AVIF")
_LIMIT = f"A file may have {MOST_PIXELS / 1e6:g} million pixels, its frames together."


def require_size(name: object, width: int, height: int, frames: int = 1) -> None:
    """Refuse a picture that is larger than `MOST_PIXELS`, told from its header.

    Raises:
        FaceLatentsError: naming its size and what to do.
    """
    pixels = width * height * frames
    if pixels > MOST_PIXELS:
        count = f"{frames} frames of " if frames > 1 else ""
        advice = _advice(pixels) if frames == 1 else "Give a part of the frames at a time."
        raise FaceLatentsError(f"'{name}' has {count}{width} x {height} pixels. {_LIMIT} {advice}")


def _advice(pixels: int) -> str:
    return (
        f"Save a copy at {int(100 * (MOST_PIXELS / pixels) ** 0.5)}% of its width and height, or "
        "cut out the part around the face, edit that and lay it over the original."
    )


def open_header(source: Path | BinaryIO, name: object = None) -> Image.Image:
    """Open a picture without decoding it. Every picture from outside is opened here.

    Args:
        source: a file.
        name: what to call it in messages; its path when left out.

    Raises:
        FaceLatentsError: it is larger than `MOST_PIXELS`.
        OSError, ValueError, SyntaxError: no picture, or a damaged one, see `readable`.
    """
    with warnings.catch_warnings():  # of sizes that are refused below
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture = Image.open(source, formats=_FORMATS)
        except KeyError as error:  # this Pillow cannot read the last of them
            raise UnidentifiedImageError(f"cannot identify '{name or source}'") from error
    try:
        require_size(name or source, picture.width, picture.height)
    except FaceLatentsError:
        picture.close()
        raise
    return picture


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say of what Pillow raises which file it is and what to do."""
    try:
        yield
    except FaceLatentsError:
        raise
    except _DAMAGED as error:
        raise FaceLatentsError(
            f"'{path}' cannot be read as a picture ({error}). Open it in an image editor and save "
            "it again as PNG or JPEG."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        pixels = max([MOST_PIXELS, *map(int, re.findall(r"\d+", str(error)))])
        raise FaceLatentsError(f"'{path}' is too large. {_LIMIT} {_advice(pixels)}") from error


def open_picture(path: Path, layout: str | None = None) -> tuple[Image.Image, bool]:
    """Open and decode a picture; a truncated one (half a download) gives what is there.

    Args:
        path: the file.
        layout: how its pixels lie in the file, in Pillow's words, if not as Pillow thinks.

    Returns:
        the picture, and whether all of it is there.

    Raises:
        FaceLatentsError: it is larger than `MOST_PIXELS`.
    """
    picture = _open(path, layout)
    try:
        picture.load()
    except OSError:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            picture.close()
            picture = _open(path, layout)
            picture.load()
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
        return picture, False
    return picture, True


class _Tile(NamedTuple):
    """Where a part of the pixels lies in a file; older Pillow has plain tuples."""

    codec_name: str
    extents: Any
    offset: int
    args: Any


def _open(path: Path, layout: str | None) -> Image.Image:
    picture = open_header(path)
    if layout is not None and isinstance(picture, ImageFile.ImageFile):
        tiles = []
        for codec, extents, offset, args in picture.tile:
            changed = (layout, *args[1:]) if isinstance(args, tuple) else layout
            tiles.append(_Tile(codec, extents, offset, changed))
        picture.tile = tiles  # type: ignore[assignment]
    return picture

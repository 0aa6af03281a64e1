"""Pictures from files, with the pixels that the host's image loader gives."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, ImageSequence, UnidentifiedImageError

from ..errors import FaceLatentsError

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from torch import Tensor

# Files whose name says that they are pictures, as the host's image loader offers them.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif"}
)

_CAMERA = frozenset(  # formats that Pillow does not read
    {".heic", ".heif", ".hif", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"}
)
_CUT_OFF = (
    "is damaged: the end of the file is missing, as after a broken download, and so is a part of "
    "the picture. Copy the file again."
)
_WIDE_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def list_pictures(folder: Path) -> list[Path]:
    """The pictures in a folder (not below it), by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != "."
    )


def count_others(folder: Path) -> Counter[str]:
    """What `list_pictures` leaves out of a folder: how many files by suffix, and "folder".

    Hidden files do not count.
    """
    found: Counter[str] = Counter()
    for path in folder.iterdir():
        if path.name[0] == "." or (path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()):
            continue
        found["folder" if path.is_dir() else path.suffix.lower() or "file without suffix"] += 1
    return found


def name_others(folder: Path, photos_only: bool = False) -> str:
    """What is left out of a folder, in words with numbers; empty where nothing is.

    Args:
        folder: see :func:`count_others`.
        photos_only: name only photos in formats that cannot be read.
    """
    counted = sorted(count_others(folder).items(), key=lambda item: (-item[1], item[0]))
    if photos_only:
        counted = [(kind, number) for kind, number in counted if kind in _CAMERA]
    if not counted:
        return ""
    listed = ", ".join(f"{number} {kind}" for kind, number in counted)
    if not _CAMERA & dict(counted).keys():
        return listed
    return f"{listed}. Save HEIC and raw photos as JPEG, PNG or TIFF"


def load_image(
    path: Path,
    *,
    first_only: bool = False,
    most_pixels: int | None = None,
    whole: bool = False,
) -> tuple[Tensor, Tensor]:
    """Read a picture as the host's Load Image node does.

    Each frame is turned as its EXIF orientation says and becomes `RGB / 255` in float32; 16-bit
    grey becomes `value / 65535`. Frames of another size than the first are left out, and of an
    MPO file (phone photos with a preview inside) only the first frame counts.

    Args:
        path: the file.
        first_only: read only the first frame of an animation.
        most_pixels: refuse larger pictures before they are decoded; None leaves the limit to
            Pillow.
        whole: refuse a picture whose end is missing; else what is there is read, with a warning.

    Returns:
        image `(B, H, W, 3)` in [0, 1] and mask: 1 - alpha `(B, H, W)`, or zeros
        `(B, 64, 64)` for a picture without transparency.

    Raises:
        FaceLatentsError: the file is not a picture, is damaged or too large.
    """
    import torch

    images: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    with readable(path):
        picture, complete = open_picture(path, most_pixels)
        if not complete:
            if whole:
                raise FaceLatentsError(f"'{path}' {_CUT_OFF}")
            warn_cut_off(path)
    with readable(path), picture:
        for frame in turned_frames(picture, first_only):
            images.append(rgb(frame))
            masks.append(_mask(frame))
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(masks))


def warn_cut_off(path: Path) -> None:
    """Log that the end of a picture is missing; the record has the file as `damaged`."""
    logger.warning("'%s' %s", path, _CUT_OFF, extra={"damaged": path})


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say of what Pillow raises which file it is and what to do."""
    try:
        yield
    except FaceLatentsError:
        raise
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise FaceLatentsError(
            f"'{path}' cannot be read as a picture ({error}). Open it in an image editor and save "
            "it again as PNG or JPEG."
        ) from error
    except Image.DecompressionBombError as error:
        raise FaceLatentsError(f"'{path}' {_too_large(error)}") from error


def _too_large(error: Image.DecompressionBombError) -> str:
    """What to do with a photo of which Pillow fears that it fills the memory."""
    numbers = [int(number) for number in re.findall(r"\d+", str(error))]
    if len(numbers) != 2:  # a tile or frame of the file: no photo
        return f"is too large to open safely: {error}"
    pixels, limit = numbers
    return (
        f"has {pixels / 1e6:.0f} million pixels, but at most {limit / 1e6:.0f} million can be "
        f"opened. Save a copy at {int(100 * (limit / pixels) ** 0.5)}% of its width and height, or "
        "cut out the part around the face, edit that and lay it over the original."
    )


def turned_frames(picture: Image.Image, first_only: bool = False) -> Iterator[Image.Image]:
    """The frames of a picture that have the size of the first, turned as EXIF data says.

    Of an MPO file only the first counts.
    """
    size = None
    for frame in ImageSequence.Iterator(picture):
        turned = ImageOps.exif_transpose(frame)
        if size in (None, turned.size):
            size = turned.size
            yield turned
        if first_only or picture.format == "MPO":
            break


def open_picture(
    path: Path, most_pixels: int | None = None, layout: str | None = None
) -> tuple[Image.Image, bool]:
    """Open and decode a picture; a truncated one (half a download) gives what is there.

    Args:
        path: the file.
        most_pixels: see :func:`load_image`.
        layout: how its pixels lie in the file, in Pillow's words, if not as Pillow thinks.

    Returns:
        the picture, and whether all of it is there.
    """
    picture = _open(path, layout)
    width, height = picture.size
    if most_pixels is not None and width * height > most_pixels:
        picture.close()
        raise FaceLatentsError(
            f"'{path}' has {width} x {height} pixels, more than the {most_pixels / 1e6:g} million "
            "allowed here. Save a smaller copy."
        )
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
    picture = Image.open(path)
    if layout is not None and isinstance(picture, ImageFile.ImageFile):
        tiles = []
        for codec, extents, offset, args in picture.tile:
            changed = (layout, *args[1:]) if isinstance(args, tuple) else layout
            tiles.append(_Tile(codec, extents, offset, changed))
        picture.tile = tiles  # type: ignore[assignment]
    return picture


def rgb(frame: Image.Image) -> np.ndarray:
    """Pixels `(H, W, 3)` float32; numbers of a float picture as they are."""
    if frame.mode in _WIDE_GREY:
        # FFmpeg, and so the host, multiplies by the reciprocal; dividing differs in the last bit.
        grey = np.asarray(frame).astype(np.float32) * np.float32(1.0 / 65535.0)
        return np.repeat(grey.clip(0.0, 1.0)[..., None], 3, axis=-1)
    if frame.mode == "F":
        return np.repeat(np.asarray(frame)[..., None], 3, axis=-1)
    return np.array(frame.convert("RGB")).astype(np.float32) / 255.0


def _mask(frame: Image.Image) -> np.ndarray:
    """1 - alpha; 64x64 zeros where there is no alpha."""
    if "A" in frame.getbands():
        alpha = frame.getchannel("A")
    elif frame.mode == "P" and "transparency" in frame.info:
        alpha = frame.convert("RGBA").getchannel("A")
    else:
        return np.zeros((64, 64), dtype=np.float32)
    mask: np.ndarray = np.float32(1.0) - np.array(alpha).astype(np.float32) / 255.0
    return mask


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Pixels as the host's savers write them: `255 * value`, clipped, cut off (not rounded)."""
    return np.clip(255.0 * image, 0, 255).astype(np.uint8)

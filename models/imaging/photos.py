"""Pictures from files, with the pixels that the host's image loader gives."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from ..errors import FaceLatentsError
from .opening import open_picture, readable, require_size

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from torch import Tensor

# Files whose name says that they are pictures, as the host's image loader offers them.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".jfif", ".avif"}
)

_STRIP = 4_000_000  # pixels that become numbers at a time, which bounds the memory between

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
    whole: bool = False,
) -> tuple[Tensor, Tensor]:
    """Read a picture as the host's Load Image node does.

    Each frame is turned as its EXIF orientation says and becomes `RGB / 255` in float32; 16-bit
    grey becomes `value / 65535`. Frames of another size than the first are left out, and of an
    MPO file (phone photos with a preview inside) only the first frame counts.

    Args:
        path: the file.
        first_only: read only the first frame of an animation.
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
        picture, complete = open_picture(path)
        if not complete:
            if whole:
                raise FaceLatentsError(f"'{path}' {_CUT_OFF}")
            warn_cut_off(path)
    with readable(path), picture:
        for frame in turned_frames(picture, first_only):
            images.append(rgb(frame))
            masks.append(_mask(frame))
    return torch.from_numpy(stack(images)), torch.from_numpy(stack(masks))


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays as a batch; a single one is not copied."""
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def warn_cut_off(path: Path) -> None:
    """Log that the end of a picture is missing; the record has the file as `damaged`."""
    logger.warning("'%s' %s", path, _CUT_OFF, extra={"damaged": path})


def turned_frames(picture: Image.Image, first_only: bool = False) -> Iterator[Image.Image]:
    """The frames of a picture that have the size of the first, turned as EXIF data says.

    Of an MPO file only the first counts.

    Raises:
        FaceLatentsError: the frames are larger than `MOST_PIXELS` together.
    """
    size = None
    for number, frame in enumerate(ImageSequence.Iterator(picture), 1):
        name = getattr(picture, "filename", "") or "the picture"
        require_size(name, frame.width, frame.height, number)
        turned = ImageOps.exif_transpose(frame)
        if size in (None, turned.size):
            size = turned.size
            yield turned
        if first_only or picture.format == "MPO":
            break


def rgb(frame: Image.Image) -> np.ndarray:
    """Pixels `(H, W, 3)` float32; numbers of a float picture as they are."""
    if frame.mode in _WIDE_GREY:
        # FFmpeg, and so the host, multiplies by the reciprocal; dividing differs in the last bit.
        grey = np.asarray(frame).astype(np.float32) * np.float32(1.0 / 65535.0)
        return np.repeat(grey.clip(0.0, 1.0)[..., None], 3, axis=-1)
    if frame.mode == "F":
        return np.repeat(np.asarray(frame)[..., None], 3, axis=-1)
    width, height = frame.size
    pixels = np.empty((height, width, 3), np.float32)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):
        below = min(top + rows, height)
        strip = frame if below - top == height else frame.crop((0, top, width, below))
        eight_bit = np.asarray(strip.convert("RGB"))
        np.divide(eight_bit, 255, out=pixels[top:below], dtype=np.float32)
    return pixels


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
    return map_rows(lambda values: np.clip(255.0 * values, 0, 255), image, np.uint8)


def map_rows(
    function: Callable[[np.ndarray], np.ndarray], image: np.ndarray, kind: type[np.number[Any]]
) -> np.ndarray:
    """A function of single numbers applied row by row: no copy of a large photo is made between.

    Args:
        function: of a row.
        image: `(H, ...)`.
        kind: of the numbers to make.
    """
    numbers = np.empty(image.shape, kind)
    for row, values in zip(numbers, image, strict=True):
        row[...] = function(values)
    return numbers

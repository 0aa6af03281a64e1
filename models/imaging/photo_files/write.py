"""Photos to files that keep what the format can hold, and what it cannot, in words."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from ...errors import FaceLatentsError
from ..photos import map_rows, to_uint8
from .deep import write_deep_png, write_deep_tiff
from .read import Photo
from .traits import PhotoTraits, raw_mode, read_traits, tiff_tags

if TYPE_CHECKING:
    from torch import Tensor

QUALITY = 95  # of lossy formats where the source has no tables of its own
_COMPRESSION = 4  # of PNG, as ComfyUI saves: half the time of Pillow's 6 and 3% more bytes
_LONGEST_MARKER = 65_500  # bytes of EXIF or XMP data in a JPEG
_WITH_ALPHA = ("PNG", "WEBP", "TIFF", "GIF")
_WITH_FRAMES = ("PNG", "WEBP", "TIFF", "GIF")
_WITH_GREY = ("PNG", "JPEG", "TIFF", "BMP")


def format_of(path: Path) -> str:
    """Pillow's name of the format that a file name means, or an empty string."""
    suffix = path.suffix.lower()
    Image.preinit()  # the five common formats; all of Pillow's take 50 ms to import
    return Image.EXTENSION.get(suffix) or Image.registered_extensions().get(suffix, "")


def holds_frames(path: Path) -> bool:
    """True where the format that a file name means can hold several frames."""
    return format_of(path) in _WITH_FRAMES


def encode_photo(photo: Photo, path: Path) -> tuple[bytes, list[str]]:
    """A photo as a file of the format that `path` names.

    Colours are not converted: the profile stays with the pixels that it is of. A JPEG keeps
    quantisation tables and subsampling of a JPEG.

    Returns:
        the file, and a phrase for each thing of the photo that is not in it.

    Raises:
        FaceLatentsError: the format cannot hold such a picture.
    """
    kind, count = format_of(path), len(photo.frames)
    frames = [_numbers(photo, kind, n) for n in range(count if kind in _WITH_FRAMES else 1)]
    numbers = frames[0]
    options = metadata_options(photo.traits, kind, numbers.shape[-1] < 3)
    options |= _pixel_options(photo.traits, kind)
    if len(frames) > 1:
        options |= _frame_options(photo.traits, kind)
        options["append_images"] = [_picture(frame) for frame in frames[1:]]
        data = _saved(_picture(numbers), kind, options)
    elif kind in ("PNG", "TIFF") and numbers.dtype == np.uint16 and numbers.shape[-1] > 1:
        small = np.zeros((1, 1, numbers.shape[-1]), np.uint8)
        write = write_deep_png if kind == "PNG" else write_deep_tiff
        options.pop("compression", None)
        data = write(numbers, _saved(_picture(small), kind, options))
    else:
        data = _saved(_picture(numbers), kind, options)
    with Image.open(BytesIO(data)) as opened:
        kept = read_traits(opened, data, raw_mode(opened))
    lost = name_lost(photo.traits, kept)
    if len(frames) < count:
        lost.append(f"its {count} frames (only the first is here)")
    if kind == "GIF" and photo.traits.format != "GIF":
        lost.append("its colours (256 here)")
    return data, lost


def _numbers(photo: Photo, kind: str, frame: int) -> np.ndarray:
    """`(H, W, C)` uint8, uint16 or float32 of a frame, C as the photo and `kind` have it."""
    traits, colours = photo.traits, photo.frames[frame].cpu().numpy()
    alpha = None if photo.alpha is None or kind not in _WITH_ALPHA else photo.alpha[frame]
    deep = traits.depth > 8 and kind in ("PNG", "TIFF")
    wide = kind == "TIFF" and deep and alpha is not None  # Pillow reads no 16-bit grey with alpha
    if traits.grey and kind in _WITH_GREY and not wide:
        colours = _grey(colours)
    if deep and traits.depth == 32 and kind == "TIFF" and alpha is None and colours.shape[-1] == 1:
        floats: np.ndarray = colours * np.float32(traits.white)
        return floats
    numbers = map_rows(_to_16_bits, colours, np.uint16) if deep else to_uint8(colours)
    if alpha is None:
        return numbers
    most = np.iinfo(numbers.dtype).max
    opacity = np.rint(alpha.cpu().numpy().clip(0, 1) * most).astype(numbers.dtype)
    return np.concatenate([numbers, opacity[..., None]], axis=-1)


def _to_16_bits(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(values.clip(0, 1) * 65535)
    return rounded


def _grey(colours: np.ndarray) -> np.ndarray:
    """`(H, W, 1)`: the brightness (Rec. 601), of a grey pixel exactly its own."""
    red, green, blue = (colours[..., n : n + 1] for n in range(3))
    brightness: np.ndarray = green + 0.299 * (red - green) + 0.114 * (blue - green)
    return brightness


def _picture(numbers: np.ndarray) -> Image.Image:
    return Image.fromarray(numbers[..., 0] if numbers.shape[-1] == 1 else numbers)


def _saved(picture: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    file = BytesIO()
    try:
        picture.save(file, format=kind, **options)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise FaceLatentsError(
            f"A picture of {picture.width} x {picture.height} pixels cannot be written as {kind} "
            f"({error}). Give the result a name that ends in .png."
        ) from error
    return file.getvalue()


def metadata_options(
    traits: PhotoTraits, kind: str, grey: bool = False, texts: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Options of Pillow's writer for all but the pixels.

    Args:
        traits: of the photo that a picture is made from.
        kind: the format, in Pillow's words.
        grey: the picture is grey.
        texts: of a PNG, besides the photo's own and before them.
    """
    options: dict[str, Any] = {} if traits.dpi is None else {"dpi": traits.dpi}
    if traits.profile and (traits.profile[16:20] == b"GRAY") == grey:
        options["icc_profile"] = traits.profile
    most = _LONGEST_MARKER if kind == "JPEG" else len(traits.exif) + len(traits.xmp)
    for name in ("exif", "xmp"):
        if 0 < len(getattr(traits, name)) <= most:
            options[name] = getattr(traits, name)
    if kind == "PNG":
        options["pnginfo"] = _png_info(traits, {**traits.texts, **(texts or {})})
    elif kind == "TIFF":
        options["exif"] = tiff_tags(traits.exif, traits.xmp)
    return options


def _pixel_options(traits: PhotoTraits, kind: str) -> dict[str, Any]:
    if kind == "TIFF":
        return {"compression": "tiff_adobe_deflate"}
    if kind == "PNG":
        return {"compress_level": _COMPRESSION}
    if kind == "JPEG":
        return traits.jpeg or {"quality": QUALITY, "subsampling": 0}
    if kind == "WEBP":
        return {"lossless": True, "exact": True} if traits.lossless else {"quality": QUALITY}
    return {}


def _frame_options(traits: PhotoTraits, kind: str) -> dict[str, Any]:
    options: dict[str, Any] = {"save_all": True}
    if kind != "TIFF":
        if any(traits.durations):
            options["duration"] = list(traits.durations)
        if traits.loop is not None:
            options["loop"] = traits.loop
    if kind == "GIF":
        options["disposal"] = 2  # what is transparent does not show the frame before
    return options


def _png_info(traits: PhotoTraits, texts: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    if traits.xmp:
        info.add_itxt("XML:com.adobe.xmp", traits.xmp.decode("utf-8", "replace"))
    for name, data in traits.colours:
        info.add(name, data)
    return info


def name_lost(traits: PhotoTraits, kept: PhotoTraits) -> list[str]:
    """A phrase for each thing of a photo that a file made from it does not have."""
    lost = list(traits.notes)
    if traits.alpha and not kept.alpha:
        lost.append("its transparency (what it hid shows)")
    if traits.depth > kept.depth:
        lost.append(f"its depth of {traits.depth} bits ({kept.depth} here)")
    if traits.profile != kept.profile:
        lost.append("its colour profile")
    if traits.exif and not kept.exif:
        lost.append("its EXIF data")
    if traits.xmp and not kept.xmp:
        lost.append("its XMP data")
    if traits.texts.keys() - kept.texts.keys():
        lost.append("its texts")
    if traits.colours and not kept.colours and not kept.profile:
        lost.append("its gamma or primaries")
    if traits.dpi is not None and (
        kept.dpi is None or max(abs(a - b) for a, b in zip(traits.dpi, kept.dpi, strict=True)) > 1
    ):
        lost.append("its dpi")
    return lost


def with_frames(photo: Photo, frames: Tensor) -> Photo:
    """The photo with other pixels `(B, H, W, 3)`, of the same number and size or not.

    Pixels of another size (a cut-out face) have no alpha.
    """
    if frames.shape == photo.frames.shape:
        return replace(photo, frames=frames)
    return Photo(frames, None, replace(photo.traits, alpha=False))

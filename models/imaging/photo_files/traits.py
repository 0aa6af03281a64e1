"""What a photo file holds besides the colours of its pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from PIL import ExifTags, Image, JpegImagePlugin

ORIENTATION = 0x0112
_WIDTH, _HEIGHT = 0xA002, 0xA003  # of the picture, in the Exif part
_XMP = 700  # TIFF tag
_XMP_TEXT = "XML:com.adobe.xmp"  # PNG keyword
_MOST_TABLES = 4  # of quantisation, that a JPEG can name; damaged ones define more, or none
_COLOUR_CHUNKS = (b"cHRM", b"cICP", b"gAMA", b"sRGB")  # of a PNG without a profile
_LOSSY = ("JPEG", "MPO", "AVIF")
# How a TIFF lays out its pixels. Its EXIF data holds these tags as well; they are true of that file
# alone. 282, 283, 296: resolution; 700, 34675: XMP and profile, which have fields of their own.
_LAYOUT_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 282, 283}
    | {284, 288, 289, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324}
    | {325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341, 342, 347, *range(512, 522)}
    | {529, 530, 531, 532, 700, 34377, 34675, 37724}
)


@dataclass(frozen=True, eq=False)
class PhotoTraits:
    """What is kept when a photo is written again.

    Attributes:
        format: Pillow's name of the file format, "JPEG" for MPO as well.
        depth: bits of a channel: 8, 16, or 32 for floating point.
        grey: one colour channel.
        alpha: with transparency: a channel, a palette's or a colour that stands for it.
        lossless: the format keeps every pixel as it is.
        profile: ICC colour profile, or empty.
        exif: EXIF data with orientation 1, or empty.
        xmp: XMP packet, or empty.
        dpi: pixels an inch, (across, down).
        texts: a PNG's texts by keyword.
        colours: a PNG's chunks (name, data) that say what its colours mean, without a profile.
        jpeg: quantisation tables, subsampling, comment: options of Pillow's JPEG writer.
        frames: of an animation, pages of a TIFF.
        durations: milliseconds of each frame of an animation, else empty.
        loop: how often an animation runs, 0 without end; None where the file does not say.
        white: what a float picture calls white: 1, 255 or 65535.
        notes: what was left out already in reading, a phrase each.
    """

    format: str = ""
    depth: int = 8
    grey: bool = False
    alpha: bool = False
    lossless: bool = True
    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)
    colours: tuple[tuple[bytes, bytes], ...] = ()
    jpeg: dict[str, Any] = field(default_factory=dict)
    frames: int = 1
    durations: tuple[int, ...] = ()
    loop: int | None = None
    white: float = 1.0
    notes: tuple[str, ...] = ()


def read_traits(picture: Image.Image, data: bytes, raw: str) -> PhotoTraits:
    """The traits of an opened file, but for what its frames say.

    Args:
        picture: as `Image.open` gives it; a decoded PNG also tells the texts behind its pixels.
        data: the file.
        raw: `raw_mode` of the picture before it was decoded.
    """
    info, mode = picture.info, picture.mode
    profile = bytes(info.get("icc_profile") or b"")
    notes = []
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        notes.append(f"its {mode} colours (they become RGB)")
    if profile and (mode == "CMYK" or profile[16:20] not in (b"RGB ", b"GRAY")):
        notes.append("its colour profile, which is not one of RGB")
        profile = b""
    if picture.format == "MPO":
        notes.append("the further pictures of its MPO file")
    grey = mode in ("1", "L", "LA", "La", "F") or mode[0] == "I" or raw.startswith("LA;16")
    return PhotoTraits(
        format="JPEG" if picture.format == "MPO" else str(picture.format or ""),
        depth=32 if mode == "F" else 16 if mode[0] == "I" or ";16" in raw else 8,
        grey=grey,
        alpha="A" in picture.getbands() or "a" in picture.getbands() or "transparency" in info,
        lossless=picture.format not in _LOSSY and not _is_lossy_webp(data),
        profile=profile,
        exif=_exif(picture),
        xmp=_xmp(picture),
        dpi=_dpi(info),
        texts=_texts(picture),
        colours=tuple(_colour_chunks(data)) if picture.format == "PNG" else (),
        jpeg=_jpeg_options(picture),
        frames=1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1)),
        loop=info.get("loop"),
        notes=tuple(notes),
    )


def raw_mode(picture: Image.Image) -> str:
    """How the pixels of a file not yet decoded lie in it, in Pillow's words; empty if unknown."""
    tiles = getattr(picture, "tile", None)
    if not tiles:
        return ""
    args = tiles[0][3]
    return str(args[0] if isinstance(args, tuple) else args)


def tiff_tags(exif: bytes, xmp: bytes) -> Image.Exif:
    """EXIF data and an XMP packet as tags of a TIFF, without those that say how pixels lie."""
    tags = Image.Exif()
    if exif:
        tags.load(exif)
    _drop_layout(tags)
    if xmp:
        tags[_XMP] = xmp
    return tags


def _drop_layout(exif: Image.Exif) -> None:
    for tag in _LAYOUT_TAGS & set(exif):
        del exif[tag]


def _exif(picture: Image.Image) -> bytes:
    exif = Image.Exif()
    if found := Image.Image.getexif(picture):  # a PNG's own would decode it
        exif.load(found.tobytes())  # a copy: the picture is turned by its own
    turned = exif.get(ORIENTATION, 1) in (5, 6, 7, 8)
    if ORIENTATION in exif:
        exif[ORIENTATION] = 1
    if turned and ExifTags.IFD.Exif in exif:
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        if _WIDTH in inner and _HEIGHT in inner:
            inner[_WIDTH], inner[_HEIGHT] = inner[_HEIGHT], inner[_WIDTH]
    if picture.format == "TIFF":
        _drop_layout(exif)
    return exif.tobytes() if len(exif) else b""


def _xmp(picture: Image.Image) -> bytes:
    found = picture.info.get("xmp") or picture.info.get(_XMP_TEXT)
    found = found or getattr(picture, "tag_v2", {}).get(_XMP) or b""
    packet = found.encode() if isinstance(found, str) else bytes(found)
    packet = re.sub(rb'(tiff:Orientation=["\'])[0-9]', rb"\g<1>1", packet)
    return re.sub(rb"(<tiff:Orientation>\s*)[0-9]", rb"\g<1>1", packet)


def _dpi(info: dict[Any, Any]) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e5 and 0 < down < 1e5 else None


def _texts(picture: Image.Image) -> dict[str, str]:
    if picture.format != "PNG":
        return {}
    return {
        str(key): value
        for key, value in picture.info.items()
        if isinstance(value, str) and not str(key).startswith((_XMP_TEXT, "Raw profile type"))
    }


def _jpeg_options(picture: Image.Image) -> dict[str, Any]:
    if not isinstance(picture, JpegImagePlugin.JpegImageFile) or picture.mode == "CMYK":
        return {}
    if not 0 < len(picture.quantization) <= _MOST_TABLES:
        return {}
    options: dict[str, Any] = {"qtables": picture.quantization}
    sampling = JpegImagePlugin.get_sampling(picture)
    if sampling >= 0:
        options["subsampling"] = sampling
    if picture.info.get("progressive"):
        options["progressive"] = True
    if picture.info.get("comment"):
        options["comment"] = picture.info["comment"]
    return options


def _colour_chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 8 <= len(png) and png[at + 4 : at + 8] != b"IDAT":
        size = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] in _COLOUR_CHUNKS:
            found.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + size]))
        at += size + 12
    return found


def _is_lossy_webp(data: bytes) -> bool:
    """True for a WebP whose first frame is a lossy one."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return False
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        # the chunks of an animation's frame lie inside it, after 16 bytes of its own
        at += 24 if name == b"ANMF" else 8 + size + size % 2
    return False

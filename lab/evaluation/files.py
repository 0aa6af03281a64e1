"""Photo files of many kinds through `face-latents edit` at strength 0: pixels and metadata kept."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from ...cli.main import main
from ...models.errors import FaceLatentsError
from ...models.imaging.photo_files.deep import write_deep_png, write_deep_tiff
from ...models.imaging.photo_files.read import Photo, read_photo
from ...models.imaging.photo_files.write import encode_photo
from ...models.imaging.photos import to_uint8
from ..results import markdown_table

_ORIENTATION, _COPYRIGHT, _SHUTTER = 0x0112, 0x8298, 0x829A
_SIDE = 256  # pixels of the longer side: the kind of file matters, not its size
_UPRIGHT = {  # how pixels lie in a file with this orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_TRAITS = ("depth", "grey", "alpha", "profile", "exif", "xmp", "dpi", "texts", "frames")


@dataclass(frozen=True)
class FileRoundTrips:
    """Which kinds of files."""

    only: Annotated[tuple[str, ...], "names of kinds; none: all"] = ()


def run_round_trips(picture: Tensor, settings: FileRoundTrips) -> dict[str, Any]:
    """Write a photo as a file of each kind, edit it at strength 0, and compare.

    Args:
        picture: `(H, W, 3)` in [0, 1], with a face.
        settings: see there.

    Returns:
        `kinds`, how many; `kept`, how many came back with the same pixels and all else; `files`:
        what of each was kept and lost, also where it is written anew instead of copied.

    Raises:
        FaceLatentsError: no such kind.
    """
    kinds = file_kinds(picture)
    unknown = set(settings.only) - kinds.keys()
    if unknown:
        raise FaceLatentsError(
            f"There is no kind of file '{unknown.pop()}'. There are: {', '.join(kinds)}."
        )
    chosen = {name: kinds[name] for name in settings.only or kinds}
    rows = {}
    with TemporaryDirectory() as place:
        for name, write in chosen.items():
            path = Path(place, name.replace(" ", "_").partition(",")[0] + "." + name.split(".")[-1])
            path.write_bytes(write())
            rows[name] = _round_trip(path)
    kept = sum(row["same_pixels"] and not row["lost"] for row in rows.values())
    return {"kinds": len(rows), "kept": kept, "files": rows}


def report(figures: Mapping[str, Any]) -> str:
    """The table of a section."""
    rows = [
        (
            name,
            "equal" if row["same_pixels"] else "differ",
            ", ".join(row["kept"]) or "-",
            ", ".join(row["lost"]) or "-",
            f"{row['anew_difference']:.3g}",
            ", ".join(row["anew_lost"]) or "-",
        )
        for name, row in figures["files"].items()
    ]
    head = ("file", "pixels", "kept", "lost", "written anew: largest difference", "lost then")
    return (
        f"{figures['kept']} of {figures['kinds']} kinds come back from `face-latents edit` at "
        "strength 0 with the same pixels and all that their file holds. A file that did not change "
        "is copied; the last columns are of the writer that edited photos go through, in levels of "
        f"255 (JPEG and lossy WebP are compressed again).\n\n{markdown_table(head, rows, 6)}"
    )


def _round_trip(path: Path) -> dict[str, Any]:
    out = path.with_name(f"out_{path.name}")
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        status = main(["edit", str(path), "--set", "smile=0", "-o", str(out), "--no-progress"])
    if status:
        raise FaceLatentsError(f"{path.name}: {said.getvalue().strip()}")
    before, after = read_photo(path), read_photo(out)
    data, _ = encode_photo(before, out)
    out.write_bytes(data)
    anew = read_photo(out)
    told = [trait for trait in _TRAITS if _value(before, trait)]
    return {
        "same_pixels": _difference(before, after) == 0,
        "kept": [trait for trait in told if _same(before, after, trait)],
        "lost": [trait for trait in told if not _same(before, after, trait)],
        "anew_difference": _difference(before, anew),
        "anew_lost": [trait for trait in told if not _same(before, anew, trait)],
    }


def _difference(one: Photo, other: Photo) -> float:
    """The largest difference of colours and transparency, in levels of 255."""
    if one.frames.shape != other.frames.shape or (one.alpha is None) != (other.alpha is None):
        return 255.0
    found = float((one.frames - other.frames).abs().max())
    if one.alpha is not None and other.alpha is not None:
        found = max(found, float((one.alpha - other.alpha).abs().max()))
    return 255 * found


def _value(photo: Photo, trait: str) -> Any:
    """What a file holds of a trait; nothing where it is what most files have."""
    value = getattr(photo.traits, trait)
    if trait == "exif":
        exif = Image.Exif()
        exif.load(value)
        return {tag: item for tag, item in exif.items() if tag in (_COPYRIGHT, _SHUTTER)}
    if trait == "dpi":
        return value and tuple(round(number) for number in value)
    return None if (trait, value) in (("depth", 8), ("frames", 1)) else value


def _same(one: Photo, other: Photo, trait: str) -> bool:
    return bool(_value(one, trait) == _value(other, trait))


def file_kinds(picture: Tensor) -> dict[str, Callable[[], bytes]]:
    """Kinds of files by name (its end is the suffix), and what writes the picture as one."""
    whole = Image.fromarray(to_uint8(picture.numpy()))
    whole.thumbnail((_SIDE, _SIDE))
    colours, grey = np.asarray(whole), np.asarray(whole.convert("L"))
    alpha = np.broadcast_to(np.linspace(0, 255, whole.width).astype(np.uint8), grey.shape)
    noise = np.random.default_rng(0).integers(0, 256, colours.shape, np.uint16)
    wide, deep_grey = colours * np.uint16(256) + noise, grey * np.uint16(256) + noise[..., 0]
    wide_alpha = np.dstack([wide, alpha * np.uint16(257)])
    rgba, grey_alpha = np.dstack([colours, alpha]), np.dstack([grey, alpha])
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    everything = {"icc_profile": profile, "exif": _rights(), "dpi": (300, 300)}
    frames = {"save_all": True, "duration": [80, 120], "loop": 0}
    animation = {**frames, "append_images": [whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]}
    texts = PngInfo()
    texts.add_text("Author", "Jane Doe")
    palette = whole.quantize(64)
    kinds = {
        "8-bit RGB.png": _saver(colours, "PNG"),
        "16-bit RGB.png": lambda: write_deep_png(wide, _saver(colours[:1, :1], "PNG")()),
        "8-bit grey.png": _saver(grey, "PNG"),
        "16-bit grey.png": _saver(deep_grey, "PNG"),
        "8-bit RGB with alpha.png": _saver(rgba, "PNG"),
        "16-bit RGB with alpha.png": lambda: write_deep_png(
            wide_alpha, _saver(rgba[:1, :1], "PNG")()
        ),
        "8-bit grey with alpha.png": _saver(grey_alpha, "PNG"),
        "palette.png": _saver(palette, "PNG"),
        "palette with transparency.png": _saver(palette, "PNG", transparency=3),
        "profile, EXIF, dpi.png": _saver(colours, "PNG", **everything),
        "texts.png": _saver(colours, "PNG", pnginfo=texts),
        "4:2:0.jpg": _saver(colours, "JPEG", quality=85, subsampling=2),
        "4:4:4.jpg": _saver(colours, "JPEG", quality=95, subsampling=0),
        "grey, progressive.jpg": _saver(grey, "JPEG", progressive=True),
        "profile, EXIF, dpi, XMP.jpg": _saver(colours, "JPEG", xmp=b"<x/>", **everything),
        "8-bit RGB.tif": _saver(colours, "TIFF", compression="tiff_lzw", **everything),
        "16-bit RGB.tif": lambda: write_deep_tiff(wide, _saver(colours[:1, :1], "TIFF")()),
        "float.tif": _saver(grey.astype(np.float32) / 255, "TIFF"),
        "lossless with alpha.webp": _saver(rgba, "WEBP", lossless=True, exact=True),
        "lossy, profile, EXIF.webp": _saver(
            colours, "WEBP", quality=80, icc_profile=profile, exif=_rights()
        ),
        "animation.webp": _saver(colours, "WEBP", lossless=True, **animation),
        "animation.gif": _saver(palette, "GIF", **animation),
        "8-bit RGB.bmp": _saver(colours, "BMP", dpi=(300, 300)),
    }
    for number in range(1, 9):
        lying = whole if number == 1 else whole.transpose(_UPRIGHT[number])
        options = {"quality": 95, "exif": _rights(number)}
        kinds[f"orientation {number}.jpg"] = _saver(np.asarray(lying), "JPEG", **options)
    return kinds


def _rights(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[_COPYRIGHT], exif[_ORIENTATION], exif[_SHUTTER] = "Jane Doe", orientation, 0.004
    return exif.tobytes()


def _saver(picture: Any, kind: str, **options: Any) -> Callable[[], bytes]:
    def save() -> bytes:
        file = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(file, kind, **options)
        return file.getvalue()

    return save

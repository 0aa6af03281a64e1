"""A photo file with all that is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..opening import open_header, open_picture, readable
from ..photos import rgb, stack, turned_frames, warn_cut_off
from .deep import read_deep
from .traits import PhotoTraits, raw_mode, read_traits

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Photo:
    """Pixels of a photo, turned upright, and what else its file holds.

    Attributes:
        frames: `(B, H, W, 3)` float32, nominally in [0, 1], in the full depth of the file.
        alpha: `(B, H, W)` in [0, 1], or None for a photo without transparency.
        traits: the rest.
        complete: nothing is missing at the end of the file.
    """

    frames: Tensor
    alpha: Tensor | None
    traits: PhotoTraits
    complete: bool = True


def read_header(path: Path) -> PhotoTraits:
    """What a photo file holds besides pixels, without decoding them.

    Raises:
        FaceLatentsError: the file is not a picture.
    """
    with readable(path), open_header(path) as opened:
        return read_traits(opened, path.read_bytes(), raw_mode(opened))


def read_photo(path: Path) -> Photo:
    """Read a photo with what else its file holds.

    8-bit colours are those of `photos.load_image`. Of a truncated file what is there is read, with
    a warning.

    Raises:
        FaceLatentsError: the file is not a picture, is damaged or too large.
    """
    import torch

    with readable(path):
        data = path.read_bytes()
        with open_header(path) as opened:
            raw, mode = raw_mode(opened), opened.mode
            # a TIFF loses tags in decoding, a PNG may have texts behind its pixels
            early = None if opened.format == "PNG" else read_traits(opened, data, raw)
        picture, complete = open_picture(path)
        if not complete:
            warn_cut_off(path)
        with picture:
            traits = early or read_traits(picture, data, raw)
            deep = read_deep(mode, raw, partial(_decode, path))
            if deep is not None:
                key = picture.info.get("transparency")
                frames, alphas, durations = [_deep_colours(deep)], [_deep_alpha(deep, key)], [0]
            else:
                found = [
                    (rgb(frame), _alpha(frame), int(frame.info.get("duration") or 0))
                    for frame in turned_frames(picture)
                ]
                frames, alphas, durations = (list(part) for part in zip(*found, strict=True))
    pixels = torch.from_numpy(stack(frames))
    if traits.depth == 32:
        traits = replace(traits, white=_white(float(pixels.max())))
        pixels = pixels / traits.white
    if ";16" in raw and deep is None and mode in ("RGB", "RGBA", "CMYK"):
        traits = replace(traits, depth=8, notes=(*traits.notes, "half of its 16 bits"))
    notes = traits.notes
    if early is not None and (left := early.frames - len(frames)) > 0:
        notes += (f"{left} of its {early.frames} pages (they have another size)",)
    shown = tuple(durations) if len(durations) > 1 else ()
    traits = replace(traits, durations=shown, notes=notes)
    return Photo(pixels, _stacked(alphas), traits, complete)


def _decode(path: Path, layout: str) -> Image.Image:
    return open_picture(path, layout=layout)[0]


def _alpha(frame: Image.Image) -> np.ndarray | None:
    if "A" in frame.getbands():
        channel = frame.getchannel("A")
    elif "transparency" in frame.info and frame.mode[0] == "I":
        return _opacity(np.asarray(frame) != frame.info["transparency"], 1)
    elif "transparency" in frame.info:
        channel = frame.convert("RGBA").getchannel("A")
    else:
        return None
    return _opacity(np.asarray(channel), 255)


def _deep_colours(numbers: np.ndarray) -> np.ndarray:
    colours = numbers[..., : 3 if numbers.shape[-1] > 2 else 1].astype(np.float32)
    colours /= np.float32(65535.0)
    return np.repeat(colours, 3, axis=-1) if colours.shape[-1] == 1 else colours


def _deep_alpha(numbers: np.ndarray, key: object) -> np.ndarray | None:
    if numbers.shape[-1] in (2, 4):
        return _opacity(numbers[..., -1], 65535)
    if isinstance(key, tuple) and len(key) == numbers.shape[-1]:
        return _opacity((numbers != np.array(key)).any(-1), 1)
    return None


def _opacity(numbers: np.ndarray, most: int) -> np.ndarray:
    opacity: np.ndarray = numbers.astype(np.float32) / np.float32(most)
    return opacity


def _stacked(alphas: list[np.ndarray | None]) -> Tensor | None:
    """Frames without alpha are opaque where others have some."""
    import torch

    shape = next((alpha.shape for alpha in alphas if alpha is not None), None)
    if shape is None:
        return None
    opaque = np.ones(shape, np.float32)
    return torch.from_numpy(np.stack([opaque if alpha is None else alpha for alpha in alphas]))


def _white(most: float) -> float:
    """What white is in a float picture: floats are nominally in [0, 1], integers sometimes kept."""
    return next((white for white in (1.0, 255.0) if most <= white * 1.5), 65535.0)

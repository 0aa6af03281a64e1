"""What all charts share: themes, colours, text that fits, and pictures as tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont

THEMES = ("dark", "light")


@dataclass(frozen=True)
class Theme:
    """Colours of a chart; colour-blind eyes tell `series` apart (after Okabe and Ito 2008)."""

    background: Colour
    ink: Colour
    quiet: Colour  # ticks, bars that are not highlighted
    grid: Colour
    series: tuple[Colour, ...]
    diverging: tuple[Colour, Colour, Colour]  # lowest, zero, highest


DARK = Theme(
    background=(24, 24, 28),
    ink=(235, 235, 235),
    quiet=(158, 158, 168),
    grid=(60, 60, 68),
    series=(
        (86, 180, 233),
        (240, 160, 30),
        (20, 175, 130),
        (240, 228, 66),
        (220, 135, 185),
        (235, 105, 50),
        (150, 150, 240),
    ),
    diverging=((70, 175, 245), (42, 42, 48), (250, 150, 40)),
)
LIGHT = Theme(
    background=(250, 249, 246),
    ink=(30, 30, 34),
    quiet=(112, 112, 122),
    grid=(222, 221, 216),
    series=(
        (0, 114, 178),
        (200, 80, 0),
        (0, 130, 95),
        (185, 90, 145),
        (150, 115, 0),
        (50, 150, 210),
        (90, 80, 190),
    ),
    diverging=((0, 92, 165), (246, 245, 241), (196, 72, 0)),
)

# Corners of a dark-to-bright scale (dark violet, magenta, orange, light yellow), chosen so that
# lightness rises evenly: it stays readable in grey and for colour-blind eyes.
SEQUENTIAL: tuple[Colour, ...] = ((26, 12, 62), (122, 28, 109), (237, 105, 37), (252, 255, 164))


def theme_of(name: str) -> Theme:
    """The theme called `name`; ValueError if there is none."""
    if name not in THEMES:
        raise ValueError(f"theme must be one of {', '.join(map(repr, THEMES))}; got {name!r}.")
    return DARK if name == "dark" else LIGHT


@lru_cache(maxsize=64)
def font_of(size: int) -> Font:
    """Pillow's own font, so that a chart looks the same on every machine."""
    return ImageFont.load_default(max(1, size))


def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height of one line, the height the same for every text of that size."""
    font = font_of(size)
    left, _, right, _ = font.getbbox(text)
    return math.ceil(right - left), math.ceil(size * 1.25)


def fit_text(text: str, size: int, width: float, smallest: int | None = None) -> tuple[str, int]:
    """`text` and the size (at most `size`, at least `smallest`) at which it is `width` wide.

    Cut off with dots where it is too wide even at the smallest size; "" where nothing fits.
    """
    least = size if smallest is None else min(size, smallest)
    while size > least and text_size(text, size)[0] > width:
        size -= 1
    if text_size(text, size)[0] <= width:
        return text, size
    short = text[:-1]
    while short and text_size(short.rstrip() + "...", size)[0] > width:
        short = short[:-1]
    return (short.rstrip() + "..." if short else ""), size


def upright_text(text: str, size: int) -> Image.Image:
    """A mask (mode L) of one line that reads upwards."""
    width, height = text_size(text, size)
    mask = Image.new("L", (width + 2, height))
    ImageDraw.Draw(mask).text((width + 1, height / 2), text, 255, font_of(size), anchor="rm")
    return mask.rotate(90, expand=True)


def centred(
    draw: ImageDraw.ImageDraw,
    text: str,
    box: tuple[float, float, float, float],
    colour: Colour,
    largest: int,
    smallest: int,
) -> None:
    """`text` as large as fits the box, in its middle; nothing where it would be unreadable."""
    width, height = box[2] - box[0], box[3] - box[1]
    for size in range(min(largest, int(height * 0.6)), smallest - 1, -1):
        left, top, right, bottom = font_of(size).getbbox(text)
        if right - left <= width * 0.92 and bottom - top <= height:
            x = box[0] + (width - (right - left)) / 2 - left
            y = box[1] + (height - (bottom - top)) / 2 - top
            draw.text((x, y), text, colour, font_of(size))
            return


def short_number(value: float) -> str:
    """Two or three digits."""
    size = abs(value)
    if size == 0:
        return "0"
    if size < 5e-4 or size >= 99999.5:
        return scientific(value, 0 if size < 5e-4 else 1)
    if size < 0.005:
        return f"{value:.3f}"
    return f"{value:.0f}" if size >= 99.95 else f"{value:.{1 if size >= 9.995 else 2}f}"


def scientific(value: float, decimals: int) -> str:
    """As 1.5e6 or 2e-7."""
    mantissa, exponent = f"{value:.{decimals}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def blend(stops: Sequence[Colour], share: float) -> Colour:
    """The colour at `share` (0 to 1, clamped) of a scale given by its evenly spaced corners."""
    position = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(position), len(stops) - 2)
    part = position - index
    low, high = stops[index], stops[index + 1]
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


def contrasting(colour: Colour) -> Colour:
    """Ink that is readable on `colour`, the same in both themes."""
    luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return DARK.background if luminance > 120 else DARK.ink


def tile(picture: Tensor, size: tuple[int, int] | None = None) -> Image.Image:
    """`(3, H, W)` in [0, 1] (clamped) as a picture, resized to (width, height) where given."""
    if picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(f"a picture must have shape (3, H, W); got {tuple(picture.shape)}.")
    pixels = picture.detach().to("cpu", torch.float32).nan_to_num(0.0).clamp(0, 1)
    array = (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    image = Image.fromarray(np.ascontiguousarray(array))
    if size is None or size == image.size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS)


def to_image(picture: Image.Image) -> Tensor:
    """A chart as `(H, W, 3)` float32 in [0, 1], as the host's IMAGE holds it."""
    return torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0)

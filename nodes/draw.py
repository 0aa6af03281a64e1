"""Pictures drawn by nodes: the distance table, and previews on the node itself."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from . import host

BACKGROUND = (24, 24, 28)
INK = (235, 235, 235)

# Corners of a dark-to-bright colour scale (dark violet, magenta, orange, light yellow), chosen so
# that lightness rises evenly: it stays readable in grey and for colour-blind eyes.
SCALE = ((26, 12, 62), (122, 28, 109), (237, 105, 37), (252, 255, 164))

WIDEST = 1024  # pixels; a node on the canvas shows about 400
LARGEST_CELL, SMALLEST_CELL = 160, 14
SMALLEST_NUMBER = 9  # pixels of text; below, numbers are left out


def draw_matrix(
    matrix: Tensor, title: str, faces: Sequence[Tensor | None] | None = None
) -> Tensor:
    """A table of numbers as a picture.

    Args:
        matrix: ``(N, N)``, each entry >= 0.
        title: written above.
        faces: N pictures ``(3, S, S)`` in [0, 1] for the edges; None for "no picture".

    Returns:
        ``(H, W, 3)`` float32 in [0, 1]; the same input gives the same pixels.
    """
    count = len(matrix)
    cell = max(SMALLEST_CELL, min(LARGEST_CELL, (WIDEST - 40) // (count + 1)))
    margin = max(8, cell // 10)
    title_height = max(40, cell // 3)
    side = cell * (count + 1) + 2 * margin
    picture = Image.new("RGB", (side, side + title_height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    _centred(draw, title, (margin, margin, side - margin, title_height), INK)
    left, top = margin, title_height + margin
    largest = float(matrix.max()) or 1.0
    for index in range(count):
        for x, y in ((index + 1, 0), (0, index + 1)):
            box = _cell_box(left, top, cell, x, y)
            _label(picture, draw, box, index, None if faces is None else faces[index])
    for row in range(count):
        for column in range(count):
            value = float(matrix[row, column])
            box = _cell_box(left, top, cell, column + 1, row + 1)
            colour = _colour(value / largest)
            draw.rectangle(box, fill=colour)
            _centred(draw, _short(value), box, _contrasting(colour))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255.0)


def save_preview(picture: Tensor, stem: str) -> dict[str, str]:
    """Save ``(H, W, 3)`` into the host's temp folder; returns what the canvas needs to show it."""
    folder = host.temp_directory()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stem}_{secrets.token_hex(8)}.png"
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(folder / name, compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}


Box = tuple[int, int, int, int]


def _cell_box(left: int, top: int, cell: int, column: int, row: int) -> Box:
    x, y = left + column * cell, top + row * cell
    return x, y, x + cell - 2, y + cell - 2


def _label(
    picture: Image.Image, draw: ImageDraw.ImageDraw, box: Box, index: int, face: Tensor | None
) -> None:
    """The face at the table's edge, with its number."""
    number = str(index + 1)
    if face is None:
        _centred(draw, number, box, INK)
        return
    width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
    pixels = (face.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    thumbnail = Image.fromarray(np.ascontiguousarray(pixels)).resize(
        (width, height), Image.Resampling.LANCZOS
    )
    picture.paste(thumbnail, box[:2])
    size = max(SMALLEST_NUMBER, height // 5)
    font = ImageFont.load_default(size)
    draw.text(
        (box[0] + 3, box[1] + 2), number, INK, font, stroke_width=2, stroke_fill=BACKGROUND
    )


def _centred(draw: ImageDraw.ImageDraw, text: str, box: Box, colour: tuple[int, int, int]) -> None:
    """`text` as large as fits the box, in its middle; nothing where it would be unreadable."""
    width, height = box[2] - box[0], box[3] - box[1]
    size = min(28, int(height * 0.6))
    while size >= SMALLEST_NUMBER:
        font = ImageFont.load_default(size)
        x0, y0, x1, y1 = draw.textbbox((0, 0), text, font)
        if x1 - x0 <= width * 0.92 and y1 - y0 <= height:
            x = box[0] + (width - (x1 - x0)) / 2 - x0
            y = box[1] + (height - (y1 - y0)) / 2 - y0
            draw.text((x, y), text, colour, font)
            return
        size -= 1


def _short(value: float) -> str:
    """About three digits."""
    if value == 0:
        return "0"
    if value >= 99.95:
        return f"{value:.0f}" if value < 1e5 else f"{value:.0e}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _colour(share: float) -> tuple[int, int, int]:
    position = min(max(share, 0.0), 1.0) * (len(SCALE) - 1)
    index = min(int(position), len(SCALE) - 2)
    part = position - index
    low, high = SCALE[index], SCALE[index + 1]
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue


def _contrasting(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return BACKGROUND if luminance > 120 else INK

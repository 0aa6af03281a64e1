"""A contact sheet: rows of pictures of one height, each with a title underneath."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageDraw, ImageFont

HEIGHT = 240  # of a picture, in pixels
_GAP = 14
_CAPTION = 24  # height of the line under a picture
_HEADING = 34
_BACKGROUND, _INK, _QUIET = (250, 249, 246), (30, 30, 34), (110, 110, 118)
_LEAST_WIDTH = 120  # of a cell, so that its title has room


@dataclass
class Cell:
    """One picture and its title."""

    picture: Image.Image
    title: str


@dataclass
class Row:
    """Pictures under a heading; `note` stands beside the heading."""

    heading: str
    cells: list[Cell] = field(default_factory=list)
    note: str = ""


def draw_sheet(title: str, rows: Sequence[Row], width: int = 1560) -> Image.Image:
    """Draw all rows below each other; a row that is wider than `width` pixels is wrapped."""
    places = list(_places(rows, width))
    bottom = max((y + height for _, y, height in places), default=0) + _GAP
    sheet = Image.new("RGB", (width, bottom), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), title, _INK, font=_font(24))
    for item, y, _ in places:
        if isinstance(item, Row):
            draw.text((_GAP, y + 6), item.heading, _INK, font=_font(18))
            x = _GAP * 2 + draw.textlength(item.heading, font=_font(18))
            draw.text((x, y + 10), _fit_text(draw, item.note, width - x), _QUIET, font=_font(13))
            continue
        x = _GAP
        for cell in item:
            picture = _scale_picture(cell.picture)
            sheet.paste(picture, (int(x), y))
            caption = _fit_text(draw, cell.title, _cell_width(cell))
            draw.text((x, y + HEIGHT + 4), caption, _QUIET, font=_font(13))
            x += _cell_width(cell) + _GAP
    return sheet


def _places(rows: Sequence[Row], width: int) -> Iterator[tuple[Row | list[Cell], int, int]]:
    """(heading or line of cells, its top, its height), from top to bottom."""
    y = _GAP * 2 + 28
    for row in rows:
        yield row, y, _HEADING
        y += _HEADING
        for line in _wrap(row.cells, width):
            height = HEIGHT + _CAPTION + _GAP
            yield line, y, height
            y += height


def _wrap(cells: Sequence[Cell], width: int) -> list[list[Cell]]:
    lines: list[list[Cell]] = []
    used = width
    for cell in cells:
        needed = _cell_width(cell) + _GAP
        if used + needed > width - _GAP:
            lines.append([])
            used = 0
        lines[-1].append(cell)
        used += needed
    return lines


def _cell_width(cell: Cell) -> int:
    return max(_LEAST_WIDTH, _scaled_width(cell.picture))


def _scaled_width(picture: Image.Image) -> int:
    return max(1, round(picture.width * HEIGHT / picture.height))


def _scale_picture(picture: Image.Image) -> Image.Image:
    size = (_scaled_width(picture), HEIGHT)
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _fit_text(draw: ImageDraw.ImageDraw, text: str, width: float) -> str:
    """`text`, cut off with dots where it is wider than `width` pixels."""
    short = text
    while short and draw.textlength(short + ("" if short == text else "..."), _font(13)) > width:
        short = short[:-1]
    return short if short == text else short + "..."


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has the one size only
        return ImageFont.load_default()

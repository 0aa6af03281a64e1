"""The parts of tables and contact sheets: layout, names along the edges, cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw
from torch import Tensor

from .style import (
    DARK,
    Colour,
    Theme,
    centred,
    contrasting,
    fit_text,
    font_of,
    text_size,
    tile,
    upright_text,
)

LARGEST_TABLE = (1024, 1068)  # pixels, width and height
LARGEST_CELL = 160
SMALLEST_TEXT = 10  # pixels; below, numbers and names are left out
Pictures = Sequence[Tensor | None]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Layout:
    """Where things are, in pixels."""

    rows: int
    columns: int
    cell: int
    gap: int
    left: int  # width of the row names
    head: int  # height of the column names
    top: int  # height of the title
    margin: int
    text: int  # size of the names
    upright: bool  # column names

    @property
    def size(self) -> tuple[int, int]:
        return (
            2 * self.margin + self.left + self.columns * (self.cell + self.gap) - self.gap,
            2 * self.margin + self.top + self.head + self.rows * (self.cell + self.gap) - self.gap,
        )

    def cell_box(self, row: int, column: int) -> Box:
        """Left, top, right and bottom, the last two outside."""
        x = self.margin + self.left + column * (self.cell + self.gap)
        y = self.margin + self.top + self.head + row * (self.cell + self.gap)
        return x, y, x + self.cell, y + self.cell

    def row_box(self, row: int) -> Box:
        x, y, _, bottom = self.cell_box(row, 0)
        return self.margin, y, x, bottom

    def column_box(self, column: int) -> Box:
        x, y, right, _ = self.cell_box(0, column)
        return x, self.margin + self.top, right, y


def layout_for(
    row_names: Sequence[str] | None,
    column_names: Sequence[str] | None,
    counts: tuple[int, int],
    titled: bool,
) -> Layout:
    """The largest square cells of a `LARGEST_TABLE`; names None: pictures as large as a cell."""
    width, height = LARGEST_TABLE
    rows, columns = counts
    text = max(SMALLEST_TEXT, round(width * 0.026))
    margin, top = round(width * 0.012), round(text * 2) if titled else 0
    room_x, room_y = width - 2 * margin, height - 2 * margin - top
    left = head = 0
    upright = False
    if row_names is not None:
        left = min(max(text_size(name, text)[0] for name in row_names) + text // 2, room_x // 3)
    if column_names is not None:
        longest = max(text_size(name, text)[0] for name in column_names)
        upright = longest > 0.95 * min((room_x - left) // columns, LARGEST_CELL)
        head = (min(longest, room_y // 3) if upright else text_size("", text)[1]) + text // 3
    cell = min(
        LARGEST_CELL,
        (room_x - left) // (columns + (row_names is None)),
        (room_y - head) // (rows + (column_names is None)),
    )
    cell = max(cell, 1)
    gap = 2 if cell >= 14 else 0
    return Layout(
        rows=rows,
        columns=columns,
        cell=max(1, cell - gap),
        gap=gap,
        left=cell if row_names is None else left,
        head=cell if column_names is None else head,
        top=top,
        margin=margin,
        text=text,
        upright=upright,
    )


class Sheet:
    """A table under construction."""

    def __init__(self, layout: Layout, title: str, theme: Theme) -> None:
        self.layout, self.theme = layout, theme
        self.picture = Image.new("RGB", layout.size, theme.background)
        self.draw = ImageDraw.Draw(self.picture)
        if title:
            room = layout.size[0] - 2 * layout.margin
            words, text = fit_text(title, round(layout.text * 1.2), room, SMALLEST_TEXT)
            self.draw.text((layout.margin, layout.margin), words, theme.ink, font_of(text))

    def rows(self, labels: Sequence[str], pictures: Pictures | None) -> None:
        text = max(SMALLEST_TEXT, min(self.layout.text, self.layout.cell))
        every = math.ceil(text / (self.layout.cell + self.layout.gap))
        for row, label in enumerate(labels):
            box = self.layout.row_box(row)
            if pictures is not None:
                self._face(box, label, pictures[row])
            elif row % every == 0:
                room, least = box[2] - box[0] - text // 2, max(SMALLEST_TEXT, round(text * 0.7))
                words, size = fit_text(label, text, room, least)
                at = box[2] - text // 2, (box[1] + box[3]) / 2
                self.draw.text(at, words, self.theme.ink, font_of(size), anchor="rm")

    def columns(self, labels: Sequence[str], pictures: Pictures | None) -> None:
        text = self.layout.text
        step = self.layout.cell + self.layout.gap
        if self.layout.upright:
            text = max(SMALLEST_TEXT, min(text, self.layout.cell))
        every = math.ceil(text / step) if self.layout.upright else 1
        for column, label in enumerate(labels):
            box = self.layout.column_box(column)
            if pictures is not None:
                self._face(box, label, pictures[column])
            elif self.layout.upright and column % every == 0:
                words, size = fit_text(label, text, box[3] - box[1] - text // 3, SMALLEST_TEXT)
                turned = upright_text(words, size)
                x = round((box[0] + box[2] - turned.width) / 2)
                self.picture.paste(self.theme.ink, (x, box[3] - turned.height - text // 6), turned)
            elif not self.layout.upright:
                words, size = fit_text(label, text, step, max(SMALLEST_TEXT, round(text * 0.7)))
                at = (box[0] + box[2]) / 2, box[3] - text // 4
                self.draw.text(at, words, self.theme.ink, font_of(size), anchor="md")

    def _face(self, box: Box, label: str, picture: Tensor | None) -> None:
        """A picture at the table's edge with its name in the corner; the name alone for None."""
        side = self.layout.cell
        box = (box[2] - self.layout.gap - side, box[3] - self.layout.gap - side, box[2], box[3])
        if picture is None:
            centred(self.draw, label, box, self.theme.ink, 28, SMALLEST_TEXT - 1)
            return
        self.picture.paste(tile(picture, (side, side)), box[:2])
        words, text = fit_text(label, max(SMALLEST_TEXT, side // 5), side - 6)
        self.draw.text(
            (box[0] + 3, box[1] + 1), words, DARK.ink, font_of(text),
            stroke_width=2, stroke_fill=DARK.background,
        )  # fmt: skip

    def cell(self, row: int, column: int, colour: Colour, words: str) -> None:
        x, y, right, bottom = self.layout.cell_box(row, column)
        self.draw.rectangle((x, y, right - 1, bottom - 1), colour)
        box = (x, y, right, bottom)
        largest = max(SMALLEST_TEXT, self.layout.text)
        centred(self.draw, words, box, contrasting(colour), largest, SMALLEST_TEXT - 1)

    def paste(self, box: Box, picture: Tensor) -> None:
        side = self.layout.cell
        height, width = picture.shape[-2:]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        at = box[0] + (side - size[0]) // 2, box[1] + (side - size[1]) // 2
        self.picture.paste(tile(picture, size), at)

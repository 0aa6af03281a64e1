"""Tables of numbers and of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from .plot_style import (
    SEQUENTIAL,
    Theme,
    blend,
    centred,
    contrasting,
    fitted,
    font_of,
    short_number,
    text_size,
    theme_of,
    tile,
    upright_text,
)

LARGEST_CELL = 160
SMALLEST_TEXT = 10  # pixels; below, numbers and names are left out
Pictures = Sequence[Tensor | None]


def matrix_chart(
    values: Tensor | NDArray[np.floating] | Sequence[Sequence[float]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
    *,
    diverging: bool = True,
    theme: str = "dark",
    size: tuple[int, int] = (1024, 1068),
    row_pictures: Pictures | None = None,
    column_pictures: Pictures | None = None,
) -> Image.Image:
    """A table of numbers as coloured cells.

    Args:
        values: ``(R, C)``, R, C >= 1. NaN leaves a cell empty.
        row_labels: R names.
        column_labels: C names, written upright where they are wider than a cell.
        title: written above; may be empty.
        diverging: True: zero is neutral, two colours for the two signs. False: dark to bright from
            0 (or the lowest value, if that is below 0) to the highest.
        theme: ``dark`` or ``light``.
        size: the picture is at most this (width, height); cells are square, at most 160 pixels.
        row_pictures: R pictures ``(3, H, W)`` in [0, 1] that stand for the names, which become
            small; None: the name alone.
        column_pictures: C pictures, as above.

    Returns:
        An RGB picture; the same input gives the same pixels.

    Raises:
        ValueError: no numbers, infinite ones, or counts that differ.
    """
    table = np.asarray(
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values, np.float64
    )
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"a table needs shape (rows, columns); got {table.shape}.")
    if np.isinf(table).any():
        raise ValueError("a table must hold finite numbers (NaN leaves a cell empty).")
    for count, given, name in (
        (table.shape[0], row_labels, "row labels"),
        (table.shape[1], column_labels, "column labels"),
        (table.shape[0], row_pictures, "row pictures"),
        (table.shape[1], column_pictures, "column pictures"),
    ):
        if given is not None and len(given) != count:
            raise ValueError(f"the table needs {count} {name}; got {len(given)}.")
    colours = theme_of(theme)
    layout = _layout(
        None if row_pictures is not None else row_labels,
        None if column_pictures is not None else column_labels,
        (len(row_labels), len(column_labels)),
        bool(title),
        size,
    )
    sheet = _Sheet(layout, title, colours)
    sheet.rows(row_labels, row_pictures)
    sheet.columns(column_labels, column_pictures)
    largest = float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    lowest = min(0.0, float(np.nanmin(table, initial=0.0)))
    highest = max(float(np.nanmax(table, initial=lowest)), lowest)
    for row, column in np.ndindex(*table.shape):
        value = float(table[row, column])
        if math.isnan(value):
            sheet.cell(row, column, colours.background, "-")
        elif diverging:
            share = (value / largest + 1) / 2
            sheet.cell(row, column, blend(colours.diverging, share), short_number(value))
        else:
            share = (value - lowest) / ((highest - lowest) or 1.0)
            sheet.cell(row, column, blend(SEQUENTIAL, share), short_number(value))
    return sheet.picture


def picture_grid(
    rows: Sequence[Tensor],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str = "",
    *,
    theme: str = "dark",
    cell: int = 128,
) -> Image.Image:
    """A contact sheet.

    Args:
        rows: R >= 1 batches of pictures ``(n, 3, H, W)`` in [0, 1] (clamped); n may differ.
        row_labels: R names, or none at all.
        column_labels: a name for each picture of the longest row, or none at all.
        title: written above; may be empty.
        theme: ``dark`` or ``light``.
        cell: side of a picture in pixels; pictures of that size are shown unscaled, others are
            scaled to fit, keeping their shape.

    Returns:
        An RGB picture.

    Raises:
        ValueError: no pictures, or counts that differ.
    """
    columns = max((len(row) for row in rows), default=0)
    if columns == 0:
        raise ValueError("a contact sheet needs at least one picture.")
    for count, given, name in (
        (len(rows), row_labels, "row labels"),
        (columns, column_labels, "column labels"),
    ):
        if len(given) not in (0, count):
            raise ValueError(f"the contact sheet needs {count} {name}, or none; got {len(given)}.")
    # Larger sheets are shown smaller, so their text has to be larger.
    text = max(SMALLEST_TEXT, min(round(columns * cell / 30), round(cell * 0.25)))
    left = max((text_size(label, text)[0] for label in row_labels), default=0)
    longest = max(left and round(cell * 1.4), 0)
    names = max((text_size(label, text)[0] for label in column_labels), default=0)
    upright = names > cell * 1.5
    head = 0
    if column_labels:
        head = min(names, round(cell * 1.5)) if upright else text_size("", text)[1]
    layout = _Layout(
        rows=len(rows),
        columns=columns,
        cell=cell,
        gap=max(2, cell // 32),
        left=min(left, longest) + (text // 2 if left else 0),
        head=head + (text // 3 if head else 0),
        top=round(text * 2) if title else 0,
        margin=max(6, cell // 12),
        text=text,
        upright=upright,
    )
    colours = theme_of(theme)
    sheet = _Sheet(layout, title, colours)
    if row_labels:
        sheet.rows(row_labels, None)
    if column_labels:
        sheet.columns(column_labels, None)
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(layout.cell_box(number, column), picture)
    return sheet.picture


Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Layout:
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


def _layout(
    row_names: Sequence[str] | None,
    column_names: Sequence[str] | None,
    counts: tuple[int, int],
    titled: bool,
    size: tuple[int, int],
) -> _Layout:
    """The largest square cells that fit `size`; names None: pictures as large as a cell."""
    width, height = size
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
    return _Layout(
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


class _Sheet:
    """A table under construction."""

    def __init__(self, layout: _Layout, title: str, theme: Theme) -> None:
        self.layout, self.theme = layout, theme
        self.picture = Image.new("RGB", layout.size, theme.background)
        self.draw = ImageDraw.Draw(self.picture)
        if title:
            room = layout.size[0] - 2 * layout.margin
            words, text = fitted(title, round(layout.text * 1.2), room, SMALLEST_TEXT)
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
                words, size = fitted(label, text, room, least)
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
                words, size = fitted(label, text, box[3] - box[1] - text // 3, SMALLEST_TEXT)
                turned = upright_text(words, size)
                x = round((box[0] + box[2] - turned.width) / 2)
                self.picture.paste(self.theme.ink, (x, box[3] - turned.height - text // 6), turned)
            elif not self.layout.upright:
                words, size = fitted(label, text, step, max(SMALLEST_TEXT, round(text * 0.7)))
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
        words, text = fitted(label, max(SMALLEST_TEXT, side // 5), side - 6)
        self.draw.text(
            (box[0] + 3, box[1] + 1), words, (235, 235, 235), font_of(text),
            stroke_width=2, stroke_fill=(24, 24, 28),
        )  # fmt: skip

    def cell(self, row: int, column: int, colour: tuple[int, int, int], words: str) -> None:
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

"""Tables of numbers and of pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .sheet import SMALLEST_TEXT, Layout, Pictures, Sheet, layout_for
from .style import SEQUENTIAL, blend, short_number, text_size, theme_of


def matrix_chart(
    values: Tensor | NDArray[np.floating] | Sequence[Sequence[float]],
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    title: str,
    *,
    diverging: bool = True,
    theme: str = "dark",
    row_pictures: Pictures | None = None,
    column_pictures: Pictures | None = None,
) -> Image.Image:
    """A table of numbers as coloured cells: square, and together at most `LARGEST_TABLE`.

    Args:
        values: `(R, C)`, R, C >= 1. NaN leaves a cell empty.
        row_labels: R names.
        column_labels: C names, written upright where they are wider than a cell.
        title: written above; may be empty.
        diverging: True: zero is neutral, two colours for the two signs. False: dark to bright from
            0 (or the lowest value, if that is below 0) to the highest.
        theme: `dark` or `light`.
        row_pictures: R pictures `(3, H, W)` in [0, 1] that stand for the names, which become
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
    layout = layout_for(
        None if row_pictures is not None else row_labels,
        None if column_pictures is not None else column_labels,
        (len(row_labels), len(column_labels)),
        bool(title),
    )
    sheet = Sheet(layout, title, colours)
    sheet.rows(row_labels, row_pictures)
    sheet.columns(column_labels, column_pictures)
    largest = float(np.nanmax(np.abs(table), initial=0.0)) or 1.0
    lowest = min(0.0, float(np.nanmin(table, initial=0.0)))
    highest = max(float(np.nanmax(table, initial=lowest)), lowest)
    for row, column in np.ndindex(*table.shape):
        value = float(table[row, column])
        # What is nothing beside the largest would only be noise in many digits.
        words = short_number(value) if abs(value) >= 0.005 * largest else "0"
        if math.isnan(value):
            sheet.cell(row, column, colours.background, "-")
        elif diverging:
            share = (value / largest + 1) / 2
            sheet.cell(row, column, blend(colours.diverging, share), words)
        else:
            share = (value - lowest) / ((highest - lowest) or 1.0)
            sheet.cell(row, column, blend(SEQUENTIAL, share), words)
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
        rows: R >= 1 batches of pictures `(n, 3, H, W)` in [0, 1] (clamped); n may differ.
        row_labels: R names, or none at all.
        column_labels: a name for each picture of the longest row, or none at all.
        title: written above; may be empty.
        theme: `dark` or `light`.
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
    layout = Layout(
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
    sheet = Sheet(layout, title, colours)
    if row_labels:
        sheet.rows(row_labels, None)
    if column_labels:
        sheet.columns(column_labels, None)
    for number, row in enumerate(rows):
        for column, picture in enumerate(row):
            sheet.paste(layout.cell_box(number, column), picture)
    return sheet.picture

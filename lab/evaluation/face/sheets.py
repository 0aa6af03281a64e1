"""Contact sheets: rows of crops with a caption above each column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

_CAPTION = 14  # pixels


def contact_sheet(rows: Sequence[Tensor], captions: Sequence[str] = ()) -> Image.Image:
    """Pictures side by side.

    Args:
        rows: one tensor `(n, 3, S, S)` in [0, 1] per row of the sheet; values outside are clipped.
        captions: one for each column.
    """
    height, width = rows[0].shape[-2:]
    columns = max(len(row) for row in rows)
    sheet = Image.new("RGB", (columns * width, len(rows) * height + _CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for column, caption in enumerate(captions):
        draw.text((column * width + 3, 1), caption, fill="black")
    for r, row in enumerate(rows):
        pixels = (row.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)
        for c, picture in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
            sheet.paste(
                Image.fromarray(np.ascontiguousarray(picture)),
                (c * width, r * height + _CAPTION),
            )
    return sheet


def save_sheet(path: str | Path, rows: Sequence[Tensor], captions: Sequence[str] = ()) -> None:
    """Write a contact sheet; parent folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, captions).save(path)

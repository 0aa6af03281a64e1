"""Pictures that nodes show on themselves."""

from __future__ import annotations

import secrets
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..models.charts import to_image
from ..models.threads import in_background
from . import host


class Chart:
    """A node that shows a picture on itself."""

    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page


def stack_charts(*charts: Image.Image) -> Tensor:
    """Charts of one size as an IMAGE `(N, H, W, 3)`."""
    return torch.stack([to_image(chart) for chart in charts]).to(host.intermediate_device())


def preview(pictures: Tensor, stem: str, *texts: str) -> dict[str, list[Any]]:
    """What a node returns as `ui` to show pictures `(N, H, W, 3)`, and texts, on itself."""
    shown: dict[str, list[Any]] = {"images": [save_preview(picture, stem) for picture in pictures]}
    return {**shown, "text": list(texts)} if texts else shown


def save_preview(picture: Tensor, stem: str) -> dict[str, str]:
    """Save `(H, W, 3)` into the host's temp folder; returns what the canvas needs to show it."""
    folder = host.temp_directory()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stem}_{secrets.token_hex(8)}.png"
    pixels = (picture.clamp(0, 1) * 255).round().to("cpu", torch.uint8).numpy()
    in_background(lambda: Image.fromarray(pixels).save(folder / name, compress_level=1))
    return {"filename": name, "subfolder": "", "type": "temp"}

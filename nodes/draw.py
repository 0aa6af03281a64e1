"""Pictures that nodes show on themselves."""

from __future__ import annotations

import secrets
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..models.charts import to_image
from . import host


def save_preview(picture: Tensor, stem: str) -> dict[str, str]:
    """Save ``(H, W, 3)`` into the host's temp folder; returns what the canvas needs to show it."""
    folder = host.temp_directory()
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stem}_{secrets.token_hex(8)}.png"
    pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    Image.fromarray(pixels).save(folder / name, compress_level=1)
    return {"filename": name, "subfolder": "", "type": "temp"}


def shown(chart: Image.Image, stem: str, *others: object) -> dict[str, Any]:
    """What a node returns to show a chart on itself.

    Its first output is the chart as an IMAGE ``(1, H, W, 3)``, followed by `others`.
    """
    picture = to_image(chart)
    image = picture.unsqueeze(0).to(host.intermediate_device())
    return {"ui": {"images": [save_preview(picture, stem)]}, "result": (image, *others)}

"""A sheet of pictures that shows what the finder's networks say in training."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ....models.finder.net import DETECTOR_UNIT, FinderNet
from .feed import Feed
from .loss import cell_centres

LANDMARK_COLOURS = ("#00ff00", "#00c8ff", "#ffff00", "#ff00ff", "#ff8000")


def _picture(image: Tensor, side: int) -> Image.Image:
    array = (image.cpu().permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    return Image.fromarray(array).resize((side, side), Image.Resampling.BILINEAR)


def _mark(draw: ImageDraw.ImageDraw, points: Tensor, left: int, top: int, scale: float) -> None:
    for (x, y), colour in zip(points.tolist(), LANDMARK_COLOURS, strict=True):
        x, y = left + (x + 0.5) * scale, top + (y + 0.5) * scale
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour)


@torch.no_grad()
def draw_samples(net: FinderNet, feed: Feed, picture: Path) -> None:
    """What the networks say of training pictures: the detector's cells above 0.5, the refiner's
    points and scores, the polisher's points."""
    canvas = Image.new("RGB", (8 * 192, 3 * 192 + 4 * 128))
    draw = ImageDraw.Draw(canvas)
    if "close" in feed.buffers:
        crops, _ = feed.draw("close", 40)
        for index, (image, points) in enumerate(zip(crops, net.polisher(crops)[0], strict=True)):
            left, top = index % 8 * 192, index // 8 * 192
            canvas.paste(_picture(image, 192), (left, top))
            _mark(draw, points, left, top, 2.0)
        canvas.save(picture)
        return
    images = feed.draw("scenes", 24)[0]
    output = net.detector(images - 0.5).float()
    score = output[:, 0].sigmoid()
    cells = cell_centres(output.shape[-1], output.device)
    for index, image in enumerate(images):
        left, top = index % 8 * 192, index // 8 * 192
        canvas.paste(_picture(image, 192), (left, top))
        for row, column in (score[index] > 0.5).nonzero().tolist():
            offsets = output[index, 1:, row, column].reshape(5, 2) * DETECTOR_UNIT
            _mark(draw, offsets + cells[row, column], left, top, 1.5)
    crops, _, is_face = feed.draw("crops", 48)
    points, logits = net.refiner(crops)
    for index, image in enumerate(crops):
        left, top = index % 12 * 128, 576 + index // 12 * 128
        canvas.paste(_picture(image, 128), (left, top))
        shown = float(logits[index].sigmoid())
        if shown > 0.5:
            _mark(draw, points[index], left, top, 2.0)
        right = (shown > 0.5) == bool(is_face[index])
        draw.text((left + 4, top + 4), f"{shown:.2f}", fill="lime" if right else "red")
    canvas.save(picture)

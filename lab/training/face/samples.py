"""How training goes: figures on unseen faces, and a sheet of samples."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from ....models.architectures.face.net import RenderedFaceNet
from ....models.charts import picture_grid
from ....models.geometry.templates import TIGHT
from ....models.paste.mask import face_mask
from ...data.faces import FaceSet
from ...measures import psnr, sharpness
from .attribute_net import AttributeNet, as_values
from .directions import ATTRIBUTES

FULL_STRENGTH = 2.5  # moves a binary attribute from one end to the other
_REACHED = torch.tensor([2.0 if a.binary else 1.35 for a in ATTRIBUTES])  # half of the probability
FACE = face_mask(TIGHT.pixels(), TIGHT.size, TIGHT.size)  # where a change of the photo may show
_SHOWN = 8


@torch.no_grad()
def measure(
    net: RenderedFaceNet,
    directions: Tensor,
    reader: AttributeNet,
    faces: FaceSet,
    number: int = 100,
) -> dict[str, float]:
    """Fidelity, sharpness, and for each direction how many of the faces it carries to the other
    side at `FULL_STRENGTH`, and the largest mean change of another attribute."""
    device = directions.device
    crops, allowed = faces.floats(slice(0, number)).to(device), FACE.to(device)
    codes = net.encode(crops)
    drawn, framed = net.draw(codes), net.draw_unedited(codes)
    figures = {
        "psnr": float(psnr(drawn.clamp(0, 1), crops).mean()),
        "sharpness": float((sharpness(drawn) / sharpness(crops)).median()),
    }

    def read(pictures: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return as_values(reader(pictures.clamp(0, 1)).float())

    before = read(crops)
    sign = -torch.where(before == 0, 1.0, before.sign())
    for i, (attribute, vector) in enumerate(zip(ATTRIBUTES, directions, strict=True)):
        change = FULL_STRENGTH * sign[:, i : i + 1] * vector
        edited = net.apply_edit(crops, codes, codes + change, allowed, framed)
        moved = (read(edited) - before).abs()
        figures[attribute.name] = float((moved[:, i] >= float(_REACHED[i])).float().mean())
        moved[:, i] = 0
        figures[f"{attribute.name}_others"] = float(moved.mean(0)[: len(ATTRIBUTES)].max())
    return figures


@torch.no_grad()
def draw_samples(net: RenderedFaceNet, directions: Tensor, faces: FaceSet) -> Image.Image:
    """A sheet: unseen photos, their linear pictures, what is drawn, and every edit of the photo."""
    device = directions.device
    crops, allowed = faces.floats(slice(0, _SHOWN)).to(device), FACE.to(device)
    codes = net.encode(crops)
    framed = net.draw_unedited(codes)
    rows, names = [crops, net.linear_picture(codes), net.draw(codes)], ["photo", "linear", "drawn"]
    for attribute, vector in zip(ATTRIBUTES, directions, strict=True):
        for sign in (FULL_STRENGTH, -FULL_STRENGTH):
            rows.append(net.apply_edit(crops, codes, codes + sign * vector, allowed, framed))
            names.append(f"{attribute.name} {sign:+g}")
    columns = [str(i + 1) for i in range(len(crops))]
    return picture_grid([row.clamp(0, 1).cpu() for row in rows], names, columns, cell=128)

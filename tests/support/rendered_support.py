"""A small rendered model of random numbers, and a face data set of one photo."""

from __future__ import annotations

import csv
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from face_latents.models.architectures.face import file as rendered
from face_latents.models.architectures.face.net import RenderedFaceNet
from face_latents.models.architectures.face.renderer import Renderer
from face_latents.models.architectures.face.retoucher import Retoucher
from PIL import Image
from skimage import data

SIZE, COUNT, CONTROLS = 16, 6, 2


def random_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    """Every tensor of a file; its controls are neither light nor mouths."""
    generator = torch.Generator().manual_seed(seed)
    stored = (6, SIZE // 2, SIZE // 4)
    parity = torch.ones(COUNT, dtype=torch.int8)
    parity[1::2] = -1
    torch.manual_seed(seed)
    renderer = Renderer(context=4, controls=CONTROLS, wide=8, deep=16, fine=8, blocks=(1, 2, 1))
    torch.nn.init.normal_(renderer.leave.weight, std=0.1)
    torch.nn.init.normal_(renderer.tell.weight, std=0.1)
    weights = {f"renderer.{name}": t.half() for name, t in renderer.state_dict().items()}
    retoucher = Retoucher(CONTROLS, fine=8, wide=8, deep=16, blocks=1)
    torch.nn.init.normal_(retoucher.leave.weight, std=0.3)
    weights |= {f"retoucher.{name}": t.half() for name, t in retoucher.state_dict().items()}
    axis = torch.linspace(0, torch.pi, 32)
    bump = torch.sin(axis) * torch.sin(axis)[:, None]
    fields = torch.stack([torch.stack([0 * bump, bump]), torch.stack([bump, 0 * bump])]) / 50
    return {
        "control.fields": fields,
        "control.parity": torch.tensor([1, -1], dtype=torch.int8),
        "control.along": torch.zeros(CONTROLS, COUNT),
        "control.lights": torch.zeros(CONTROLS, dtype=torch.int8),
        "control.mouth": torch.zeros(2, CONTROLS),
        "control.open": torch.zeros(COUNT + 1),
        "linear.mean": torch.rand(stored, generator=generator),
        "linear.components": torch.randint(
            -127, 128, (COUNT, *stored), dtype=torch.int8, generator=generator
        ),
        "linear.step": torch.full((COUNT,), 0.001),
        "linear.parity": parity,
        "linear.std": torch.rand(COUNT, generator=generator) + 0.5,
        **weights,
    }


def without_retoucher(tensors: dict[str, torch.Tensor]) -> RenderedFaceNet:
    """The network as it is before its retoucher is trained."""
    net = rendered.load(tensors)
    net.retoucher = None
    return net


def codes(count: int = 3) -> torch.Tensor:
    return torch.randn(count, COUNT + CONTROLS, generator=torch.Generator().manual_seed(1))


def at_rest(count: int = 3) -> torch.Tensor:
    """The same codes with controls of 0."""
    return torch.cat([codes(count)[:, :COUNT], torch.zeros(count, CONTROLS)], 1)


def make_face_data(folder: Path) -> Path:
    """24 variants of one face as a data set of the published form: 16 train, 8 val."""
    folder.mkdir()
    photo = data.astronaut()[40:264, 110:334]
    points = np.array([[203.5, 99.5], [246.5, 104.0], [223, 126], [202.5, 140], [240, 144]])
    points = points - [110, 40]
    generator = np.random.default_rng(0)
    names = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
    rows = []
    with zipfile.ZipFile(folder / "faces-00.zip", "w") as archive:
        for i in range(24):
            gain = generator.uniform(0.6, 1.2, 3)
            shift = generator.normal(0, 2, (5, 2))
            buffer = BytesIO()
            Image.fromarray((photo * gain).clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
            archive.writestr(f"{i}.png", buffer.getvalue())
            row = {f"{n}_{a}": (points + shift)[k, j] for k, n in enumerate(names)
                   for j, a in enumerate("xy")}  # fmt: skip
            row |= {"name": f"{i}.png", "shard": "faces-00.zip", "tier": 1}
            row |= {"split": "train" if i < 16 else "val", "gender": ("male", "female")[i % 2]}
            row |= {"age_bin": ("20-29", "40-49", "60-69")[i % 3]}
            for column in ("smile", "glasses", "beard", "mouth_open", "brightness"):
                row[column] = round(float(generator.uniform()), 3)
            for column in ("light_left_right", "yaw_proxy"):
                row[column] = round(float(generator.normal(0, 0.1)), 3)
            row["contrast"] = round(float(generator.uniform(20, 60)), 3)
            rows.append(row)
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder

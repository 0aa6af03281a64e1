"""Folders like those of the face data, small, their photos drawn by a face model."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from face_latents.lab.data.faces import AGE_BINS
from face_latents.models.face_model import FaceModel
from face_latents.models.geometry.templates import LANDMARK_NAMES
from PIL import Image
from torch import Tensor

NUMBERS = {"smile": 0.8, "glasses": 0.1, "beard": 0.2, "mouth_open": 0.6, "yaw_proxy": 0.05}
# Split, person, expression.
PEOPLE = (
    ("train", "1", "neutral"), ("train", "1", "smiling"), ("train", "2", "neutral"),
    ("train", "2", "smiling"), ("val", "3", "neutral"), ("val", "3", "smiling"), ("val", "", ""),
)  # fmt: skip


def draw_faces(model: FaceModel, codes: Tensor) -> Tensor:
    """Decodes `(N, 3, S, S)` in [0, 1]."""
    with torch.no_grad():
        return model.decode(codes).clamp(0, 1)


def make_faces(folder: Path, model: FaceModel, train: int, val: int) -> None:
    """A table of faces with labels and five landmarks, and their archive."""
    pictures = draw_faces(model, 0.6 * model.sample(train + val, seed=3))
    points = model.template.pixels().tolist()
    rows = []
    for i in range(train + val):
        row = {"name": f"{i}.png", "shard": "faces-00.zip", "tier": "1"}
        row["split"] = "val" if i < val else "train"
        row["age_bin"], row["gender"] = AGE_BINS[i % 6], ("female", "male")[i % 2]
        row.update({name: str(value * (i % 3) / 2) for name, value in NUMBERS.items()})
        for name, point in zip(LANDMARK_NAMES, points, strict=True):
            row[f"{name}_x"], row[f"{name}_y"] = (str(value) for value in point)
        rows.append(row)
    _write(folder, "faces-00.zip", pictures, rows)


def make_people(folder: Path, model: FaceModel) -> None:
    """Photos of people, neutral and smiling, with the model's own points as dense landmarks."""
    codes = 0.5 * model.sample(3, seed=5)
    codes = torch.stack([codes[int(person or 3) - 1] for _, person, _ in PEOPLE])
    smiles = torch.tensor([float(expression == "smiling") for _, _, expression in PEOPLE])
    codes = codes + 2 * smiles[:, None] * model.directions["smile"].vector
    rows = [
        {
            "name": f"{i}.png", "shard": "sharp-00.zip", "split": split, "person": person,
            "expression": expression, "generator": "",
        }
        for i, (split, person, expression) in enumerate(PEOPLE)
    ]  # fmt: skip
    _write(folder, "sharp-00.zip", draw_faces(model, codes), rows)
    points = model.module.points(codes)
    pixels = (points + torch.tensor([0.5, 0.5, 0.0])) * model.template.size
    np.savez(folder / "landmarks.npz", landmarks=(pixels * 16).round().short().numpy())


def _write(folder: Path, archive: str, pictures: Tensor, rows: Sequence[dict[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / archive, "w") as file:
        for picture, row in zip(pictures, rows, strict=True):
            stream = io.BytesIO()
            pixels = (picture.permute(1, 2, 0) * 255).round().to(torch.uint8)
            Image.fromarray(pixels.numpy()).save(stream, "PNG")
            file.writestr(row["name"], stream.getvalue())
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, rows[0])
        writer.writeheader()
        writer.writerows(rows)

"""A small face model of smooth random numbers, and sets of drawn faces with dense landmarks.

Only where the points of a face lie is taken from the bundled model, whatever else it holds.
"""

from __future__ import annotations

import csv
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from face_latents.lab.training.face.linear import fit_linear
from face_latents.models.architectures.face import file as face_file
from face_latents.models.architectures.face.mouth import MouthPainter
from face_latents.models.architectures.face.net import FaceShapeAppearanceNet
from face_latents.models.architectures.face.points import (
    INNER_LIPS,
    LEFT_EYE,
    OVAL,
    RIGHT_EYE,
    RIGID,
)
from face_latents.models.architectures.face.pose import place
from face_latents.models.architectures.face.renderer import Renderer
from face_latents.models.face_model import FaceModel, bundled_face_model_path
from face_latents.models.files.tensors import load_tensors
from face_latents.models.finder.dense_landmarks import FIVE, load_dense_landmarks
from face_latents.models.finder.landmarks_net import POINTS
from face_latents.models.geometry.templates import WIDE
from face_latents.models.space import LatentSpace
from PIL import Image, ImageDraw
from torch import Tensor

SIZE, SHAPES, LOOKS = 32, 6, 8
COUNT = 6 + SHAPES + LOOKS
SCORES = (
    "_neutral", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "eyeBlinkLeft",
    "eyeBlinkRight", "jawOpen", "mouthLeft", "mouthRight", "mouthRollLower", "mouthRollUpper",
)  # fmt: skip
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@cache
def geometry() -> dict[str, Tensor]:
    """`canon` and `shape.mean` `(478, 3)`, `triangles`, and `order` `(478,)` when mirrored."""
    tensors, _ = load_tensors(bundled_face_model_path())
    kept = {name: tensors[name] for name in ("canon", "triangles", "shape.mean")}
    return kept | {"order": load_dense_landmarks().mirrored}


def smooth_fields(count: int, seed: int) -> Tensor:
    """Smooth functions of the place on a face, `(count, 478, 3)`, 0 at its rigid points."""
    generator = torch.Generator().manual_seed(seed)
    mean, order = geometry()["shape.mean"], geometry()["order"]
    waves = 4 * torch.randn(count, 2, 3, generator=generator)
    phase = 6 * torch.rand(count, 1, 3, generator=generator)
    rigid = torch.tensor(RIGID)
    rigid = torch.cat([rigid, order[rigid]])
    far = torch.cdist(mean, mean[rigid]).amin(1, keepdim=True)
    far[rigid] = 0
    return (mean[:, :2] @ waves + phase).sin() * (1 - (-(far / 0.08).square()).exp())


def shape_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Of a basis whose changes leave the rigid points alone, so that poses are known exactly."""
    order, rows = geometry()["order"], []
    for parity in (1, -1):
        fields = smooth_fields(SHAPES // 2, seed + parity + 1)
        half = fields + parity * fields[:, order] * MIRROR
        rows.append(torch.linalg.qr(half.flatten(1).T).Q.T.reshape(-1, POINTS, 3))
    sign = torch.tensor([1, -1], dtype=torch.int8)
    return {
        "shape.mean": geometry()["shape.mean"],
        "shape.basis": torch.cat(rows).contiguous(),
        "shape.std": torch.linspace(0.25, 0.15, SHAPES),
        "shape.parity": sign.repeat_interleave(SHAPES // 2),
        "shape.pose_mean": torch.tensor([0.0, 2.0, 0.0, 0.0, 0.01, 0.0]),
        "shape.pose_std": torch.tensor([8.0, 5.0, 3.0, 0.01, 0.01, 0.05]),
    }


def random_tensors(seed: int = 0, drawn: float = 0.1) -> dict[str, Tensor]:
    """Every tensor of a file.

    Args:
        seed: of what is random.
        drawn: how much renderer and painter add; 0: nothing, and mirrored codes give mirrored
            pictures.
    """
    torch.manual_seed(seed)
    half = SIZE // 2
    coarse = torch.rand(24, 3, 4, 4) * 160 + 48
    soft = F.interpolate(coarse, (half, half), mode="bicubic", align_corners=False)
    looks = fit_linear(soft.round().clamp(0, 255).to(torch.uint8), LOOKS, seed=seed)
    renderer = Renderer(SIZE, 8, 8, 4)
    torch.nn.init.normal_(renderer.leave.weight, std=drawn)
    painter = MouthPainter(SIZE, 8)
    torch.nn.init.normal_(painter.leave.weight, std=drawn)
    torch.nn.init.zeros_(painter.leave.bias)
    return {
        "canon": geometry()["canon"],
        "triangles": geometry()["triangles"],
        **shape_tensors(seed),
        **{f"appearance.{name.removeprefix('linear.')}": t for name, t in looks.items()},
        **{f"renderer.{name}": t.half() for name, t in renderer.state_dict().items()},
        **{f"painter.{name}": t.half() for name, t in painter.state_dict().items()},
    }


def small_net(seed: int = 0, drawn: float = 0.0) -> FaceShapeAppearanceNet:
    """The network of `random_tensors`."""
    return face_file.load(random_tensors(seed, drawn))


def face_model_of(net: FaceShapeAppearanceNet) -> FaceModel:
    """The model of a network, without directions."""
    able = net.capabilities()
    space = LatentSpace("z", net.code_shape, "f" * 16, able.code_mean, able.code_std)
    return FaceModel(net, able, space, WIDE.resized(net.size), {}, {}, "small face")


def random_codes(count: int = 3, seed: int = 1, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(count, COUNT, generator=torch.Generator().manual_seed(seed))


def random_faces(count: int, seed: int = 0) -> Tensor:
    """Points of faces `(count, 478, 3)`, in shares of the crop's side: varied shapes and poses."""
    generator = torch.Generator().manual_seed(seed)
    shapes = geometry()["shape.mean"] + 0.01 * smooth_fields(count, seed)
    gap = 0.06 * torch.rand(count, 1, generator=generator).round()  # every second mouth is open
    shapes[:, [14, 87, 317, 178, 402], 1] += gap
    pose = torch.randn(count, 6, generator=generator)
    return place(shapes, pose * torch.tensor([8.0, 5.0, 4.0, 0.01, 0.01, 0.05]))


def draw_face(points: Tensor, side: int, tone: tuple[int, int, int]) -> Image.Image:
    """A face of flat colours whose points `(478, 3)` are in pixels."""
    picture = Image.new("RGB", (side, side), (90, 110, 140))
    draw = ImageDraw.Draw(picture)
    parts = (
        (OVAL, tone),
        (LEFT_EYE, (235,) * 3),
        (RIGHT_EYE, (235,) * 3),
        (INNER_LIPS, (90, 20, 25)),
    )
    for contour, colour in parts:
        draw.polygon([tuple(xy) for xy in points[list(contour), :2].tolist()], fill=colour)
    for x, y in points[[468, 473], :2].tolist():
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(40, 25, 15))
    return picture


def make_face_sets(folder: Path, train: int = 16, val: int = 4) -> Path:
    """Drawn faces in the form of the published sets: `faces`, `portraits_context` and `sharp`."""
    for seed, (name, parts) in enumerate(
        {"faces": 64, "portraits_context": 64, "sharp": 16}.items()
    ):
        _make_set(folder / name, train, val, parts, seed)
    return folder


def _make_set(folder: Path, train: int, val: int, parts: int, seed: int) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    count, side, shard = train + val, 96, f"{folder.name}.zip"
    pixels = random_faces(count, seed) * 110 + torch.tensor([side / 2, side / 2 + 4, 0.0])
    rows = []
    with zipfile.ZipFile(folder / shard, "w") as archive:
        for i in range(count):
            tone = tuple(int(v) for v in np.array([200, 150, 120]) * generator.uniform(0.5, 1.2))
            buffer = BytesIO()
            draw_face(pixels[i], side, tone).save(buffer, "PNG")
            archive.writestr(f"{folder.name}_{i}.png", buffer.getvalue())
            rows.append(_row(folder.name, i, generator) | {
                "shard": shard, "split": "train" if i < train else "val",
            })  # fmt: skip
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    counted = (pixels * parts).round().short().numpy()
    found = {} if folder.name == "sharp" else {
        "found": np.ones(count, bool), "eye_gap": np.full(count, 0.05, np.float16),
    }  # fmt: skip
    scores = {
        "names": np.array([row["name"] for row in rows]),
        "blendshapes": generator.integers(0, 256, (count, len(SCORES)), dtype=np.uint8),
        "blendshape_names": np.array(SCORES),
    }
    np.savez(folder / "landmarks-00.npz", landmarks=counted, **found, **scores)


def _row(kind: str, i: int, generator: np.random.Generator) -> dict[str, object]:
    """What the tables say of a face; pairs of sharp ones are one person, neutral and smiling."""
    row: dict[str, object] = {"name": f"{kind}_{i}.png", "gender": ("male", "female")[i % 2]}
    row["age_bin"] = ("20-29", "40-49", "60-69")[i % 3]
    row["person"] = str(i // 2) if kind == "sharp" else ""
    row["expression"] = ("neutral", "smiling")[i % 2]
    row["generator"] = ""
    for column in ("smile", "mouth_open", "brightness", "sharpness_pct"):
        row[column] = round(float(generator.uniform()), 3)
    row["mouth_open"] = (0.95, 0.1)[i % 2]
    for column in ("glasses", "beard"):
        row[column] = (1.0, 0.0, 0.05)[(i + len(column)) % 3]
    row["light_left_right"] = round(float(generator.normal(0, 0.1)), 3)
    row["contrast"] = round(float(generator.uniform(20, 60)), 3)
    return row


def five_of(points: Tensor) -> Tensor:
    """The landmarks of an alignment template, `(..., 5, 2)`."""
    return points[..., list(FIVE), :2]

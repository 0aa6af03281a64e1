"""The attribute judge: reads attributes off pixels, to say whether an edit worked.

A small convolutional network on 64 px pictures. It uses none of the face model's codes, shares
neither weights nor layers with the network that teaches the renderer
(`training/attribute_net.py`), is fitted to real crops only (with the same labels as the
directions, whose errors it therefore shares, but for mouths: `training/mouths.py`), and takes no
part in training or editing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..light import luminance, weighted_deviation, weighted_mean
from ..paste_mask import face_mask
from ..safefile import TensorSpec, load_tensors, save_tensors
from ..safeheader import FLOAT_DTYPES
from ..templates import TIGHT
from ..training.directions import ATTRIBUTES, held_out, label
from ..training.face_data import ATTRIBUTION, FaceSet, load_faces
from ..training.mouths import open_mouths, seen_mouths

PROBABILITIES = ("smile", "glasses", "beard", "mouth_open", "gender_expression")
AGE_GROUPS = (40.0, 60.0)  # years that part young, middle and old
OUTPUTS = (*PROBABILITIES, "age", "head_turn")
INPUT_SIZE = 64  # pixels
_WIDTHS = (24, 48, 80, 96)
_LAST = 64
_AGE_MEAN, _AGE_SCALE, _TURN_SCALE = 38.0, 13.0, 0.12
_MIRRORED = torch.tensor([1.0] * (len(OUTPUTS) - 1) + [-1.0])  # what mirroring a face does


class Judge(nn.Module):
    """Strided 3x3 convolutions, from 16x16 on each with one more that is added to its input, and a
    linear layer over the last 4x4 places with 7 outputs, see `OUTPUTS`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _layer(3, _WIDTHS[0], 2)
        self.strided = nn.ModuleList()
        self.added = nn.ModuleList()
        before = _WIDTHS[0]
        for width in _WIDTHS[1:]:
            self.strided.append(_layer(before, width, 2))
            self.added.append(_layer(width, width, 1))
            before = width
        self.narrow = nn.Sequential(nn.Conv2d(before, _LAST, 1, bias=False), nn.BatchNorm2d(_LAST))
        self.head = nn.Linear(_LAST * (INPUT_SIZE >> len(_WIDTHS)) ** 2, len(OUTPUTS))

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, 3, S, S)` in [0, 1] to logits and standardised values `(B, 7)`.

        Every picture is brought to mean 0 and deviation 1, so that light alone says nothing.
        """
        x = small(crops)
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)
        x = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        for strided, added in zip(self.strided, self.added, strict=True):
            x = F.relu(strided(x))
            x = x + F.relu(added(x))
        x = F.relu(self.narrow(x)).flatten(1).float()
        return self.head(F.dropout(x, 0.4, self.training))


def _layer(before: int, after: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def small(crops: Tensor) -> Tensor:
    """Crops as the judge looks at them: float32 in [0, 1], 64 px, by averaging."""
    crops = crops.float().clamp(0, 1)
    if crops.shape[-1] == INPUT_SIZE:
        return crops
    return F.interpolate(crops, size=(INPUT_SIZE, INPUT_SIZE), mode="area")


def read(judge: Judge, crops: Tensor, batch: int = 256) -> dict[str, Tensor]:
    """Every attribute of `(B, 3, S, S)` crops, `(B,)` each.

    Probabilities for `PROBABILITIES`, years for age, the table's unit for head_turn, and, measured
    on the pixels of the face, brightness, contrast and light_left_right. The network looks
    at each face and at its mirror image.
    """
    with torch.no_grad():
        parts = [small(part) for part in crops.split(batch)]
        raw = torch.cat([(judge(x) + judge(x.flip(-1)) * _MIRRORED) / 2 for x in parts])
    result = {name: raw[:, i].sigmoid() for i, name in enumerate(PROBABILITIES)}
    result["age"] = raw[:, len(PROBABILITIES)] * _AGE_SCALE + _AGE_MEAN
    result["head_turn"] = raw[:, len(PROBABILITIES) + 1] * _TURN_SCALE
    result.update(measure_light(crops))
    return result


def measure_light(crops: Tensor) -> dict[str, Tensor]:
    """Mean luminance, its standard deviation in grey levels, and how it differs left to right.

    Measured on the oval of the face, where an edit of a photo may act, weighted as it is there.
    """
    side = crops.shape[-1]
    weight = face_mask(TIGHT.resized(side).pixels(), side, side)
    values = luminance(crops.float().clamp(0, 1))[:, 0]

    left, right = (
        weighted_mean(v, w)
        for v, w in zip(values.chunk(2, dim=-1), weight.chunk(2, dim=-1), strict=True)
    )
    return {
        "brightness": weighted_mean(values, weight),
        "contrast": weighted_deviation(values, weight) * 255,
        "light_left_right": (right - left) / (right + left).clamp(min=1e-6),
    }


def age_group(years: Tensor) -> Tensor:
    """0, 1 or 2 for young, middle and old."""
    return torch.bucketize(years, torch.tensor(AGE_GROUPS))


def targets(faces: FaceSet) -> Tensor:
    """What the network is trained to say, `(N, 7)`; NaN where that is not known."""
    named = {attribute.name: attribute for attribute in ATTRIBUTES}
    columns = [
        open_mouths(faces) if name == "mouth_open" else label(faces, named[name])
        for name in PROBABILITIES
    ]
    years, turn = (label(faces, named[name]) for name in OUTPUTS[len(PROBABILITIES) :])
    columns.append((years - _AGE_MEAN) / _AGE_SCALE)
    columns.append(turn / _TURN_SCALE)
    return torch.stack(columns, 1)


def judge_loss(outputs: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy of the probabilities, where they are known, and squared error of the values,
    `(B, 7)` to a number."""
    count = len(PROBABILITIES)
    chances, known = wanted[:, :count], wanted[:, :count].isfinite()
    said = F.binary_cross_entropy_with_logits(
        outputs[:, :count], torch.where(known, chances, 0.5), reduction="none"
    )
    return (said * known).mean() + 0.5 * F.mse_loss(outputs[:, count:], wanted[:, count:])


def train_judge(
    faces: FaceSet,
    *,
    steps: int = 8000,
    batch: int = 64,
    rate: float = 4e-3,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Judge:
    """Train on real crops: mirrored, moved, blurred as decoded pictures are, noisy, in other light.

    Args:
        faces: the training split.
        steps: of the optimiser.
        batch: faces a step.
        rate: highest learning rate.
        seed: of weights and disturbances.
        progress: called with (stage, done, total).
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    wanted = targets(faces)
    parts = torch.arange(len(faces)).split(512)
    crops = torch.cat([(small(faces.floats(p)) * 255).round().to(torch.uint8) for p in parts])
    judge = Judge().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(judge.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps, pct_start=0.15)
    order = torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(faces), generator=generator)
        index, order = order[:batch], order[batch:]
        x, y = crops[index].float() / 255, wanted[index]
        if step % 2:
            x, y = x.flip(-1), y * _MIRRORED
        with torch.autocast("cpu", torch.bfloat16):
            outputs = judge(disturbed(x, generator))
        loss = judge_loss(outputs.float(), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            progress(f"judge: loss {loss.item():.3f}", step, steps)
    return judge.eval()


def disturbed(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Crops `(B, 3, S, S)` as they may come out of an edit: turned by up to 4 degrees, scaled by
    5% and moved by 4%, up to three quarters of them blurred, noisy, in other light."""
    number = len(crops)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(number, *shape, generator=generator)

    turn, scale = between(-4, 4) * math.pi / 180, between(0.95, 1.05)
    shift = between(-0.08, 0.08, 2)
    rows = [scale * turn.cos(), -turn.sin(), shift[:, 0], turn.sin(), scale * turn.cos()]
    placement = torch.stack([*rows, shift[:, 1]], 1).view(number, 2, 3)
    grid = F.affine_grid(placement, list(crops.shape), align_corners=False)
    x = F.grid_sample(crops, grid, padding_mode="reflection", align_corners=False)
    size = crops.shape[-1]
    level = int(torch.randint(size // 3, size, (1,), generator=generator))
    coarse = F.interpolate(x, size=(level, level), mode="area")
    soft = F.interpolate(coarse, size=(size, size), mode="bilinear")
    x = torch.lerp(x, soft, between(-0.5, 1.5, 1, 1, 1).clamp(0, 1))
    light = between(-0.25, 0.25, 1, 1, 1) * torch.linspace(-1, 1, size)
    gain = between(0.9, 1.1, 3, 1, 1) * between(0.7, 1.3, 1, 1, 1) * (1 + light)
    noise = between(0, 0.05, 1, 1, 1) * torch.randn(x.shape, generator=generator)
    return (x * gain + noise).clamp(0, 1)


def make_judge(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    steps: int = 8000,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, str]:
    """Train a judge on the training faces, measure it on the others, and write it to a file.

    Returns:
        The file's metadata.
    """
    train = load_faces(data_dir, "train", cache_dir=cache_dir)
    judge = train_judge(train, steps=steps, seed=seed, progress=progress)
    held = load_faces(data_dir, "val", cache_dir=cache_dir)
    metadata = judge_metadata(judge, held, len(train))
    save_judge(out_file, judge, metadata)
    return metadata


def judge_metadata(judge: Judge, faces: FaceSet, trained_on: int) -> dict[str, str]:
    """What a judge was fitted to, and how well it reads faces it has not seen."""
    readings, wanted = read(judge, faces.floats()), targets(faces)
    figures = {}
    for i, name in enumerate(OUTPUTS):
        known = wanted[:, i].isfinite()
        binary = name in PROBABILITIES
        figures[name] = round(held_out(readings[name][known], wanted[known, i], binary), 3)
    return {
        "name": "Attribute judge",
        "licence": "MIT for the weights; training images CC BY 4.0, see attribution",
        "attribution": ATTRIBUTION,
        "training_data": f"{trained_on} aligned FairFace adults, mirrored, moved, blurred, noisy",
        "intended_use": "Measuring edits of the face model only.",
        "metrics": json.dumps(
            {
                "auc_or_correlation": figures,
                "val_faces": len(faces),
                "mouths_seen": _mouths_seen(readings["mouth_open"], faces),
            }
        ),
    }


def _mouths_seen(chances: Tensor, faces: FaceSet) -> dict[str, dict[str, float]]:
    """How well mouths are read whose label says little, beside what was seen, by smile."""
    seen, smiling = seen_mouths(faces), faces.column("smile") > 0.5
    figures = {}
    for group, chosen in (("no smile", ~smiling), ("smile", smiling)):
        index = (chosen & seen.isfinite()).nonzero()[:, 0]
        chance, truth = chances[index], seen[index]
        figures[group] = {
            "open": int(truth.sum()),
            "closed": len(index) - int(truth.sum()),
            "auc": round(held_out(chance, truth, True), 3),
            "accuracy": round(float(((chance > 0.5) == (truth > 0.5)).float().mean()), 3),
        }
    return figures


def save_judge(path: str | Path, judge: Judge, metadata: dict[str, str]) -> None:
    """Write a judge as float16."""
    tensors = {
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in judge.state_dict().items()
    }
    save_tensors(path, tensors, metadata)


def load_judge(path: str | Path | None = None) -> Judge:
    """Load a judge; None loads the bundled one.

    Raises:
        UnsupportedModelError: the file is not a judge.
    """
    path = Path(path) if path is not None else bundled_judge_path()
    judge = Judge()
    expect = {
        name: TensorSpec(tuple(t.shape), FLOAT_DTYPES if t.is_floating_point() else ("I64",))
        for name, t in judge.state_dict().items()
    }
    tensors, _ = load_tensors(path, expect=expect)
    judge.load_state_dict(
        {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    )
    return judge.eval()


def bundled_judge_path() -> Path:
    """The judge that ships with the package."""
    return Path(__file__).parent.parent / "bundled" / "judge.safetensors"

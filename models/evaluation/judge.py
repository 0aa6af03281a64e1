"""The attribute judge: reads attributes off pixels, to say whether an edit worked.

Logistic and linear regression on fixed, untrained features: histograms of gradient orientation
and a coarse colour picture. It uses none of the face model's codes, is fitted to real crops only
(with the same labels as the directions, whose errors it therefore shares), and takes no part in
editing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..safefile import TensorSpec, load_tensors, save_tensors
from ..safeheader import FLOAT_DTYPES
from ..training.directions import AGE_YEARS, held_out
from ..training.face_data import ATTRIBUTION, FaceSet, load_faces
from .face_measures import gradient_descriptor, luminance

PROBABILITIES = ("smile", "glasses", "beard", "mouth_open", "gender_expression")
AGE_GROUPS = (40.0, 60.0)  # years that part young, middle and old
OUTPUTS = (*PROBABILITIES, "age", "head_turn")
_COARSE = 16 * 16 + 2 * 8 * 8  # features that are luminance and colour
_AGE_MEAN, _AGE_SCALE, _TURN_SCALE = 38.0, 13.0, 0.12


class Judge(nn.Module):
    """Standardised features and one linear layer with 7 outputs, see `OUTPUTS`."""

    center: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        count = features(torch.zeros(1, 3, 128, 128)).shape[1]
        self.register_buffer("center", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.head = nn.Linear(count, len(OUTPUTS))

    def forward(self, crops: Tensor) -> Tensor:
        """`(B, 3, 128, 128)` in [0, 1] to logits and standardised values `(B, 7)`."""
        return self.head((features(crops) - self.center) / self.scale)


def descriptor_of(seen: Tensor) -> Tensor:
    """The gradient descriptor within features `(B, F)`: unit length, tells people apart."""
    return F.normalize(seen[:, :-_COARSE], dim=1)


def features(crops: Tensor) -> Tensor:
    """What the judge looks at, `(B, F)`: gradient histograms, coarse luminance and colour."""
    crops = crops.clamp(0, 1)
    small = F.interpolate(crops, size=(16, 16), mode="area")
    light = luminance(small)
    light = light - light.mean((2, 3), keepdim=True)
    light = light / (light.square().mean((2, 3), keepdim=True).sqrt() + 0.02)
    colour = F.avg_pool2d(small, 2)
    colour = colour[:, [0, 2]] - colour[:, 1:2]
    return torch.cat([30 * gradient_descriptor(crops), light.flatten(1), colour.flatten(1)], 1)


def read(
    judge: Judge, crops: Tensor, seen: Tensor | None = None, batch: int = 256
) -> dict[str, Tensor]:
    """Every attribute of `(B, 3, S, S)` crops, `(B,)` each; `seen` are their features if known.

    Probabilities for `PROBABILITIES`, years for age, the table's unit for head_turn, and, measured
    on the pixels of the whole crop, brightness, contrast and light_left_right.
    """
    with torch.no_grad():
        if seen is None:
            seen = torch.cat([features(part) for part in crops.float().split(batch)])
        raw = judge.head((seen - judge.center) / judge.scale)
    result = {name: raw[:, i].sigmoid() for i, name in enumerate(PROBABILITIES)}
    result["age"] = raw[:, len(PROBABILITIES)] * _AGE_SCALE + _AGE_MEAN
    result["head_turn"] = raw[:, len(PROBABILITIES) + 1] * _TURN_SCALE
    result.update(measure_light(crops))
    return result


def measure_light(crops: Tensor) -> dict[str, Tensor]:
    """Mean luminance, its standard deviation in grey levels, and how it differs left to right."""
    weights = crops.new_tensor([0.299, 0.587, 0.114])[:, None, None]
    luminance = (crops.float().clamp(0, 1) * weights).sum(1)
    left, right = (half.mean((1, 2)) for half in luminance.chunk(2, dim=-1))
    return {
        "brightness": luminance.mean((1, 2)),
        "contrast": luminance.flatten(1).std(1) * 255,
        "light_left_right": (right - left) / (right + left).clamp(min=1e-6),
    }


def age_group(years: Tensor) -> Tensor:
    """0, 1 or 2 for young, middle and old."""
    return torch.bucketize(years, torch.tensor(AGE_GROUPS))


def targets(faces: FaceSet) -> Tensor:
    """What the network is trained to say, `(N, 7)`."""
    columns = [faces.column(name) for name in ("smile", "glasses", "beard", "mouth_open")]
    columns.append(torch.tensor([float(row["gender"] == "male") for row in faces.rows]))
    years = torch.tensor([AGE_YEARS[row["age_bin"]] for row in faces.rows])
    columns.append((years - _AGE_MEAN) / _AGE_SCALE)
    columns.append(faces.column("yaw_proxy") / _TURN_SCALE)
    return torch.stack(columns, 1)


def train_judge(
    faces: FaceSet,
    *,
    iterations: int = 80,
    penalty: float = 2e-3,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Judge:
    """Fit to real crops, plain and mirrored, and blurred as decoded pictures are.

    Args:
        faces: the training split, crops of 128 px.
        iterations: of L-BFGS.
        penalty: on the squared weights of the standardised features.
        progress: called with (stage, done, total).
    """
    count = len(PROBABILITIES)
    wanted = targets(faces)
    mirrored = wanted.clone()
    mirrored[:, -1] *= -1
    rows, y = [], []
    for start in range(0, len(faces), 256):
        part = slice(start, start + 256)
        crops = faces.floats(part)
        flip = start % 512 == 0  # mirror every other blurred batch
        blurred = _blurred(crops.flip(-1) if flip else crops)
        for copy, target in (
            (crops, wanted[part]),
            (crops.flip(-1), mirrored[part]),
            (blurred, (mirrored if flip else wanted)[part]),
        ):
            rows.append(features(copy))
            y.append(target)
        progress("judge features", start, len(faces))
    x, target = torch.cat(rows), torch.cat(y)
    judge = Judge()
    judge.center.copy_(x.mean(0))
    judge.scale.copy_(x.std(0) + 1e-3)
    x = (x - judge.center) / judge.scale
    nn.init.zeros_(judge.head.weight)
    nn.init.zeros_(judge.head.bias)
    optimiser = torch.optim.LBFGS(
        judge.head.parameters(), max_iter=iterations, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        optimiser.zero_grad()
        raw = judge.head(x)
        value = F.binary_cross_entropy_with_logits(raw[:, :count], target[:, :count])
        value = value + 0.5 * F.mse_loss(raw[:, count:], target[:, count:])
        value = value + penalty * judge.head.weight.square().sum()
        value.backward()
        return value.item()

    progress("judge fit", 0, 1)
    optimiser.step(loss)
    return judge.eval()


def _blurred(crops: Tensor) -> Tensor:
    half = F.avg_pool2d(crops, 3, stride=2, padding=1, count_include_pad=False)
    return F.interpolate(half, size=crops.shape[-2:], mode="bilinear", align_corners=False)


def make_judge(
    data_dir: str | Path,
    out_file: str | Path,
    *,
    cache_dir: str | Path | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Judge:
    """Train a judge on the training faces, measure it on the others, and write it to a file."""
    train = load_faces(data_dir, "train", cache_dir=cache_dir)
    judge = train_judge(train, progress=progress)
    held = load_faces(data_dir, "val", cache_dir=cache_dir)
    save_judge(out_file, judge, judge_metadata(judge, held, len(train)))
    return judge


def judge_metadata(judge: Judge, faces: FaceSet, trained_on: int) -> dict[str, str]:
    """What a judge was fitted to, and how well it reads faces it has not seen."""
    readings, wanted = read(judge, faces.floats()), targets(faces)
    figures = {}
    for i, name in enumerate(PROBABILITIES):
        figures[name] = round(held_out(readings[name], wanted[:, i], True), 3)
    for i, name in enumerate(("age", "head_turn"), start=len(PROBABILITIES)):
        figures[name] = round(held_out(readings[name], wanted[:, i], False), 3)
    return {
        "name": "Attribute judge",
        "licence": "MIT for the weights; training images CC BY 4.0, see attribution",
        "attribution": ATTRIBUTION,
        "training_data": f"{trained_on} aligned FairFace adults, plain, mirrored and blurred",
        "intended_use": "Measuring edits of the face model only.",
        "metrics": json.dumps({"auc_or_correlation": figures, "val_faces": len(faces)}),
    }


def save_judge(path: str | Path, judge: Judge, metadata: dict[str, str]) -> None:
    """Write a judge as float16."""
    tensors = {
        name: tensor.half() if tensor.is_floating_point() else tensor
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

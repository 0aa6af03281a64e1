"""The attribute judge: reads attributes off pixels, to say whether an edit worked.

A small convolutional network on 64 px pictures. It uses none of the face model's codes, is fitted
to real crops only, and takes no part in training or editing the face model.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bundled import bundled_file
from .files.header import FLOAT_DTYPES
from .files.tensors import TensorSpec, load_tensors, save_tensors
from .geometry.templates import TIGHT, AlignmentTemplate
from .imaging.align import reframe
from .imaging.light import luminance, weighted_deviation, weighted_mean
from .paste.mask import face_mask

PROBABILITIES = ("smile", "glasses", "beard", "mouth_open", "gender_expression")
AGE_GROUPS = (40.0, 60.0)  # years that part young, middle and old
OUTPUTS = (*PROBABILITIES, "age", "head_turn")
INPUT_SIZE = 64  # pixels
_WIDTHS = (24, 48, 80, 96)
_LAST = 64
AGE_MEAN, AGE_SCALE, TURN_SCALE = 38.0, 13.0, 0.12
MIRRORED = torch.tensor([1.0] * (len(OUTPUTS) - 1) + [-1.0])  # what mirroring a face does


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
        x = shrink(crops)
        x = x - x.mean((1, 2, 3), keepdim=True)
        x = x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 0.02)
        x = F.relu(self.first(x.contiguous(memory_format=torch.channels_last)))
        for strided, added in zip(self.strided, self.added, strict=True):
            x = F.relu(strided(x))
            x = x + F.relu(added(x))
        x = F.relu(self.narrow(x)).flatten(1).float()
        scores: Tensor = self.head(F.dropout(x, 0.4, self.training))
        return scores


def _layer(before: int, after: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def shrink(crops: Tensor) -> Tensor:
    """Shrink crops to what the judge looks at: float32 in [0, 1], 64 px, by averaging."""
    crops = crops.float().clamp(0, 1)
    if crops.shape[-1] == INPUT_SIZE:
        return crops
    return F.interpolate(crops, size=(INPUT_SIZE, INPUT_SIZE), mode="area")


def read(
    judge: Judge, crops: Tensor, template: AlignmentTemplate = TIGHT, batch: int = 256
) -> dict[str, Tensor]:
    """Every attribute of aligned crops.

    The network looks at each face and at its mirror image, framed as it was trained: "tight".

    Args:
        judge: the network.
        crops: `(B, 3, S, S)` in [0, 1].
        template: how they are framed.
        batch: crops at a time.

    Returns:
        `(B,)` each: probabilities for `PROBABILITIES`, years for age, the table's unit for
        head_turn, and, measured on the pixels of the face, brightness, contrast and
        light_left_right.

    Raises:
        FaceLatentsError: a template of whole pictures.
    """
    with torch.no_grad():
        if template.whole or not torch.equal(template.points, TIGHT.points):
            crops = reframe(crops, template, TIGHT)
        parts = [shrink(part) for part in crops.split(batch)]
        raw = torch.cat([(judge(x) + judge(x.flip(-1)) * MIRRORED) / 2 for x in parts])
    result = {name: raw[:, i].sigmoid() for i, name in enumerate(PROBABILITIES)}
    result["age"] = raw[:, len(PROBABILITIES)] * AGE_SCALE + AGE_MEAN
    result["head_turn"] = raw[:, len(PROBABILITIES) + 1] * TURN_SCALE
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
    return bundled_file("judge.safetensors")

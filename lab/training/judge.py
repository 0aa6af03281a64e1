"""Training of the attribute judge (`judge.py`), which says whether an edit worked.

It shares neither weights nor layers with the face model. Its labels are those of the directions,
whose errors it therefore shares, but for mouths (`mouths.py`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.judge import (
    AGE_MEAN,
    AGE_SCALE,
    MIRRORED,
    OUTPUTS,
    PROBABILITIES,
    TURN_SCALE,
    Judge,
    read,
    save_judge,
    shrink,
)
from ..data.faces import ATTRIBUTION, FaceSet, load_faces
from ..data.labels import label_values
from ..data.mouths import open_mouths, seen_mouths
from ..measures import auc, correlation
from .classifier import Fitting, fit_classifier
from .loop import Progress, Session, silent


@dataclass(frozen=True)
class JudgeTraining:
    """How the judge is trained."""

    steps: Annotated[int, "of the optimiser"] = 8000
    batch: Annotated[int, "faces a step"] = 64
    rate: Annotated[float, "highest learning rate"] = 4e-3
    seed: Annotated[int, "of weights and disturbances"] = 0
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "go on from the state beside the judge where there is one"] = True
    cache_dir: Annotated[Path | None, "keeps the aligned crops for the next run"] = None


def targets(faces: FaceSet) -> Tensor:
    """What the network is trained to say, `(N, 7)`; NaN where that is not known."""
    columns = [
        open_mouths(faces) if name == "mouth_open" else label_values(faces, name)
        for name in PROBABILITIES
    ]
    years, turn = (label_values(faces, name) for name in OUTPUTS[len(PROBABILITIES) :])
    columns.append((years - AGE_MEAN) / AGE_SCALE)
    columns.append(turn / TURN_SCALE)
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


def train_judge(faces: FaceSet, settings: JudgeTraining, stem: Path, session: Session) -> Judge:
    """Train on real crops: mirrored, moved, blurred as decoded pictures are, noisy, in other light.

    Args:
        faces: the training split.
        settings: see there.
        stem: names state and curve, see `Run`.
        session: see there.
    """
    torch.manual_seed(settings.seed)
    wanted = targets(faces)
    parts = torch.arange(len(faces)).split(512)
    crops = torch.cat([(shrink(faces.floats(p)) * 255).round().to(torch.uint8) for p in parts])
    judge = Judge().to(memory_format=torch.channels_last)

    def loss_of(index: Tensor, done: int, generator: torch.Generator) -> Tensor:
        x, y = crops[index].float() / 255, wanted[index]
        if done % 2:
            x, y = x.flip(-1), y * MIRRORED
        with torch.autocast("cpu", torch.bfloat16):
            outputs = judge(disturb(x, generator))
        return judge_loss(outputs.float(), y)

    how = Fitting(settings.steps, settings.batch, settings.rate, 0.15, 0.05, settings.seed)
    fit_classifier(judge, len(faces), loss_of, how, stem, session)
    return judge


def disturb(crops: Tensor, generator: torch.Generator) -> Tensor:
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
    settings: JudgeTraining,
    *,
    progress: Progress = silent,
) -> dict[str, str]:
    """Train a judge on the training faces, measure it on the others, and write it to a file.

    Returns:
        The file's metadata.

    Raises:
        FaceLatentsError: the data are not there.
        Paused: the minutes are over.
    """
    session = Session.start(settings.resume, settings.minutes, progress)
    train, held = (
        load_faces(data_dir, split, cache_dir=settings.cache_dir, progress=progress)
        for split in ("train", "val")
    )
    judge = train_judge(train, settings, Path(out_file).with_suffix(""), session)
    metadata = judge_metadata(judge, held, len(train))
    save_judge(out_file, judge, metadata)
    return metadata


def judge_metadata(judge: Judge, faces: FaceSet, trained_on: int) -> dict[str, str]:
    """What a judge was fitted to, and how well it reads faces it has not seen."""
    readings, wanted = read(judge, faces.floats()), targets(faces)
    figures = {}
    for i, name in enumerate(OUTPUTS):
        known = wanted[:, i].isfinite()
        said, truth = readings[name][known], wanted[known, i]
        binary = name in PROBABILITIES
        figures[name] = round(auc(said, truth) if binary else float(correlation(said, truth)), 3)
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
            "auc": round(auc(chance, truth), 3),
            "accuracy": round(float(((chance > 0.5) == (truth > 0.5)).float().mean()), 3),
        }
    return figures

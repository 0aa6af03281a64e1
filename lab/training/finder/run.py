"""Training of the face finder: `train_finder` runs, resumes, logs and exports."""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from ....models.files.tensors import load_tensors, save_tensors
from ....models.finder.checkpoint import read_finder
from ....models.finder.net import FinderNet, fold
from ...evaluation.finder.figures import FinderEvaluation, evaluate_finder
from ..devices import training_device
from .feed import Feed
from .loss import (
    CLOSE_EYE_DISTANCE,
    cell_targets,
    detector_loss,
    landmark_loss,
    mined_crops,
    refiner_loss,
)
from .report import draw_curve, draw_samples
from .scenes import SCENE

logger = logging.getLogger(__name__)

SCENES_PER_STEP = 32
CROPS_PER_STEP = 72
CLOSE_PER_STEP = 64
MINED_PER_STEP = 14  # of each kind
PEAK_LEARNING_RATE = 2e-3
WARM_UP_STEPS = 200
POLISH_FROM = 0.8  # share of the time after which only the polisher is trained
EMA_DECAY = 0.998
LOG_EVERY = 50
SAVE_EVERY = 250
COLUMNS = ("step", "minutes", "rate", "detect", "place", "judge", "refine", "error")
ATTRIBUTION = (
    'Face images: FairFace dataset, Kimmo Karkkainen and Jungseock Joo, "FairFace: Face Attribute '
    'Dataset for Balanced Race, Gender, and Age for Bias Measurement and Mitigation", WACV 2021, '
    "pp. 1548-1558. https://github.com/joojs/fairface. Licensed under CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/). Changes: a subset was selected and re-encoded "
    "as WebP; landmarks and pseudo labels were added."
)


@dataclass(frozen=True)
class FinderTraining:
    """How long the finder is trained, and where."""

    minutes: Annotated[float, "of training, over all runs of the same folder"] = 90.0
    device: Annotated[str | None, "such as cuda; null: CUDA if there is one"] = None
    resume: Annotated[bool, "go on from the folder's state where there is one"] = True
    seed: Annotated[int, "of the initial weights and the scenes"] = 0


def train_finder(
    data_dir: str | Path,
    out_dir: str | Path,
    settings: FinderTraining,
    *,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Path]:
    """Train the finder's networks and export them.

    Detector and refiner are trained together for the first 80% of the time, then the polisher,
    each under a learning rate that follows a cosine. `minutes` counts over all runs of the same
    folder; a later call goes on from the last state. At the end the
    result is measured on the val splits (`evaluate_finder`).

    Args:
        data_dir: the folder with `faces/` and `portraits_context/`.
        out_dir: receives the picture bank, `state.safetensors` (to resume), `finder.safetensors`
            (the result), `curve.csv`, `curve.png` and `samples_*.png`.
        settings: see there. Pictures are composed by one core beside the device.
        progress: called with (stage, done, total).

    Returns:
        `model`: path of the exported checkpoint.

    Raises:
        FaceLatentsError: there is no such device.
    """
    place, minutes, seed = training_device(settings.device), settings.minutes, settings.seed
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    run = FinderRun(out_dir, place)
    if settings.resume and run.state_path.exists():
        run.load()
        logger.info("resumed at step %d after %.1f minutes", run.step, run.trained / 60)
    _start_curve(run.curve_path, run.step)
    bank, first_half = out_dir / "bank.safetensors", minutes * 60 * POLISH_FROM
    if run.trained < first_half:
        with Feed(data_dir, bank, seed + run.step, ("scenes", "crops"), place) as feed:
            _train(run, feed, find_step, 0.0, first_half)
    if not run.polishing:
        run.start_polishing()
    if run.trained < minutes * 60:
        with Feed(data_dir, bank, seed + run.step, ("close",), place) as feed:
            _train(run, feed, polish_step, first_half, minutes * 60)
    metrics = evaluate_finder(
        data_dir,
        FinderEvaluation(pictures=out_dir / "evaluation"),
        finder=read_finder(run.result),
    )
    export(run, metrics)
    return {"model": run.result}


class FinderRun:
    """What a training run changes: networks, their running mean, optimiser, progress."""

    def __init__(self, out_dir: Path, device: torch.device) -> None:
        self.out_dir, self.device = out_dir, device
        self.state_path = out_dir / "state.safetensors"
        self.curve_path = out_dir / "curve.csv"
        self.result = out_dir / "finder.safetensors"
        self.net = FinderNet().to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval()
        self.optimizer = torch.optim.AdamW(self.net.parameters(), weight_decay=1e-2)
        self.step, self.trained, self.polishing = 0, 0.0, False

    def start_polishing(self) -> None:
        """The polisher begins as what the refiner has become."""
        for net in (self.net, self.average):
            net.polisher.load_state_dict(self.average.refiner.state_dict())
        for parameter in self.net.polisher.parameters():
            self.optimizer.state.pop(parameter, None)
        self.polishing = True

    @torch.no_grad()
    def update_average(self, since_start: int) -> None:
        decay = min(EMA_DECAY, (1 + since_start) / (10 + since_start))
        values = self.net.state_dict().values()
        for mean, value in zip(self.average.state_dict().values(), values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def save(self) -> None:
        tensors: dict[str, Tensor] = {}
        for prefix, module in (("net", self.net), ("average", self.average)):
            for name, tensor in module.state_dict().items():
                tensors[f"{prefix}.{name}"] = tensor.contiguous()
        for name, parameter in self.net.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value.contiguous()
        progress = {"step": self.step, "seconds": self.trained, "polishing": self.polishing}
        save_tensors(self.state_path, tensors, {"progress": json.dumps(progress)})

    def load(self) -> None:
        tensors, metadata = load_tensors(self.state_path)

        def part(prefix: str) -> dict[str, Tensor]:
            dot = prefix + "."
            return {name[len(dot) :]: t for name, t in tensors.items() if name.startswith(dot)}

        self.net.load_state_dict(part("net"))
        self.average.load_state_dict(part("average"))
        moments = {key: part(key) for key in ("step", "exp_avg", "exp_avg_sq")}
        for name, parameter in self.net.named_parameters():
            if name in moments["step"]:
                layout = torch.empty_like(parameter)
                self.optimizer.state[parameter] = {
                    "step": moments["step"][name],
                    "exp_avg": layout.clone().copy_(moments["exp_avg"][name]),
                    "exp_avg_sq": layout.clone().copy_(moments["exp_avg_sq"][name]),
                }
        progress = json.loads(metadata["progress"])
        self.step, self.trained = int(progress["step"]), float(progress["seconds"])
        self.polishing = bool(progress["polishing"])


Step = Callable[[FinderRun, Feed], dict[str, float]]


def _train(run: FinderRun, feed: Feed, step: Step, begin: float, end: float) -> None:
    """Steps until `end` seconds of training; saves, exports and draws on the way."""
    means = dict.fromkeys(COLUMNS[3:], 0.0)
    last, first = time.monotonic(), run.step
    while run.trained < end:
        progress = (run.trained - begin) / (end - begin)
        rate = _learning_rate(run.step - first, progress)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        for name, value in step(run, feed).items():
            means[name] += value / LOG_EVERY
        run.update_average(run.step - (first if progress < 0.01 else 0))
        run.step += 1
        now = time.monotonic()
        run.trained, last = run.trained + now - last, now
        if run.step % LOG_EVERY == 0:
            row = {"step": run.step, "minutes": run.trained / 60, "rate": rate, **means}
            with run.curve_path.open("a", newline="") as file:
                csv.writer(file).writerow([f"{row[name]:.5g}" for name in COLUMNS])
            logger.info(" ".join(f"{name} {row[name]:.4g}" for name in COLUMNS))
            means = dict.fromkeys(COLUMNS[3:], 0.0)
        if run.step % SAVE_EVERY == 0 or run.trained >= end:
            run.save()
            export(run)
            draw_curve(run.curve_path, run.out_dir / "curve.png")
            draw_samples(run.average, feed, run.out_dir / f"samples_{run.step:06d}.png")
            last = time.monotonic()


def _start_curve(path: Path, step: int) -> None:
    """Keep the rows up to `step`: what came after it is trained again."""
    rows: list[list[str]] = []
    if step and path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.reader(file) if row[0].isdigit() and int(row[0]) <= step]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(COLUMNS), *rows])


def export(run: FinderRun, metrics: dict[str, float] | None = None) -> None:
    """Write the folded mean network as float16 safetensors with its metadata."""
    average = copy.deepcopy(run.average).cpu()
    if not run.polishing:
        average.polisher.load_state_dict(average.refiner.state_dict())
    metadata = {
        "architecture": "face_finder",
        "config": json.dumps({"width": 64, "deep": 128}),
        "license": "MIT",
        "training_data": "FairFace subset (train split), official portraits of the US Congress "
        "(public domain, train split), textures and object pictures of scikit-image and "
        "scikit-learn. " + ATTRIBUTION,
        "training": json.dumps({"steps": run.step, "minutes": round(run.trained / 60, 1)}),
        "metrics": json.dumps({key: round(value, 5) for key, value in (metrics or {}).items()}),
    }
    tensors = fold(average).state_dict()
    halved = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    save_tensors(run.result, halved, metadata)


def _learning_rate(steps: int, progress: float) -> float:
    """Warm-up, then a cosine down to a hundredth."""
    warm = min(1.0, (steps + 1) / WARM_UP_STEPS)
    return PEAK_LEARNING_RATE * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def find_step(run: FinderRun, feed: Feed) -> dict[str, float]:
    """One step of the detector and of the refiner."""
    net = run.net.train()
    images, landmarks, size, present, outside = feed.draw("scenes", SCENES_PER_STEP)
    targets = cell_targets(landmarks, size, present, outside, SCENE)
    crops, points, is_face = feed.draw("crops", CROPS_PER_STEP)
    with torch.autocast(run.device.type, torch.bfloat16):
        output = net.detector(images - 0.5)
    own_crops, own_points, own_is_face = mined_crops(
        images, output, targets, (landmarks, size, present), MINED_PER_STEP
    )
    crops = torch.cat([crops, own_crops])
    points, is_face = torch.cat([points, own_points]), torch.cat([is_face, own_is_face])
    with torch.autocast(run.device.type, torch.bfloat16):
        refined, logits = net.refiner(crops)
    detect, place = detector_loss(output, targets)
    judge, refine, error = refiner_loss(refined, logits, points, is_face)
    _descend(run, detect + place + judge + refine)
    losses = {"detect": detect, "place": place, "judge": judge, "refine": refine, "error": error}
    return {name: float(value.detach()) for name, value in losses.items()}


def polish_step(run: FinderRun, feed: Feed) -> dict[str, float]:
    """One step of the polisher alone."""
    images, points = feed.draw("close", CLOSE_PER_STEP)
    with torch.autocast(run.device.type, torch.bfloat16):
        polished, _ = run.net.train().polisher(images)
    refine, error = landmark_loss(polished, points, CLOSE_EYE_DISTANCE)
    _descend(run, refine)
    return {"refine": float(refine.detach()), "error": float(error)}


def _descend(run: FinderRun, loss: Tensor) -> None:
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.net.parameters(), 20.0)
    run.optimizer.step()

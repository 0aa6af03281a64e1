"""Training of the face finder: detector and refiner together, then the polisher."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor

from ....models.files.tensors import save_tensors
from ....models.finder.checkpoint import read_finder
from ....models.finder.net import FinderNet, fold
from ...data.faces import FAIRFACE
from ...evaluation.finder.figures import FinderEvaluation, evaluate_finder
from ..loop import Progress, Run, Session, Stage, silent
from ..optimise import cosine, descend, early_decay, set_rate, training_device, update_average
from .feed import Feed
from .loss import (
    CLOSE_EYE_DISTANCE,
    cell_targets,
    detector_loss,
    landmark_loss,
    mined_crops,
    refiner_loss,
)
from .samples import draw_samples
from .scenes import SCENE

SCENES_PER_STEP = 32
CROPS_PER_STEP = 72
CLOSE_PER_STEP = 64
MINED_PER_STEP = 14  # of each kind
PEAK_LEARNING_RATE = 2e-3
WARM_UP_STEPS = 200
POLISH_FROM = 0.8  # share of the time after which only the polisher is trained
EMA_DECAY = 0.998
LARGEST_GRADIENT = 20.0
SAVE_EVERY = 250  # steps


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
    progress: Progress = silent,
) -> dict[str, Path]:
    """Train the finder's networks and export them.

    Detector and refiner are trained together for the first 80% of the time, then the polisher,
    each under a learning rate that follows a cosine. At the end the result is measured on the val
    splits (`evaluate_finder`).

    Args:
        data_dir: the folder with `faces/` and `portraits_context/`.
        out_dir: receives the picture bank, `finder.safetensors` (the result), state and curve
            (`lab/training/loop.py`) and `samples_*.png`.
        settings: see there. Pictures are composed by one core beside the device.
        progress: called with (stage, seconds done, seconds).

    Returns:
        `model`: path of the exported checkpoint.

    Raises:
        FaceLatentsError: there is no such device.
    """
    device = training_device(settings.device)
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    finder = FinderRun(out_dir, device, Session(settings.resume, progress=progress))
    minutes = {"find": settings.minutes * POLISH_FROM}
    minutes["polish"] = settings.minutes - minutes["find"]
    for stage, kinds in (("find", ("scenes", "crops")), ("polish", ("close",))):
        seed = settings.seed + sum(finder.run.done.values())
        with Feed(data_dir, out_dir / "bank.safetensors", seed, kinds, device) as feed:
            finder.run.advance(finder.stage(stage, minutes[stage], feed))
    figures = evaluate_finder(
        data_dir,
        FinderEvaluation(pictures=out_dir / "evaluation"),
        finder=read_finder(finder.result),
    )
    finder.export(figures)
    return {"model": finder.result}


class FinderRun:
    """The finder's networks, their running mean and their state on disk."""

    def __init__(self, out_dir: Path, device: torch.device, session: Session) -> None:
        self.out_dir, self.device = out_dir, device
        self.result = out_dir / "finder.safetensors"
        self.net = FinderNet().to(device).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).eval()
        self.optimiser = torch.optim.AdamW(self.net.parameters(), weight_decay=1e-2)
        modules = {"trained": self.net, "average": self.average}
        self.run = Run(out_dir / "finder", modules, {"all": self.optimiser}, session)

    def stage(self, name: str, minutes: float, feed: Feed) -> Stage:
        """The stage "find" or "polish"."""

        def step(done: int, share: float) -> dict[str, Tensor]:
            warm = min(1.0, (done + 1) / WARM_UP_STEPS)
            set_rate(self.optimiser, PEAK_LEARNING_RATE * warm * cosine(share, 0.01))
            losses = (find_step if name == "find" else polish_step)(self, feed)
            before = 0 if share < 0.01 or name == "find" else self.run.done["find"]
            update_average(self.average, self.net, early_decay(EMA_DECAY, before + done))
            return losses

        def report() -> None:
            self.export()
            number = sum(self.run.done.values())
            draw_samples(self.average, feed, self.out_dir / f"samples_{number:06d}.png")

        begin = self.start_polishing if name == "polish" else lambda: None
        return Stage(name, step, minutes=minutes, begin=begin, report=report, save_every=SAVE_EVERY)

    def start_polishing(self) -> None:
        """The polisher begins as what the refiner has become."""
        for net in (self.net, self.average):
            net.polisher.load_state_dict(self.average.refiner.state_dict())
        for parameter in self.net.polisher.parameters():
            self.optimiser.state.pop(parameter, None)

    def export(self, figures: Mapping[str, float] | None = None) -> None:
        """Write the folded mean network as float16 safetensors with its metadata."""
        average = copy.deepcopy(self.average).cpu()
        if not self.run.done.get("polish"):
            average.polisher.load_state_dict(average.refiner.state_dict())
        minutes = sum(self.run.seconds.values()) / 60
        metadata = {
            "architecture": "face_finder",
            "config": json.dumps({"width": 64, "deep": 128}),
            "license": "MIT",
            "training_data": "FairFace subset (train split), official portraits of the US Congress "
            "(public domain, train split), textures and object pictures of scikit-image and "
            f"scikit-learn. {FAIRFACE}.",
            "training": json.dumps(
                {"steps": sum(self.run.done.values()), "minutes": round(minutes, 1)}
            ),
            "metrics": json.dumps({key: round(value, 5) for key, value in (figures or {}).items()}),
        }
        tensors = fold(average).state_dict()
        halved = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
        save_tensors(self.result, halved, metadata)


def find_step(run: FinderRun, feed: Feed) -> dict[str, Tensor]:
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
    descend(run.optimiser, detect + place + judge + refine, LARGEST_GRADIENT)
    return {"detect": detect, "place": place, "judge": judge, "refine": refine, "error": error}


def polish_step(run: FinderRun, feed: Feed) -> dict[str, Tensor]:
    """One step of the polisher alone."""
    images, points = feed.draw("close", CLOSE_PER_STEP)
    with torch.autocast(run.device.type, torch.bfloat16):
        polished, _ = run.net.train().polisher(images)
    refine, error = landmark_loss(polished, points, CLOSE_EYE_DISTANCE)
    descend(run.optimiser, refine, LARGEST_GRADIENT)
    return {"refine": refine, "error": error}

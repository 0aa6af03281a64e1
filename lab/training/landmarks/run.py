"""Training of the dense landmarks' network on a teacher's points."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.points import (
    LEFT_EYE,
    LEFT_IRIS,
    LIPS,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from ....models.files.tensors import save_tensors
from ....models.finder.dense_landmarks import ARCHITECTURE
from ....models.finder.landmarks_net import CORRECTIONS, POINTS, SHAPES, LandmarkNet, RefiningNet
from ...data.landmarks import LandmarkSet, checksum, load_landmarks, mirrored_order
from ..loop import Progress, Run, Session, Stage, silent
from ..optimise import descend, early_decay, set_one_cycle, training_device, update_average
from .augment import ALIGNED, AS_FOUND, Placing, draw_batch

PEAK_LEARNING_RATE, REFINE_RATE = 2e-3, 1.2e-3
WEIGHT_DECAY = 1e-2
RISE = 0.1  # share of the steps over which the learning rate rises
EMA_DECAY = 0.998
LARGEST_GRADIENT = 500.0
STARTING_FACES = 4000  # placed at random, whose mean and directions the last layer begins with
LOOK_WEIGHTS = (0.3,) + (1.0,) * CORRECTIONS  # of the looks of the refining network
EXPRESSIVE = (LEFT_EYE, RIGHT_EYE, LEFT_IRIS, RIGHT_IRIS, LIPS)
EXPRESSIVE_WEIGHT = 3.0  # of their points over others: blinks and glances are a few pixels
DEPTH_WEIGHT = 0.5  # of errors in z over those in x and y
FACE_WEIGHT = 0.05  # of the loss of the confidence


@dataclass(frozen=True)
class LandmarkTraining:
    """How long the landmark network is trained, and where."""

    steps: Annotated[int, "of the network that looks first"] = 4500
    refine_steps: Annotated[int, "of the one that looks at aligned faces"] = 2400
    batch: Annotated[int, "faces a step"] = 64
    minutes: Annotated[float | None, "of this call; the next goes on. null: no limit"] = None
    device: Annotated[str | None, "such as cuda; null: CUDA if there is one"] = None
    resume: Annotated[bool, "go on from the folder's state where there is one"] = True
    seed: Annotated[int, "of the initial weights and the crops"] = 0


def train_landmarks(
    data_dir: str | Path,
    out_dir: str | Path,
    settings: LandmarkTraining,
    *,
    progress: Progress = silent,
) -> dict[str, Path]:
    """Train the landmark network and export it.

    Args:
        data_dir: the folder with `faces/`, `portraits_context/` and `sharp/`.
        out_dir: receives the crops, `landmarks.safetensors` (the result), state and curve.
        settings: see there.
        progress: called with (stage, done, total).

    Returns:
        `model`: path of the exported checkpoint.
    """
    device = training_device(settings.device)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    train, val = (
        load_landmarks(data_dir, split, cache_dir=out_dir, progress=progress)
        for split in ("train", "val")
    )
    session = Session.start(settings.resume, settings.minutes, progress)
    run = LandmarkRun(out_dir, device, settings, train, val, session)
    run.run.advance(run.stage("first"))
    run.run.advance(run.stage("refine"))
    run.export()
    return {"model": run.result}


def point_weights() -> Tensor:
    """How much each point counts, `(478, 1)`, of mean 1: what moves in expressions counts more."""
    weights = torch.ones(POINTS, 1)
    for part in EXPRESSIVE:
        weights[list(part)] = EXPRESSIVE_WEIGHT
    return weights / weights.mean()


class LandmarkRun:
    """Both networks, their running means and their state on disk."""

    def __init__(
        self,
        out_dir: Path,
        device: torch.device,
        settings: LandmarkTraining,
        train: LandmarkSet,
        val: LandmarkSet,
        session: Session,
    ) -> None:
        self.device, self.settings, self.train, self.val = device, settings, train, val
        self.result = out_dir / "landmarks.safetensors"
        self.order = mirrored_order(train.points)
        self.weights = point_weights().to(device)
        self.first, self.refine = LandmarkNet(), RefiningNet()
        self._start_from_shapes(self.first)
        self.nets: dict[str, LandmarkNet | RefiningNet]
        self.nets = {"first": self.first, "refine": self.refine}
        self.averages, self.optimisers = {}, {}
        for name, net in self.nets.items():
            net.to(device).to(memory_format=torch.channels_last)
            self.averages[name] = copy.deepcopy(net).eval()
            self.optimisers[name] = torch.optim.AdamW(
                net.parameters(), betas=(0.95, 0.99), weight_decay=WEIGHT_DECAY, fused=True
            )
        modules = {f"{name}.trained": net for name, net in self.nets.items()}
        modules |= {f"{name}.average": net for name, net in self.averages.items()}
        self.run = Run(out_dir / "landmarks", modules, self.optimisers, session)

    def _start_from_shapes(self, net: LandmarkNet) -> None:
        """The last layer begins as mean and principal directions of placed faces."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        rows = torch.randint(len(self.train), (STARTING_FACES,), generator=generator)
        points = torch.cat(
            [
                draw_batch(self.train, some, self.order, generator).points.flatten(1)
                for some in rows.split(200)
            ]
        )
        mean = points.mean(0)
        _, values, directions = torch.linalg.svd(points - mean, full_matrices=False)
        spread = values[:SHAPES] / len(points) ** 0.5
        with torch.no_grad():
            net.points.weight.copy_((directions[:SHAPES] * spread[:, None]).mT)
            net.points.bias.copy_(mean)
            net.shape.weight.mul_(0.1)
            net.shape.bias.zero_()

    def stage(self, name: str) -> Stage:
        """The stage "first" or "refine", which goes on from the former."""
        first = name == "first"
        steps = self.settings.steps if first else self.settings.refine_steps
        peak, placing = (PEAK_LEARNING_RATE, AS_FOUND) if first else (REFINE_RATE, ALIGNED)
        net, average, generator = self.nets[name], self.averages[name], torch.Generator()
        weights = (1.0,) if first else LOOK_WEIGHTS
        optimiser, seed = self.optimisers[name], self.settings.seed + (0 if first else 10**6)

        def begin() -> None:
            for each in (net, average):
                if isinstance(each, RefiningNet):
                    each.whole.load_state_dict(self.averages["first"].state_dict())

        def step(done: int, share: float) -> dict[str, Tensor]:
            generator.manual_seed(seed + 1 + done)
            rows = torch.randint(len(self.train), (self.settings.batch,), generator=generator)
            batch = draw_batch(self.train, rows, self.order, generator, placing)
            set_one_cycle(optimiser, peak, done, steps, RISE)
            crops = batch.crops.to(self.device, memory_format=torch.channels_last)
            looks, logit = net.train().looks(crops)
            is_face = batch.is_face.to(self.device)
            places = [self._error(points[is_face], batch.points[batch.is_face]) for points in looks]
            place = sum(w * p for w, p in zip(weights, places, strict=True))
            face = F.binary_cross_entropy_with_logits(logit, is_face.float())
            descend(optimiser, 100 * (place + FACE_WEIGHT * face), LARGEST_GRADIENT)
            update_average(average, net, early_decay(EMA_DECAY, done))
            return {"place": places[-1], "face": face}

        return Stage(
            name,
            step,
            steps=steps,
            begin=begin,
            measure=lambda: self.measure(average, placing),
            log_every=100,
            save_every=200,
        )

    def _error(self, points: Tensor, wanted: Tensor) -> Tensor:
        error = (points - wanted.to(self.device)).abs() * self.weights
        return error[..., :2].mean() + DEPTH_WEIGHT * error[..., 2].mean()

    @torch.no_grad()
    def measure(self, net: LandmarkNet | RefiningNet, placing: Placing) -> dict[str, float]:
        """Distance to the teacher over that of the eyes, on faces kept from training."""
        generator = torch.Generator().manual_seed(0)
        rows = torch.randint(len(self.val), (256,), generator=generator)
        batch = draw_batch(self.val, rows, self.order, generator, placing)
        points, _ = net(batch.crops.to(self.device))
        distance = (points.cpu() - batch.points)[..., :2].norm(dim=-1).mean(1)
        eyes = (batch.points[:, 468, :2] - batch.points[:, 473, :2]).norm(dim=-1)
        error = (distance / eyes)[batch.is_face]
        return {"nme_median": float(error.median()), "nme_p95": float(error.quantile(0.95))}

    def export(self) -> None:
        """Write the mean networks as float16 safetensors with their metadata."""
        metadata = {
            "architecture": ARCHITECTURE,
            "license": "MIT",
            "settings": json.dumps(asdict(self.settings)),
            "data_checksum": checksum(self.train.names, self.train.points),
            "mirrored": json.dumps(self.order.tolist()),
            "steps": json.dumps(self.run.done),
        }
        halved = {
            f"{stage}.{name}": (t.half() if t.is_floating_point() else t).cpu().contiguous()
            for stage, net in self.averages.items()
            for name, t in net.state_dict().items()
        }
        save_tensors(self.result, halved, metadata)

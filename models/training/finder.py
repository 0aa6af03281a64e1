"""Training of the face finder: `train_finder` runs, resumes, logs and exports."""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from ..architectures.finder import FinderNet, fold
from ..evaluation.finder import evaluate_finder
from ..finder import read_finder
from ..safefile import load_tensors, save_tensors
from .finder_feed import Feed
from .finder_loss import cell_targets, detector_loss, mined_crops, refiner_loss
from .finder_report import draw_curve, draw_samples
from .finder_scenes import SCENE

logger = logging.getLogger(__name__)

SCENES_PER_STEP = 32
CROPS_PER_STEP = 72
MINED_PER_STEP = 14  # of each kind
PEAK_LEARNING_RATE = 2e-3
WARM_UP_STEPS = 200
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


def train_finder(
    data_dir: str | Path,
    out_dir: str | Path,
    *,
    minutes: float = 45.0,
    resume: bool = True,
    seed: int = 0,
) -> Path:
    """Train both networks of the finder together and export them.

    The learning rate follows a cosine over `minutes` of training time, counted over all runs of
    the same folder; a later call with more minutes goes on from the last state. At the end the
    result is measured on the val splits (`evaluate_finder`).

    Args:
        data_dir: the folder with `faces/` and `portraits_context/`.
        out_dir: receives the picture bank, `state.safetensors` (to resume), `finder.safetensors`
            (the result), `curve.csv`, `curve.png` and `samples_*.png`.
        minutes: total training time.
        resume: go on from `state.safetensors` where there is one.
        seed: of the initial weights and the scenes.

    Returns:
        Path of the exported checkpoint.
    """
    data_dir, out_dir = Path(data_dir), Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = FinderNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(net).eval()
    optimizer = torch.optim.AdamW(net.parameters(), lr=PEAK_LEARNING_RATE, weight_decay=1e-2)
    step, trained = 0, 0.0
    state_path = out_dir / "state.safetensors"
    if resume and state_path.exists():
        step, trained = _load_state(state_path, net, average, optimizer)
        logger.info("resumed at step %d after %.1f minutes", step, trained / 60)
    curve_path = out_dir / "curve.csv"
    if step == 0:
        curve_path.write_text(",".join(COLUMNS) + "\n")
    result = out_dir / "finder.safetensors"

    with Feed(data_dir, out_dir / "bank.safetensors", seed + step) as feed:
        means = dict.fromkeys(COLUMNS[3:], 0.0)
        last = time.monotonic()
        while trained < minutes * 60:
            rate = _learning_rate(step, trained / (minutes * 60))
            for group in optimizer.param_groups:
                group["lr"] = rate
            for name, value in _step(net, optimizer, feed).items():
                means[name] += value / LOG_EVERY
            _update_average(average, net, min(EMA_DECAY, (1 + step) / (10 + step)))
            step += 1
            now = time.monotonic()
            trained, last = trained + now - last, now
            if step % LOG_EVERY == 0:
                row = {"step": step, "minutes": trained / 60, "rate": rate, **means}
                with curve_path.open("a", newline="") as file:
                    csv.writer(file).writerow([f"{row[name]:.5g}" for name in COLUMNS])
                logger.info(" ".join(f"{name} {row[name]:.4g}" for name in COLUMNS))
                means = dict.fromkeys(COLUMNS[3:], 0.0)
            if step % SAVE_EVERY == 0:
                _save_state(state_path, net, average, optimizer, step, trained)
                export(average, result, step, trained)
                draw_curve(curve_path, out_dir / "curve.png")
                draw_samples(average, feed, out_dir / f"samples_{step:06d}.png")
                last = time.monotonic()
        _save_state(state_path, net, average, optimizer, step, trained)
        export(average, result, step, trained)
        draw_curve(curve_path, out_dir / "curve.png")
        draw_samples(average, feed, out_dir / f"samples_{step:06d}.png")
    metrics = evaluate_finder(data_dir, finder=read_finder(result), pictures=out_dir / "evaluation")
    export(average, result, step, trained, metrics)
    return result


def export(
    net: nn.Module,
    path: Path,
    step: int,
    seconds: float,
    metrics: dict[str, float] | None = None,
) -> None:
    """Write the folded network as float16 safetensors with its metadata."""
    folded = fold(copy.deepcopy(net))
    metadata = {
        "architecture": "face_finder",
        "config": json.dumps({"width": 64, "deep": 128}),
        "license": "MIT",
        "training_data": "FairFace subset (train split), official portraits of the US Congress "
        "(public domain, train split), textures and object pictures of scikit-image and "
        "scikit-learn. " + ATTRIBUTION,
        "training": json.dumps({"steps": step, "minutes": round(seconds / 60, 1)}),
        "metrics": json.dumps({key: round(value, 5) for key, value in (metrics or {}).items()}),
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in folded.state_dict().items()}
    save_tensors(path, tensors, metadata)


def _learning_rate(step: int, progress: float) -> float:
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    return PEAK_LEARNING_RATE * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def _step(net: FinderNet, optimizer: torch.optim.Optimizer, feed: Feed) -> dict[str, float]:
    net.train()
    images, landmarks, size, present, outside = feed.scenes(SCENES_PER_STEP)
    targets = cell_targets(landmarks, size, present, outside, SCENE)
    crops, points, is_face = feed.crops(CROPS_PER_STEP)
    with torch.autocast("cpu", torch.bfloat16):
        output = net.detector(images)
    own_crops, own_points, own_is_face = mined_crops(
        images, output, targets, (landmarks, size, present), MINED_PER_STEP
    )
    crops = torch.cat([crops, own_crops])
    points, is_face = torch.cat([points, own_points]), torch.cat([is_face, own_is_face])
    with torch.autocast("cpu", torch.bfloat16):
        refined, logits = net.refiner(crops)
    detect, place = detector_loss(output, targets)
    judge, refine, error = refiner_loss(refined, logits, points, is_face)
    optimizer.zero_grad(set_to_none=True)
    (detect + place + judge + refine).backward()
    nn.utils.clip_grad_norm_(net.parameters(), 20.0)
    optimizer.step()
    losses = {"detect": detect, "place": place, "judge": judge, "refine": refine, "error": error}
    return {name: float(value.detach()) for name, value in losses.items()}


@torch.no_grad()
def _update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    for mean, value in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def _save_state(
    path: Path,
    net: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> None:
    tensors: dict[str, Tensor] = {}
    for prefix, module in (("net", net), ("average", average)):
        for name, tensor in module.state_dict().items():
            tensors[f"{prefix}.{name}"] = tensor.contiguous()
    for name, parameter in net.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            tensors[f"{key}.{name}"] = optimizer.state[parameter][key].contiguous()
    save_tensors(path, tensors, {"step": str(step), "seconds": str(seconds)})


def _load_state(
    path: Path, net: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float]:
    tensors, metadata = load_tensors(path)

    def part(prefix: str) -> dict[str, Tensor]:
        dot = prefix + "."
        return {name[len(dot) :]: t for name, t in tensors.items() if name.startswith(dot)}

    net.load_state_dict(part("net"))
    average.load_state_dict(part("average"))
    step = int(metadata["step"])
    first, second = part("exp_avg"), part("exp_avg_sq")
    for name, parameter in net.named_parameters():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(step)),
            "exp_avg": torch.empty_like(parameter).copy_(first[name]),
            "exp_avg_sq": torch.empty_like(parameter).copy_(second[name]),
        }
    return step, float(metadata["seconds"])

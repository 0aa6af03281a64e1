"""Training of the digits model: `train_digits` runs, resumes, logs and exports.

Three stages: a reader (a small classifier) that later says whether a decoded code shows the label
it should; encoder and generator against a mixture prior; a second encoder that reads damaged
digits as the first one reads clean ones, and becomes the model's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from ....models.architectures.digits import digit_net
from ....models.face_model import load_face_model
from ...data.digits import Balanced, read_mnist
from .export import code_statistics, export_digits, save_clean_encoder, stretched
from .report import draw_curve, draw_digits
from .run import STAGES, DigitsRun
from .steps import critic_step, generator_step, read_step, robust_step

logger = logging.getLogger(__name__)

RATES = {"reader": 2e-3, "generator": 1.5e-3, "robust": 1.5e-3}
PER_CLASS = {"reader": 16, "generator": 12, "robust": 12}  # pictures of each digit in a batch
WARM_UP_STEPS = 100
LABEL_GAIN = 4 / 3  # of the exported codes: mean squared length near 100, as of normal codes
LOG_EVERY = 50
SAVE_EVERY = 200

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DigitsTraining:
    """How long each stage of the digits model is trained."""

    reader_steps: Annotated[int, "of the classifier that reads decoded digits in training"] = 600
    generator_steps: Annotated[int, "of encoder and generator"] = 2000
    robust_steps: Annotated[int, "of the encoder of damaged digits"] = 6000
    seed: Annotated[int, "of the initial weights, the batches and all noise"] = 0
    resume: Annotated[bool, "go on from the state beside the model where there is one"] = True
    download: Annotated[bool, "fetch MNIST when it is missing"] = True


def train_digits(
    data_dir: str | Path,
    out_file: str | Path,
    settings: DigitsTraining,
    *,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, object]:
    """Train the digits model on MNIST and write it.

    Beside `out_file` (stem S) it keeps `S.state.safetensors` (to resume), `S.curve.csv` and
    `S.curve.png`, `S.samples.png`, and `S_clean_encoder.safetensors`, the encoder that saw clean
    digits only. A run that is stopped goes on from its last state, with the same result as one
    that was not. One thread on a CPU of 2020 takes about three quarters of an hour.

    Args:
        data_dir: root of `torchvision.datasets.MNIST`; the data is downloaded there if missing.
        out_file: the model's file, replaced when it exists.
        settings: see there.
        progress: called with (stage, steps done, steps).

    Returns:
        `model`, `clean_encoder`: the files; `model_id`; `steps` of each stage.

    Raises:
        FaceLatentsError: the data is missing and cannot be downloaded.
    """
    out_file = Path(out_file)
    out_file.parent.mkdir(parents=True, exist_ok=True)
    pictures, labels = read_mnist(data_dir, train=True, download=settings.download)
    run = DigitsRun(out_file.with_suffix(".state.safetensors"), settings.seed)
    run.begin(settings.resume)
    steps = {stage: getattr(settings, f"{stage}_steps") for stage in STAGES}
    for stage in STAGES:
        batches = Balanced(pictures, labels, PER_CLASS[stage], settings.seed)
        run_stage(run, stage, batches, steps[stage], progress)
    return finish(run, out_file, pictures, labels)


def finish(run: DigitsRun, out_file: Path, pictures: Tensor, labels: Tensor) -> dict[str, object]:
    """Write the model, the clean encoder, the curve and the samples of a run."""
    nets = {}
    for name, encoder in (("robust", run.means.robust), ("clean", run.means.encoder)):
        longer, generator = stretched(encoder, run.means.generator, run.prior, LABEL_GAIN)
        nets[name] = digit_net(longer, generator, code_statistics(longer, pictures, labels))
    facts = {"steps": run.done, "seed": run.seed, "pictures_per_class": PER_CLASS}
    model_id = export_digits(out_file, nets["robust"], "Digits", facts)
    clean = out_file.with_name(f"{out_file.stem}_clean_encoder.safetensors")
    save_clean_encoder(clean, nets["clean"], model_id)
    draw_curve(run.curve_path, out_file.with_suffix(".curve.png"))
    draw_digits(load_face_model(out_file), pictures[:2000], labels[:2000]).save(
        out_file.with_suffix(".samples.png")
    )
    return {"model": out_file, "clean_encoder": clean, "model_id": model_id, "steps": run.done}


def run_stage(
    run: DigitsRun,
    stage: str,
    batches: Balanced,
    steps: int,
    progress: Progress = lambda stage, done, total: None,
    until: int | None = None,
) -> None:
    """Do the remaining steps of one stage, saving and logging on the way.

    Args:
        run: changed in place.
        stage: one of `STAGES`.
        batches: where the pictures come from.
        steps: length of the stage and of its learning rate's cosine.
        progress: called with (stage, steps done, steps).
        until: stop there; None runs to the end.
    """
    until = steps if until is None else min(until, steps)
    if stage == "robust" and run.done[stage] == 0:
        run.start_robust()
    run.nets.reader.requires_grad_(stage == "reader")
    means: dict[str, float] = {}
    for step in range(run.done[stage], until):
        rate = RATES[stage] * min(1.0, (step + 1) / WARM_UP_STEPS) * _cosine(step / steps)
        noise = torch.Generator().manual_seed(
            (run.seed * len(STAGES) + STAGES.index(stage)) * 1_000_003 + step
        )
        losses = _STEPS[stage](run, *batches.draw(step), noise, rate, step)
        for name, value in losses.items():
            means[name] = means.get(name, 0.0) + float(value.detach()) / LOG_EVERY
        run.done[stage] = step + 1
        if run.done[stage] % LOG_EVERY == 0:
            run.log(stage, run.done[stage], means)
            means = {}
        if run.done[stage] % SAVE_EVERY == 0 or run.done[stage] == until:
            run.save()
        progress(f"digits: {stage}", run.done[stage], steps)


def _read(
    run: DigitsRun, pictures: Tensor, labels: Tensor, noise: torch.Generator, rate: float, _: int
) -> dict[str, Tensor]:
    loss = read_step(run.nets, pictures, labels, noise)
    _descend(run.optimizers["reader"], loss, rate)
    return {"read": loss}


def _generate(
    run: DigitsRun, pictures: Tensor, labels: Tensor, noise: torch.Generator, rate: float, step: int
) -> dict[str, Tensor]:
    critic = run.nets.critic.requires_grad_(False)
    loss, losses, invented = generator_step(run.nets, run.prior, pictures, labels, noise)
    _descend(run.optimizers["generator"], loss, rate)
    losses["critic"] = critic_step(critic.requires_grad_(True), pictures, labels, invented)
    _descend(run.optimizers["critic"], losses["critic"], rate)
    run.update_mean("encoder", step)
    run.update_mean("generator", step)
    return losses


def _harden(
    run: DigitsRun, pictures: Tensor, labels: Tensor, noise: torch.Generator, rate: float, step: int
) -> dict[str, Tensor]:
    loss, losses = robust_step(run.nets.robust, run.means, run.prior, pictures, labels, noise)
    _descend(run.optimizers["robust"], loss, rate)
    run.update_mean("robust", step)
    return losses


_STEPS = {"reader": _read, "generator": _generate, "robust": _harden}


def _cosine(progress: float) -> float:
    """Down to a hundredth."""
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    nn.utils.clip_grad_norm_(weights, 100.0)
    optimizer.step()

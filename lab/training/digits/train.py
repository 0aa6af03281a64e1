"""Training of the digits model.

Three stages: a reader (a small classifier) that later says whether a decoded code shows the label
it should; encoder and generator against a mixture prior; a second encoder that reads damaged
digits as the first one reads clean ones, and becomes the model's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from torch import Tensor, nn

from ....models.architectures.digits import DigitEncoder, DigitGenerator, digit_net
from ....models.face_model import load_face_model
from ...data.digits import Balanced, read_mnist
from ..loop import Progress, Run, Session, Stage, silent
from ..optimise import cosine, descend, early_decay, set_rate, update_average
from .export import code_statistics, export_digits, save_clean_encoder, stretch_labels
from .prior import CLASSES, make_prior
from .samples import draw_digits
from .steps import Critic, Means, Nets, critic_step, generator_step, read_step, robust_step

STAGES = ("reader", "generator", "robust")
RATES = {"reader": 2e-3, "generator": 1.5e-3, "robust": 1.5e-3}
PER_CLASS = {"reader": 16, "generator": 12, "robust": 12}  # pictures of each digit in a batch
BETAS = {"reader": 0.9, "generator": 0.6, "critic": 0.5, "robust": 0.9}  # first ones of Adam
WARM_UP_STEPS = 100
EMA_DECAY = 0.998
LARGEST_GRADIENT = 100.0
LABEL_GAIN = 4 / 3  # of the exported codes: mean squared length near 100, as of normal codes
LOG_EVERY, SAVE_EVERY = 50, 200
DRAWN = ("rebuild", "style", "read", "cycle", "critic")


@dataclass(frozen=True)
class DigitsTraining:
    """How long each stage of the digits model is trained."""

    reader_steps: Annotated[int, "of the classifier that reads decoded digits in training"] = 600
    generator_steps: Annotated[int, "of encoder and generator"] = 2000
    robust_steps: Annotated[int, "of the encoder of damaged digits"] = 6000
    seed: Annotated[int, "of the initial weights, the batches and all noise"] = 0
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "go on from the state beside the model where there is one"] = True
    download: Annotated[bool, "fetch MNIST when it is missing"] = True


def train_digits(
    data_dir: str | Path,
    out_file: str | Path,
    settings: DigitsTraining,
    *,
    progress: Progress = silent,
) -> dict[str, object]:
    """Train the digits model on MNIST and write it.

    Beside `out_file` (stem S) it keeps state and curve (`lab/training/loop.py`), `S.samples.png`,
    and `S_clean_encoder.safetensors`, the encoder that saw clean digits only. A run that is stopped
    goes on from its last state, with the same result as one that was not. One thread on a CPU of
    2020 takes about three quarters of an hour.

    Args:
        data_dir: root of `torchvision.datasets.MNIST`; the data is downloaded there if missing.
        out_file: the model's file, replaced when it exists.
        settings: see there.
        progress: called with (stage, steps done, steps).

    Returns:
        `model`, `clean_encoder`: the files; `model_id`; `steps` of each stage.

    Raises:
        FaceLatentsError: the data is missing and cannot be downloaded.
        Paused: the minutes are over.
    """
    session = Session.start(settings.resume, settings.minutes, progress)
    out_file = Path(out_file)
    pictures, labels = read_mnist(data_dir, train=True, download=settings.download)
    networks = DigitsNetworks(settings.seed)
    stem = out_file.with_suffix("")
    run = Run(stem, networks.modules, networks.optimisers, session, drawn=DRAWN)
    for stage in _stages(networks, pictures, labels, settings):
        run.advance(stage)
    facts = {"steps": run.done, "seed": settings.seed, "pictures_per_class": PER_CLASS}
    return {**_export(networks, out_file, pictures, labels, facts), "steps": run.done}


class DigitsNetworks:
    """Networks, running means and optimisers of a run."""

    def __init__(self, seed: int) -> None:
        self.prior = make_prior()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets = Nets(
                DigitEncoder(CLASSES, 24, 48, 64), DigitEncoder(), DigitGenerator(), Critic(),
                DigitEncoder(),
            )  # fmt: skip
        nets = self.nets
        self.means = Means(*copy.deepcopy((nets.encoder, nets.generator, nets.robust)))
        trained = {**vars(nets), "generator": nn.ModuleList([nets.encoder, nets.generator])}
        self.optimisers = {
            name: torch.optim.Adam(trained[name].parameters(), betas=(first, 0.99))
            for name, first in BETAS.items()
        }
        self.modules: dict[str, nn.Module] = {
            **vars(nets),
            **{f"mean.{name}": net for name, net in vars(self.means).items()},
        }

    def start_robust(self) -> None:
        """The robust encoder begins as what the clean one has become."""
        for robust in (self.nets.robust, self.means.robust):
            robust.load_state_dict(self.means.encoder.state_dict())

    def descend(self, name: str, loss: Tensor) -> None:
        """A step of one of the optimisers."""
        descend(self.optimisers[name], loss, LARGEST_GRADIENT)

    def follow(self, name: str, step: int) -> None:
        """Move a running mean."""
        net, mean = getattr(self.nets, name), getattr(self.means, name)
        update_average(mean, net, early_decay(EMA_DECAY, step))


def _stages(
    networks: DigitsNetworks, pictures: Tensor, labels: Tensor, settings: DigitsTraining
) -> Iterator[Stage]:
    for number, name in enumerate(STAGES):
        batches = Balanced(pictures, labels, PER_CLASS[name], settings.seed)
        first_seed = (settings.seed * len(STAGES) + number) * 1_000_003

        def step(
            done: int, share: float, name: str, batches: Balanced, first_seed: int
        ) -> dict[str, Tensor]:
            rate = RATES[name] * min(1.0, (done + 1) / WARM_UP_STEPS) * cosine(share, 0.01)
            for optimiser in networks.optimisers.values():
                set_rate(optimiser, rate)
            networks.nets.reader.requires_grad_(name == "reader")
            noise = torch.Generator().manual_seed(first_seed + done)
            return _STEPS[name](networks, *batches.draw(done), noise, done)

        yield Stage(
            name,
            partial(step, name=name, batches=batches, first_seed=first_seed),
            getattr(settings, f"{name}_steps"),
            begin=networks.start_robust if name == "robust" else lambda: None,
            log_every=LOG_EVERY,
            save_every=SAVE_EVERY,
        )


def _read(
    networks: DigitsNetworks, pictures: Tensor, labels: Tensor, noise: torch.Generator, done: int
) -> dict[str, Tensor]:
    loss = read_step(networks.nets, pictures, labels, noise)
    networks.descend("reader", loss)
    return {"read": loss}


def _generate(
    networks: DigitsNetworks, pictures: Tensor, labels: Tensor, noise: torch.Generator, done: int
) -> dict[str, Tensor]:
    nets = networks.nets
    loss, losses, invented = generator_step(nets, networks.prior, pictures, labels, noise)
    networks.descend("generator", loss)
    losses["critic"] = critic_step(nets.critic, pictures, labels, invented)
    networks.descend("critic", losses["critic"])
    networks.follow("encoder", done)
    networks.follow("generator", done)
    return losses


def _harden(
    networks: DigitsNetworks, pictures: Tensor, labels: Tensor, noise: torch.Generator, done: int
) -> dict[str, Tensor]:
    nets, means = networks.nets, networks.means
    loss, losses = robust_step(nets.robust, means, networks.prior, pictures, labels, noise)
    networks.descend("robust", loss)
    networks.follow("robust", done)
    return losses


_STEPS = {"reader": _read, "generator": _generate, "robust": _harden}


def _export(
    networks: DigitsNetworks,
    out_file: Path,
    pictures: Tensor,
    labels: Tensor,
    facts: dict[str, object],
) -> dict[str, object]:
    """Write the model, the clean encoder and the samples."""
    means, nets = networks.means, {}
    for name, encoder in (("robust", means.robust), ("clean", means.encoder)):
        longer, generator = stretch_labels(encoder, means.generator, networks.prior, LABEL_GAIN)
        nets[name] = digit_net(longer, generator, code_statistics(longer, pictures, labels))
    model_id = export_digits(out_file, nets["robust"], "Digits", facts)
    clean = out_file.with_name(f"{out_file.stem}_clean_encoder.safetensors")
    save_clean_encoder(clean, nets["clean"], model_id)
    samples = draw_digits(load_face_model(out_file), pictures[:2000], labels[:2000])
    samples.save(out_file.with_suffix(".samples.png"))
    return {"model": out_file, "clean_encoder": clean, "model_id": model_id}

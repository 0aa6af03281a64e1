"""Training of an unconditional GAN of digits, of a classifier, and of encoders.

Stages: the classifier; generator and discriminator, which see no label; one encoder after the other
for the frozen generator, see `ENCODERS`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....models.architectures.digits import DigitEncoder, DigitGenerator
from ...data.digits import read_mnist
from ..digits.prior import CLASSES
from ..digits.steps import move_slightly
from ..loop import Progress, Run, Session, Stage, silent
from ..optimise import cosine, descend, early_decay, set_rate, update_average
from .export import export_gan
from .steps import (
    ENCODERS,
    LATENT,
    PENALTY_EVERY,
    Discriminator,
    discriminator_step,
    encoder_step,
    scale_weights,
    signed,
)

BATCH = {"classifier": 160, "gan": 64, **dict.fromkeys(ENCODERS, 64)}
RATES = {"classifier": 2e-3, "gan": 1e-3, **dict.fromkeys(ENCODERS, 1e-3)}
BETAS = {"generator": 0.0, "discriminator": 0.0}  # first ones of Adam; 0.9 where not named
EMA_DECAY = 0.999
LARGEST_GRADIENT = 1000.0
WARM_UP_STEPS = 100
LOG_EVERY, SAVE_EVERY = 50, 200
Step = Callable[..., dict[str, Tensor]]


@dataclass(frozen=True)
class DigitsGanTraining:
    """How long each network of the digits GAN is trained."""

    classifier_steps: Annotated[int, "of the classifier that the encoders are trained with"] = 600
    gan_steps: Annotated[int, "of generator and discriminator"] = 4000
    encoder_steps: Annotated[int, "of each encoder"] = 5000
    seed: Annotated[int, "of the initial weights, the batches and all noise"] = 0
    minutes: Annotated[float | None, "pause after so many; the same command goes on"] = None
    resume: Annotated[bool, "go on from the state beside the model where there is one"] = True
    download: Annotated[bool, "fetch MNIST when it is missing"] = True


def train_digits_gan(
    data_dir: str | Path,
    out_file: str | Path,
    settings: DigitsGanTraining,
    *,
    progress: Progress = silent,
) -> dict[str, object]:
    """Train the digits GAN on MNIST and write it.

    Beside `out_file` (stem S) it keeps state and curve (`lab/training/loop.py`), `S.samples.png`,
    and `S_encoders.safetensors`. A run that is stopped goes on from its last state, with the same
    result as one that was not. With the defaults it took 91 minutes, on one core that other
    work shared.

    Args:
        data_dir: root of `torchvision.datasets.MNIST`; the data is downloaded there if missing.
        out_file: the model's file, replaced when it exists.
        settings: see there.
        progress: called with (stage, steps done, steps).

    Returns:
        See `export_gan`; `steps` of each stage and the `minutes` they took.

    Raises:
        FaceLatentsError: the data is missing and cannot be downloaded.
        Paused: the minutes are over.
    """
    session = Session.start(settings.resume, settings.minutes, progress)
    out_file = Path(out_file)
    train = read_mnist(data_dir, train=True, download=settings.download)
    unseen, _ = read_mnist(data_dir, train=False, download=settings.download)
    networks = GanNetworks(settings.seed)
    run = Run(out_file.with_suffix(""), networks.modules, networks.optimisers, session)
    for stage in _stages(networks, *train, settings):
        run.advance(stage)
    facts = {"steps": run.done, "seed": settings.seed}
    minutes = {name: round(seconds / 60, 1) for name, seconds in run.seconds.items()}
    written = export_gan(out_file, networks.mean, networks.encoders, train, unseen, facts)
    return {**written, "steps": run.done, "minutes": minutes}


class GanNetworks:
    """Networks, the generator's running mean, and optimisers of a run."""

    def __init__(self, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.classifier = DigitEncoder(CLASSES, 24, 48, 64)
            self.generator = DigitGenerator(LATENT, hidden=128)
            self.discriminator = Discriminator()
            self.encoders = {
                name: DigitEncoder(2 * LATENT, hidden=128, deep=48) for name in ENCODERS
            }
            scale_weights(self.generator)
            scale_weights(self.discriminator)
        self.mean = copy.deepcopy(self.generator)
        trained: dict[str, nn.Module] = {
            "classifier": self.classifier,
            "generator": self.generator,
            "discriminator": self.discriminator,
            **self.encoders,
        }
        self.modules = {**trained, "mean.generator": self.mean}
        self.optimisers = {
            name: torch.optim.Adam(net.parameters(), betas=(BETAS.get(name, 0.9), 0.99))
            for name, net in trained.items()
        }

    def descend(self, name: str, loss: Tensor, rate: float) -> None:
        """A step of one of the optimisers."""
        set_rate(self.optimisers[name], rate)
        descend(self.optimisers[name], loss, LARGEST_GRADIENT)


def _stages(
    networks: GanNetworks, pictures: Tensor, labels: Tensor, settings: DigitsGanTraining
) -> Iterator[Stage]:
    steps: dict[str, tuple[Step, int]] = {
        "classifier": (_classify, settings.classifier_steps),
        "gan": (_generate, settings.gan_steps),
        **{name: (partial(_encode, name=name), settings.encoder_steps) for name in ENCODERS},
    }
    for number, (name, (function, count)) in enumerate(steps.items()):
        seed = (settings.seed * len(steps) + number) * 1_000_003

        def step(
            done: int,
            share: float,
            name: str,
            function: Step,
            seed: int,
        ) -> dict[str, Tensor]:
            rate = RATES[name] * min(1.0, (done + 1) / WARM_UP_STEPS) * cosine(share, 0.01)
            index = draw_batch(len(pictures), BATCH[name], done, seed)
            noise = torch.Generator().manual_seed(seed + done)
            batch = pictures[index].float() / 255
            return function(networks, batch, labels[index], noise, done, rate)

        yield Stage(
            name,
            partial(step, name=name, function=function, seed=seed),
            count,
            log_every=LOG_EVERY,
            save_every=SAVE_EVERY,
        )


def draw_batch(number: int, size: int, step: int, seed: int) -> Tensor:
    """Indices of a step's batch: the same step draws the same, each index once per round."""
    size = min(size, number)
    turn, place = divmod(step, number // size)
    order = torch.randperm(number, generator=torch.Generator().manual_seed(seed + turn))
    return order[place * size : (place + 1) * size]


def _classify(
    networks: GanNetworks,
    pictures: Tensor,
    labels: Tensor,
    noise: torch.Generator,
    done: int,
    rate: float,
) -> dict[str, Tensor]:
    loss = F.cross_entropy(networks.classifier(move_slightly(pictures, noise)), labels)
    networks.descend("classifier", loss, rate)
    return {"read": loss}


def _generate(
    networks: GanNetworks,
    pictures: Tensor,
    labels: Tensor,
    noise: torch.Generator,
    done: int,
    rate: float,
) -> dict[str, Tensor]:
    """A step of generator and discriminator; labels are left alone."""
    generator, discriminator = networks.generator, networks.discriminator
    fake = signed(generator(torch.randn((len(pictures), LATENT), generator=noise)))
    penalise = done % PENALTY_EVERY == 0
    losses = discriminator_step(discriminator, signed(pictures), fake, penalise)
    networks.descend("discriminator", torch.stack(list(losses.values())).sum(), rate)
    losses["fool"] = F.softplus(-discriminator(fake)).mean()
    networks.descend("generator", losses["fool"], rate)
    update_average(networks.mean, generator, early_decay(EMA_DECAY, done))
    return losses


def _encode(
    networks: GanNetworks,
    pictures: Tensor,
    labels: Tensor,
    noise: torch.Generator,
    done: int,
    rate: float,
    name: str,
) -> dict[str, Tensor]:
    """A step of an encoder; the generator's running mean and the classifier stay as they are."""
    drawn = torch.randn((len(pictures), LATENT), generator=noise)
    encoder = networks.encoders[name]
    loss, losses = encoder_step(
        encoder, networks.mean, networks.classifier, pictures, labels, drawn, ENCODERS[name]
    )
    networks.descend(name, loss, rate)
    return losses

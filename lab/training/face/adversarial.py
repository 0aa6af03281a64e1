"""Training a network against a critic: what every such run does, and keeps on disk."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ....models.architectures.face.net import RenderedFaceNet
from ...data.faces import FaceSet
from ..run_state import drop_rows_after, load_state, log_row, save_state
from .attribute_net import PARITIES, AttributeNet, attribute_values
from .critic import Critic, critic_loss, steepness
from .directions import ATTRIBUTES
from .edits import expected_changes
from .report import draw_curve, draw_samples, measure

# The critic's steepness costs a second derivative: it counts at one step of so many, with so much
# more weight (Karras et al. 2020), and for one photo of so many.
_FLATTENED, _PHOTOS_OF_ONE = 8, 4


@dataclass(frozen=True)
class Settings:
    """What every run against a critic is told."""

    steps: int
    batch: int
    rate: float
    critic_rate: float = 4e-4
    critic_steps: int = 1  # for each of the network
    flatness: float = 2e-5  # weight of the critic's steepness around photos
    largest_gradient: float = 10.0  # norm: without a limit a run now and then runs away
    averaging: float = 0.997  # decay of the running mean of the weights, which is what is kept
    check_every: int = 100
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Lessons:
    """What is learnt from, the same for every stage.

    Attributes:
        net: of the linear part and the controls as fitted.
        directions: `(A, K)` with their controls, in the order of `ATTRIBUTES`.
        train, val: faces to learn from, and unseen ones to measure on.
        codes: `(N, K)` of the faces to learn from.
        readers: read attributes; stay as they are.
    """

    net: RenderedFaceNet
    directions: Tensor
    train: FaceSet
    val: FaceSet
    codes: Tensor
    readers: Sequence[AttributeNet]

    def to(self, device: torch.device) -> Lessons:
        """The same on another device: training runs where its lessons are."""
        return Lessons(
            self.net.to(device),
            self.directions.to(device),
            self.train.to(device),
            self.val.to(device),
            self.codes.to(device),
            [reader.to(device) for reader in self.readers],
        )


@dataclass(frozen=True, eq=False)
class Judged:
    """Pictures for the critic.

    Attributes:
        pictures: `(B, 3, S, S)`.
        values: `(B, A)`, what they show or are to show.
        weights: of every place of each map of their scores, `(B, 1, N, N)`.
    """

    pictures: Tensor
    values: Tensor
    weights: list[Tensor]


def descend(
    optimiser: torch.optim.Optimizer,
    parameters: Sequence[Tensor],
    loss: Tensor,
    largest: float,
    step: int,
) -> None:
    """A step down a loss, with gradients of at most that norm, and none where they are infinite.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    if not bool(torch.isfinite(loss)):
        raise FloatingPointError(f"the loss is {loss.item()} at step {step}")
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    size = nn.utils.clip_grad_norm_(parameters, largest)
    if bool(torch.isfinite(size)):
        optimiser.step()


class AdversarialTraining(ABC):
    """A run, taken up where its state file left it.

    Args:
        lessons: see there.
        part: name of the network within `lessons.net` that is trained; the rest stays as it is.
        settings: see there.
        state_file: state; beside it the curve (`.curve.csv`, `.curve.png`) and a sheet of samples.
        columns: of the curve, after the step.
    """

    def __init__(
        self,
        lessons: Lessons,
        part: str,
        settings: Settings,
        state_file: Path,
        columns: tuple[str, ...],
    ) -> None:
        torch.manual_seed(settings.seed)
        self.net, self.settings, self.part = lessons.net.requires_grad_(False), settings, part
        self.train, self.val = lessons.train, lessons.val
        self.device = lessons.codes.device
        self.directions = lessons.directions
        self.readers = [reader.eval().requires_grad_(False) for reader in lessons.readers]
        self.values = attribute_values(self.train)
        self.expected = expected_changes(self.values)
        self.shown = copy.deepcopy(self.net)  # with the running mean of what is trained
        self.shown.dtype = torch.bfloat16
        self.learner: nn.Module = getattr(self.net, part).train().requires_grad_(True)
        self.average: nn.Module = getattr(self.shown, part)
        self.critic = Critic(len(ATTRIBUTES)).to(self.device)
        self.optimiser = torch.optim.Adam(
            self.learner.parameters(), settings.rate, betas=(0.5, 0.99), fused=True
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), settings.critic_rate, betas=(0.5, 0.99), fused=True
        )
        self.kept = (
            {
                f"net.{part}.": self.learner,
                "net.average.": self.average,
                "net.critic.": self.critic,
            },
            {part: self.optimiser, "critic": self.critic_optimiser},
        )
        self.step, self.state_file, self.columns = 0, state_file, columns
        stem = state_file.name.removesuffix(".state.safetensors")
        self.curve = state_file.with_name(f"{stem}.curve.csv")
        self.samples = state_file.with_name(f"{stem}.samples.png")
        if state_file.is_file():
            self.step = int(load_state(state_file, *self.kept)["step"])
        drop_rows_after(self.curve, self.step)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed + self.step)

    @abstractmethod
    def one_step(self) -> dict[str, float]:
        """One step of both sides; its losses."""

    def run(self, progress: Callable[[str, int, int], None]) -> None:
        """Train to the settings' end, logging and saving as it goes."""
        s, sums, count = self.settings, dict[str, float](), 0
        while self.step < s.steps:
            left = 1 - self.step / s.steps
            for group in self.optimiser.param_groups:
                group["lr"] = s.rate * min(1.0, 4 * left + 0.02)
            made = self.one_step()
            self.step += 1
            self._average()
            if set(made) != set(sums):
                sums, count = dict.fromkeys(made, 0.0), 0
            sums, count = {name: total + made[name] for name, total in sums.items()}, count + 1
            if self.step % s.check_every == 0 or self.step == s.steps:
                row = {name: total / count for name, total in sums.items()}
                self._report(row)
                progress(f"{self.part}, {row['psnr']:.2f} dB", self.step, s.steps)
                sums = {}

    def photos(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Crops and values; every second batch is mirrored."""
        crops, values = self.train.floats(index), self.values[index]
        if self.step % 2:
            return crops.flip(-1), values * torch.tensor(PARITIES, device=self.device)
        return crops, values

    def precision(self) -> torch.autocast:
        """Of networks in training."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def reader(self) -> AttributeNet:
        """The one whose turn it is: one alone is pleased by what only it takes for a smile."""
        return self.readers[self.step // 2 % len(self.readers)]

    def learn(self, losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> dict[str, float]:
        """One step of the learner down the weighted sum of losses; what they were."""
        loss = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self._apply(self.optimiser, list(self.learner.parameters()), loss)
        return {name: value.item() for name, value in losses.items()}

    def teach_critic(
        self,
        real: Judged,
        fake: Judged,
        wrong: Tensor,
        mistold: list[Tensor],
    ) -> float:
        """The critic's steps on photos and on what was drawn; the last one's loss.

        Args:
            real: photos.
            fake: what was drawn.
            wrong: `(n, A)`, what the first n of the photos do not show.
            mistold: weights of their scores when told that.
        """
        judged = torch.zeros(())
        for number in range(self.settings.critic_steps):
            with self.precision():
                features = self.critic(real.pictures)
                first = [f[: len(wrong)] for f in features]
                judged = critic_loss(
                    (self.critic.scores(features, real.values), real.weights),
                    (self.critic.scores(self.critic(fake.pictures), fake.values), fake.weights),
                    (self.critic.scores(first, wrong), mistold),
                )
            loss = judged
            if number == 0 and self.step % _FLATTENED == 0:
                some = slice(0, max(1, len(real.pictures) // _PHOTOS_OF_ONE))
                steep = steepness(self.critic, real.pictures[some], real.values[some])
                loss = judged + _FLATTENED * self.settings.flatness / 2 * steep
            self._apply(self.critic_optimiser, list(self.critic.parameters()), loss)
        return judged.item()

    def _apply(
        self, optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor], loss: Tensor
    ) -> None:
        descend(optimiser, parameters, loss, self.settings.largest_gradient, self.step)

    @torch.no_grad()
    def _average(self) -> None:
        # a short memory first, so that the start is forgotten soon
        keep = min(self.settings.averaging, self.step / (self.step + 10))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.learner.parameters()), 1 - keep
        )

    def _report(self, row: dict[str, float]) -> None:
        row |= measure(self.shown, self.directions, self.readers[0], self.val)
        log_row(self.curve, self.step, row, self.columns)
        draw_curve(self.curve, self.curve.with_suffix(".png"))
        draw_samples(self.shown, self.directions, self.val).save(self.samples)
        save_state(self.state_file, {"step": str(self.step)}, *self.kept)

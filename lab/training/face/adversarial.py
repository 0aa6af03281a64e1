"""Training a network against a critic: what every such run does,"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ....models.architectures.face.net import RenderedFaceNet
from ...data.faces import FaceSet
from ..loop import Run, Session, Stage
from ..optimise import descend, set_rate, update_average
from .attribute_net import PARITIES, AttributeNet, attribute_values
from .critic import Critic, critic_loss, steepness
from .directions import ATTRIBUTES
from .edits import expected_changes
from .samples import draw_samples, measure

# The critic's steepness costs a second derivative: it counts at one step of so many, with so much
# more weight (Karras et al. 2020), and for one photo of so many.
_FLATTENED, _PHOTOS_OF_ONE = 8, 4
DRAWN = ("psnr", "sharpness", "smile", "age", "glasses", "beard", "head_turn")


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


class AdversarialTraining(ABC):
    """A run, taken up where its state left it.

    Args:
        lessons: see there.
        part: name of the network within `lessons.net` that is trained; the rest stays as it is.
        settings: see there.
        stem: names state, curve and samples, see `Run`.
        session: see there.
    """

    def __init__(
        self, lessons: Lessons, part: str, settings: Settings, stem: Path, session: Session
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
        self.files = Run(
            stem,
            {part: self.learner, "average": self.average, "critic": self.critic},
            {part: self.optimiser, "critic": self.critic_optimiser},
            session,
            drawn=DRAWN,
        )
        self.samples = stem.with_name(f"{stem.name}.samples.png")
        self.step = self.files.done.get(part, 0)
        self.generator = torch.Generator(self.device).manual_seed(settings.seed + self.step)

    @abstractmethod
    def one_step(self) -> dict[str, float]:
        """One step of both sides; its losses."""

    def run(self) -> None:
        """Train to the settings' end, logging and saving as it goes."""
        self.files.advance(
            Stage(
                self.part,
                self._step,
                self.settings.steps,
                measure=lambda: measure(self.shown, self.directions, self.readers[0], self.val),
                report=lambda: draw_samples(self.shown, self.directions, self.val).save(
                    self.samples
                ),
                log_every=self.settings.check_every,
                save_every=self.settings.check_every,
            )
        )

    def _step(self, done: int, share: float) -> dict[str, float]:
        s, self.step = self.settings, done
        set_rate(self.optimiser, s.rate * min(1.0, 4 * (1 - share) + 0.02))
        losses = self.one_step()
        # a short memory first, so that the start is forgotten soon
        keep = min(s.averaging, (done + 1) / (done + 11))
        update_average(self.average, self.learner, keep)
        return losses

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
        descend(self.optimiser, loss, self.settings.largest_gradient)
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
            descend(self.critic_optimiser, loss, self.settings.largest_gradient)
        return judged.item()

"""Training the renderer of a rendered face model, and bending its directions, against a critic.

Every step takes photos, their linear codes, and one or two attribute edits for each. The renderer
learns, with the critic of `render_critic.py` against it,
- to draw the photo from its code (pixels, strength of detail, features of the critic, realism), and
- to draw the edited code as realistically, so that the *photo plus the change*, which is what users
  get back, shows the attribute that was asked for, keeps all others, and changes no more than that.

Directions start from the regression of `directions.py` and may move a little, so that what they
change is what the critic and the attribute network see.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..architectures.rendered import RenderedFaceNet
from .attribute_net import (
    BINARY,
    BINARY_SPAN,
    LARGEST,
    PARITIES,
    AttributeNet,
    as_values,
    attribute_values,
    batches,
    reading_loss,
)
from .directions import ATTRIBUTES
from .face_data import FaceSet
from .render_critic import (
    Critic,
    critic_loss,
    detail_distance,
    feature_distance,
    fooling_loss,
)
from .render_report import FULL_STRENGTH, draw_curve, draw_samples, measure
from .run_state import drop_rows_after, load_state, log_row, save_state

_LIGHTING = torch.tensor([a.name in ("light_left_right", "brightness") for a in ATTRIBUTES])
_NAMES = tuple(attribute.name for attribute in ATTRIBUTES)
LOSSES = ("pixels", "realism", "features", "detail", "attribute", "others", "least_change",
          "near_start")  # fmt: skip
COLUMNS = ("critic", *LOSSES, "psnr", "sharpness", *_NAMES, *[f"{name}_others" for name in _NAMES])


@dataclass(frozen=True)
class Settings:
    """How long to train, and the weight of each loss of `LOSSES`."""

    warm_steps: int = 1000  # pixels only
    steps: int = 2500
    batch: int = 24
    rate: float = 3e-4
    critic_rate: float = 1e-4
    direction_rate: float = 5e-4
    pixels: float = 30.0
    realism: float = 0.1
    features: float = 2.0
    detail: float = 120.0
    attribute: float = 4.0
    others: float = 1.0
    least_change: float = 1.0
    near_start: float = 1.0
    averaging: float = 0.998  # decay of the running mean of the weights, which is what is kept
    check_every: int = 100
    seed: int = 0


def edits_for(values: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Strengths and target values `(B, A)` each: one attribute per face, sometimes two.

    Mostly towards the other side of what the face shows, else either way.
    """
    number, count = values.shape
    strengths = torch.zeros(number, count)
    for share in (1.0, 0.2):
        which = torch.randint(0, count, (number,), generator=generator)
        own = values.gather(1, which[:, None])[:, 0]
        size = 0.5 + FULL_STRENGTH * torch.rand(number, generator=generator)
        random_sign = torch.randint(0, 2, (number,), generator=generator).float() * 2 - 1
        away = torch.rand(number, generator=generator) < 0.8
        sign = torch.where(away & (own != 0), -own.sign(), random_sign)
        taken = torch.rand(number, generator=generator) < share
        strengths[torch.arange(number)[taken], which[taken]] = (sign * size)[taken]
    binary = torch.tensor(BINARY)
    per_unit = torch.where(binary, BINARY_SPAN / FULL_STRENGTH, 1.0)
    limit = torch.where(binary, BINARY_SPAN / 2, LARGEST)
    targets = torch.clamp(values + strengths * per_unit, -limit, limit)
    return strengths, torch.where(strengths == 0, values, targets)


class RenderTraining:
    """A run, taken up where its state file left it.

    Args:
        net: of the linear part as fitted; its renderer is what is trained.
        start: directions `(A, K)` to start from, in the order of `ATTRIBUTES`, norm 1.
        train, val: faces to learn from, and unseen ones to measure on.
        reader: reads attributes; stays as it is.
        settings: see there.
        state_file: state; beside it the curve (`.curve.csv`, `.curve.png`) and a sheet of samples.
    """

    def __init__(
        self,
        net: RenderedFaceNet,
        start: Tensor,
        train: FaceSet,
        val: FaceSet,
        reader: AttributeNet,
        settings: Settings,
        state_file: Path,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.net, self.settings = net.requires_grad_(False), settings
        self.train, self.val, self.start = train, val, start
        self.reader = reader.eval().requires_grad_(False)
        self.values, self.parity = attribute_values(train), net.parity.float()
        with torch.no_grad():
            parts = torch.arange(len(train)).split(256)
            self.codes = torch.cat([net.encode(train.floats(part)) for part in parts])
        self.directions = nn.Parameter(start.clone())
        signs = torch.tensor(PARITIES)[:, None]
        self.allowed = (self.parity[None] == signs).float()
        self.average = copy.deepcopy(net.renderer)
        self.renderer = net.renderer.train().requires_grad_(True)
        self.critic = Critic()
        groups = [
            {"params": list(self.renderer.parameters()), "lr": settings.rate},
            {"params": [self.directions], "lr": settings.direction_rate},
        ]
        self.optimiser = torch.optim.Adam(groups, betas=(0.5, 0.99), fused=True)
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), settings.critic_rate, betas=(0.5, 0.99), fused=True
        )
        self.kept = (
            {
                "net.renderer.": self.renderer,
                "net.average.": self.average,
                "net.critic.": self.critic,
            },
            {"renderer": self.optimiser, "critic": self.critic_optimiser},
            {"directions": self.directions},
        )
        self.step, self.state_file = 0, state_file
        stem = state_file.name.removesuffix(".state.safetensors")
        self.curve = state_file.with_name(f"{stem}.curve.csv")
        self.samples = state_file.with_name(f"{stem}.samples.png")
        if state_file.is_file():
            self.step = int(load_state(state_file, *self.kept)["step"])
        drop_rows_after(self.curve, self.step)
        self.generator = torch.Generator().manual_seed(settings.seed + self.step)
        self.chosen = batches(len(train), settings.batch, self.generator)

    def unit_directions(self) -> Tensor:
        """Directions `(A, K)`, norm 1, of the parity that each attribute has."""
        return F.normalize(self.directions * self.allowed, dim=1)

    def run(self, progress: Callable[[str, int, int], None]) -> None:
        """Train to the settings' end, logging and saving as it goes."""
        s, sums, count = self.settings, dict[str, float](), 0
        while self.step < s.steps:
            left = 1 - self.step / s.steps
            rates = (s.rate, s.direction_rate)
            for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * min(1.0, 4 * left + 0.02)
            made = self.warm_step() if self.step < s.warm_steps else self.adversarial_step()
            self.step += 1
            self._average()
            if set(made) != set(sums):
                sums, count = dict.fromkeys(made, 0.0), 0
            sums, count = {name: total + made[name] for name, total in sums.items()}, count + 1
            if self.step % s.check_every == 0 or self.step == s.steps:
                row = {name: total / count for name, total in sums.items()}
                self._report(row)
                progress(f"renderer, {row['psnr']:.2f} dB", self.step, s.steps)
                sums = {}

    def warm_step(self) -> dict[str, float]:
        """One step on the pixels alone; its losses."""
        crops, codes, _ = self._batch()
        linear = self.net.linear_picture(codes)
        with torch.autocast("cpu", torch.bfloat16):
            drawn = self.renderer(linear, codes)
        loss = F.l1_loss(drawn, crops)
        mine = list(self.renderer.parameters())
        gradients = torch.autograd.grad(self.settings.pixels * loss, mine)
        self._apply(self.optimiser, mine, gradients, loss)
        return {"pixels": loss.item()}

    def adversarial_step(self) -> dict[str, float]:
        """One step of both sides; its losses."""
        crops, codes, values = self._batch()
        strengths, targets = edits_for(values, self.generator)
        number = len(crops)
        every = torch.cat([codes, codes + strengths @ self.unit_directions()])
        linear = self.net.linear_picture(every)
        with torch.autocast("cpu", torch.bfloat16):
            both = self.renderer(linear, every)
            drawn, edited = both.chunk(2)
            change = edited - drawn
            real, real_features = self.critic(crops)
            fake, fake_features = self.critic(both.clamp(0, 1))
            with torch.no_grad():
                before = as_values(self.reader(crops).float())
            # What users get back: their photo plus the change. Only the edited picture may move:
            # otherwise spoiling the unedited one is a way to make the change larger.
            pasted = crops + edited - drawn.detach()
            outputs = self.reader(pasted.clamp(0, 1)).float()
        # one pass serves both sides: first the critic's gradients, then the renderer's
        critic = critic_loss(real, fake)
        theirs = list(self.critic.parameters())
        their_gradients = torch.autograd.grad(critic, theirs, retain_graph=True)
        edit = strengths != 0
        pixels_edited = (edit & _LIGHTING).any(1)
        losses = {
            "pixels": F.l1_loss(drawn, crops),
            "realism": fooling_loss(fake),
            "features": feature_distance(real_features, [f[:number] for f in fake_features]),
            "detail": detail_distance(crops, drawn.float()),
            "attribute": (reading_loss(outputs, targets) * edit).sum(1).mean(),
            "others": ((as_values(outputs) - before).square() * ~edit).sum(1).mean() / 4,
            "least_change": (change.abs().mean((1, 2, 3)) * ~pixels_edited).mean(),
            "near_start": (1 - (self.unit_directions() * self.start).sum(1)).sum(),
        }
        weights = asdict(self.settings)
        loss = torch.stack([weights[name] * losses[name] for name in LOSSES]).sum()
        mine = [self.directions, *self.renderer.parameters()]
        self._apply(self.optimiser, mine, torch.autograd.grad(loss, mine), loss)
        self._apply(self.critic_optimiser, theirs, their_gradients, critic)
        return {"critic": critic.item(), **{name: value.item() for name, value in losses.items()}}

    def _batch(self) -> tuple[Tensor, Tensor, Tensor]:
        """Crops, codes and values; every second batch is mirrored."""
        index = next(self.chosen)
        crops, codes, values = self.train.floats(index), self.codes[index], self.values[index]
        if self.step % 2:
            return crops.flip(-1), codes * self.parity, values * torch.tensor(PARITIES)
        return crops, codes, values

    def _apply(
        self,
        optimiser: torch.optim.Optimizer,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        loss: Tensor,
    ) -> None:
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.step}")
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimiser.step()

    @torch.no_grad()
    def _average(self) -> None:
        # a short memory first, so that the start is forgotten soon
        keep = min(self.settings.averaging, self.step / (self.step + 10))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.renderer.parameters()), 1 - keep
        )

    def _report(self, row: dict[str, float]) -> None:
        known = (self.net, self.average, self.unit_directions().detach())
        row |= measure(*known, self.reader, self.val)
        log_row(self.curve, self.step, row, COLUMNS)
        draw_curve(self.curve, self.curve.with_suffix(".png"))
        draw_samples(*known, self.val).save(self.samples)
        save_state(self.state_file, {"step": str(self.step)}, *self.kept)

"""Training the renderer of a rendered face model against a critic.

Every step takes photos, their linear codes, and one or two attribute edits for each. The renderer
learns, with the critic of `render_critic.py` against it,
- to draw the photo from its code (pixels, strength of detail, features of the critic, realism), and
- to draw the edited code so that the *photo plus the change, moved*, which is what users get back,
  passes for a photo, shows the attribute that was asked for (with the mouth as wide and as high as
  goes with it in the data), keeps all others and the contrast, and does not depart far from the
  linear change.

Directions (`directions.py`) and the motion of controls (`motion_fields.py`) stay as fitted: left
free, the one gains nothing and the other stretches faces to please the networks.
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
    PARITIES,
    AttributeNet,
    as_values,
    attribute_values,
    batches,
    reading_loss,
    seen,
)
from .directions import ATTRIBUTES
from .face_data import FaceSet
from .render_critic import Critic, critic_loss, feature_distance, fooling_loss, weights_of
from .render_edits import (
    LIGHTING,
    NAMES,
    TAUGHT,
    edits_for,
    expected_changes,
    followed_shares,
)
from .render_losses import (
    contrast_distance,
    departure,
    detail_distance,
    linear_change,
    pixel_distance,
)
from .render_report import FACE, draw_curve, draw_samples, measure
from .run_state import drop_rows_after, load_state, log_row, save_state

LOSSES = ("pixels", "realism", "features", "detail", "attribute", "others", "contrast",
          "near_linear")  # fmt: skip
COLUMNS = ("critic", *LOSSES, "psnr", "sharpness", *NAMES, *[f"{name}_others" for name in NAMES])


@dataclass(frozen=True)
class Settings:
    """How long to train, and the weight of each loss of `LOSSES`."""

    warm_steps: int = 1000  # pixels only
    steps: int = 6000
    batch: int = 24
    rate: float = 1.5e-4
    critic_rate: float = 4e-4
    critic_steps: int = 2  # for each of the renderer, which otherwise runs away from it
    largest_gradient: float = 10.0  # norm: without a limit a run now and then runs away
    pixels: float = 10.0
    realism: float = 2.2
    features: float = 2.0
    detail: float = 900.0
    attribute: float = 2.4
    others: float = 2.6
    contrast: float = 8.0
    near_linear: float = 2.5
    averaging: float = 0.997  # decay of the running mean of the weights, which is what is kept
    check_every: int = 100
    seed: int = 0


class RenderTraining:
    """A run, taken up where its state file left it.

    Args:
        net: of the linear part and the controls as fitted; its renderer is what is trained.
        directions: `(A, K)` with their controls, in the order of `ATTRIBUTES`.
        train, val: faces to learn from, and unseen ones to measure on.
        codes: `(N, K)` of the faces to learn from.
        readers: read attributes; stay as they are.
        settings: see there.
        state_file: state; beside it the curve (`.curve.csv`, `.curve.png`) and a sheet of samples.
    """

    def __init__(
        self,
        net: RenderedFaceNet,
        directions: Tensor,
        train: FaceSet,
        val: FaceSet,
        codes: Tensor,
        readers: Sequence[AttributeNet],
        settings: Settings,
        state_file: Path,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.net, self.settings = net.requires_grad_(False), settings
        self.train, self.val, self.codes, self.directions = train, val, codes, directions
        self.readers = [reader.eval().requires_grad_(False) for reader in readers]
        self.values, self.parity = attribute_values(train), net.code_parity.float()
        self.expected = expected_changes(self.values)
        self.renderer = net.renderer.train().requires_grad_(True)
        self.shown = copy.deepcopy(net)  # with the running mean of the renderer
        self.shown.dtype = torch.bfloat16
        self.critic = Critic(len(ATTRIBUTES))
        self.optimiser = torch.optim.Adam(
            self.renderer.parameters(), settings.rate, betas=(0.5, 0.99), fused=True
        )
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), settings.critic_rate, betas=(0.5, 0.99), fused=True
        )
        self.kept = (
            {
                "net.renderer.": self.renderer,
                "net.average.": self.shown.renderer,
                "net.critic.": self.critic,
            },
            {"renderer": self.optimiser, "critic": self.critic_optimiser},
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

    def run(self, progress: Callable[[str, int, int], None]) -> None:
        """Train to the settings' end, logging and saving as it goes."""
        s, sums, count = self.settings, dict[str, float](), 0
        while self.step < s.steps:
            left = 1 - self.step / s.steps
            for group in self.optimiser.param_groups:
                group["lr"] = s.rate * min(1.0, 4 * left + 0.02)
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
            drawn = self.renderer(linear, codes, self.net.strengths(codes))
        loss = F.l1_loss(drawn, crops)
        mine = list(self.renderer.parameters())
        gradients = torch.autograd.grad(self.settings.pixels * loss, mine)
        self._apply(self.optimiser, mine, gradients, loss)
        return {"pixels": loss.item()}

    def adversarial_step(self) -> dict[str, float]:
        """One step of both sides; its losses."""
        crops, codes, values = self._batch()
        strengths, wanted, example = edits_for(values, self.generator)
        number, count, edit = len(crops), len(ATTRIBUTES), strengths != 0
        lit, taught = (edit & LIGHTING).any(1), edit & TAUGHT
        every = torch.cat([codes, codes + strengths @ self.directions])
        linear = self.net.linear_picture(every)
        example_change = linear_change(self.net, codes, example @ self.directions, linear[:number])
        with torch.autocast("cpu", torch.bfloat16):
            drawn, edited = self.renderer(linear, every, self.net.strengths(every)).chunk(2)
            # Only the edited picture may learn from the change: otherwise spoiling the unedited
            # one is a way to a larger or smaller one.
            change = edited - drawn.detach()
            # what users get back: their photo plus the change, moved
            allowed = torch.where(lit[:, None, None, None], 1.0, FACE)
            pasted = self.net.move(crops + allowed * change, every[number:])
            with torch.no_grad():
                real_features = self.critic(crops)
            pictures = torch.cat([drawn, pasted]).clamp(0, 1)
            fake_features = self.critic(pictures)
            shown = torch.cat([values[:, :count], values[:, :count] + wanted])
            fake = self.critic.scores(fake_features, shown)
            places = weights_of(fake, self.net.move(allowed * change.detach(), every[number:]))
            # in turn: one network alone would be pleased by what only it takes for a smile
            reader = self.readers[self.step // 2 % len(self.readers)]
            view = seen(torch.cat([crops, pictures[number:]]), self.generator)
            with torch.no_grad():
                before = as_values(reader(view[:number]).float())
            outputs = reader(view[number:]).float()
        still = torch.cat([~edit, torch.ones(number, len(PARITIES) - count, dtype=torch.bool)], 1)
        expected = torch.cat([torch.zeros_like(wanted), wanted @ self.expected], 1)
        targets = F.pad(values[:, :count] + wanted, (0, len(PARITIES) - count))
        losses = {
            "pixels": pixel_distance(drawn, crops),
            "realism": fooling_loss(fake, places),
            "features": feature_distance(real_features, [f[:number] for f in fake_features]),
            "detail": detail_distance(crops, drawn.float()),
            "attribute": (reading_loss(outputs, targets)[:, :count] * taught).sum(1).mean(),
            "others": ((as_values(outputs) - before - expected).square() * still).sum(1).mean() / 4,
            "contrast": contrast_distance(crops, pasted),
            "near_linear": departure(change, example_change, followed_shares(edit)),
        }
        weights = asdict(self.settings)
        loss = torch.stack([weights[name] * losses[name] for name in LOSSES]).sum()
        mine = list(self.renderer.parameters())
        self._apply(self.optimiser, mine, torch.autograd.grad(loss, mine), loss)
        made = {name: value.item() for name, value in losses.items()}
        for _ in range(self.settings.critic_steps):
            made["critic"] = self._teach_critic(crops, pictures.detach(), shown, places)
        return made

    def _teach_critic(
        self, crops: Tensor, pictures: Tensor, shown: Tensor, places: list[Tensor]
    ) -> float:
        """One step of the critic on photos and on what was made of them; its loss."""
        before, after = shown.chunk(2)
        with torch.autocast("cpu", torch.bfloat16):
            features = self.critic(crops)
            real, mistold = (self.critic.scores(features, v) for v in (before, after))
            fake = self.critic.scores(self.critic(pictures), shown)
        loss = critic_loss(real, fake, mistold, places)
        mine = list(self.critic.parameters())
        self._apply(self.critic_optimiser, mine, torch.autograd.grad(loss, mine), loss)
        return loss.item()

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
        nn.utils.clip_grad_norm_(parameters, self.settings.largest_gradient)
        optimiser.step()

    @torch.no_grad()
    def _average(self) -> None:
        # a short memory first, so that the start is forgotten soon
        keep = min(self.settings.averaging, self.step / (self.step + 10))
        torch._foreach_lerp_(
            list(self.shown.renderer.parameters()), list(self.renderer.parameters()), 1 - keep
        )

    def _report(self, row: dict[str, float]) -> None:
        row |= measure(self.shown, self.directions, self.readers[0], self.val)
        log_row(self.curve, self.step, row, COLUMNS)
        draw_curve(self.curve, self.curve.with_suffix(".png"))
        draw_samples(self.shown, self.directions, self.val).save(self.samples)
        save_state(self.state_file, {"step": str(self.step)}, *self.kept)

"""Training of the renderer against a critic, on parts of canonical faces.

Every step takes parts of photos, their codes, and an edit of each. The renderer learns
- to draw the photo from its code (pixels, realism), and
- to draw the edited code so that the photo plus the change, which is what users get, passes for a
  photo, while the change's coarse part stays that of the linear sum, which regression measured.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.architectures.face.net import FaceShapeAppearanceNet
from ....models.architectures.face.renderer import Renderer
from ....models.charts import picture_grid
from ....models.imaging.light import apply_log_odds, log_odds_change
from ..loop import Run, Session, Stage
from ..optimise import early_decay, set_rate, update_average
from .critic import Critic, critic_loss, fooling_loss

WARM_STEPS = 500  # on pixels alone
PART = 112  # pixels a side
RATE, CRITIC_RATE = 3e-4, 4e-4
PIXELS, REALISM, COARSE = 12.0, 0.25, 6.0  # weights of the losses
EMA_DECAY = 0.998
COARSE_PIXELS = 8  # changes are linear when seen this coarse
LEAST_CHANGE = 0.02  # mean absolute change at which a place counts half


@dataclass(frozen=True, eq=False)
class Faces:
    """What the renderer is trained on.

    Attributes:
        pictures: canonical faces `(N, 3, S, S)` uint8.
        codes: their appearances `(N, K)`.
        parted: `(N,)` in [0, 1], how much of the mouth's inside they show.
        edits: `(D, K)`, changes of appearances.
        mouth: `(S, S)`, 1 inside of the canonical lips.
    """

    pictures: Tensor
    codes: Tensor
    parted: Tensor
    edits: Tensor
    mouth: Tensor


class RenderTraining:
    """Renderer and critic in training, and the renderer's running mean."""

    def __init__(
        self, net: FaceShapeAppearanceNet, faces: Faces, steps: int, batch: int, seed: int
    ) -> None:
        self.net, self.faces, self.steps, self.batch, self.seed = net, faces, steps, batch, seed
        torch.manual_seed(seed)
        self.renderer, self.critic = Renderer(net.size), Critic(net.size)
        self.average = copy.deepcopy(self.renderer).eval()
        self.own = torch.optim.Adam(self.renderer.parameters(), RATE, (0.5, 0.95), fused=True)
        self.other = torch.optim.Adam(
            self.critic.parameters(), CRITIC_RATE, (0.5, 0.95), fused=True
        )
        self.parity = net.appearance.parity.float()

    def run(self, stem: Path, session: Session, report: Callable[[], None]) -> Renderer:
        """Train to the end, or to that of the session; the mean renderer.

        Raises:
            Paused: the session is over.
        """
        modules = {"renderer": self.renderer, "average": self.average, "critic": self.critic}
        run = Run(stem, modules, {"own": self.own, "other": self.other}, session)
        run.advance(
            Stage(
                "render", self.step, steps=self.steps, log_every=100, save_every=250, report=report
            )
        )
        return self.average

    def draw(self, done: int) -> tuple[Tensor, Tensor, Tensor, Tensor, tuple[int, int]]:
        """Photos, where they hide the mouth's inside, soft drawings of their codes and of edited
        ones, all parts; and their corner."""
        generator = torch.Generator().manual_seed(self.seed + 1 + done)
        rows = torch.randint(len(self.faces.codes), (self.batch,), generator=generator)
        photos, codes = self.faces.pictures[rows].float() / 255, self.faces.codes[rows]
        if done % 2:
            photos, codes = photos.flip(-1), codes * self.parity
        which = torch.randint(len(self.faces.edits), (self.batch,), generator=generator)
        strength = torch.randn(self.batch, generator=generator).clamp(-2, 2) * 1.5
        after = codes + strength[:, None] * self.faces.edits[which]
        corner = [
            4 * int(torch.randint((self.net.size - PART) // 4 + 1, (), generator=generator))
            for _ in range(2)
        ]
        top, left = corner

        def part(x: Tensor) -> Tensor:
            return x[..., top : top + PART, left : left + PART]

        with torch.no_grad():
            bases = self.net.base(torch.cat([codes, after]))
        before, edited = part(bases).chunk(2)
        hidden = (1 - self.faces.parted[rows])[:, None, None, None] * part(self.faces.mouth)
        return part(photos), hidden, before, edited, (top, left)

    def step(self, done: int, share: float) -> dict[str, Tensor]:
        """One step of both."""
        torch.manual_seed(self.seed + 1 + done)  # the critic's noise
        photos, hidden, before, edited, corner = self.draw(done)
        # what nobody saw is to stay what the rest of the face makes likely
        photos = photos + hidden * (before - photos)
        rate = min(1.0, (done + 1) / 100) * (1.0 if share < 0.7 else max(0.02, (1 - share) / 0.3))
        set_rate(self.own, RATE * rate)
        set_rate(self.other, CRITIC_RATE * rate)
        warm = done < WARM_STEPS
        if warm:
            drawn = self.renderer(before, corner)
            losses = {"pixels": F.l1_loss(drawn, photos)}
            loss = PIXELS * losses["pixels"]
        else:
            drawn, after = self.renderer(torch.cat([before, edited]), corner).chunk(2)
            change = log_odds_change(drawn.detach().clamp(0, 1), after.clamp(0, 1))
            pasted = apply_log_odds(photos, change)
            weights = self.weights(pasted.detach() - photos)
            scores = self.critic(torch.cat([drawn, pasted]), corner)
            coarse = F.avg_pool2d(after - drawn.detach(), COARSE_PIXELS)
            expected = F.avg_pool2d(edited - before, COARSE_PIXELS)
            losses = {
                "pixels": F.l1_loss(drawn, photos),
                "realism": fooling_loss(scores, weights),
                "coarse": F.l1_loss(coarse, expected),
            }
            loss = (
                PIXELS * losses["pixels"] + REALISM * losses["realism"] + COARSE * losses["coarse"]
            )
        self.own.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.renderer.parameters()))
        torch.nn.utils.clip_grad_norm_(self.renderer.parameters(), 5.0)
        self.own.step()
        if not warm:
            both = torch.cat([photos, drawn.detach(), pasted.detach()])
            all_scores = self.critic(both, corner)
            n = len(photos)
            judged = critic_loss([s[:n] for s in all_scores], [s[n:] for s in all_scores], weights)
            self.other.zero_grad(set_to_none=True)
            judged.backward()
            self.other.step()
            losses["critic"] = judged
        update_average(self.average, self.renderer, early_decay(EMA_DECAY, done))
        return losses

    def weights(self, change: Tensor) -> list[Tensor]:
        """How much each place counts: all of drawn faces, and where edited photos change."""
        size = change.abs().mean(1, keepdim=True)
        result = []
        for shrink in (4, 16):
            w = F.avg_pool2d(size, shrink)
            w = w / (w + LEAST_CHANGE)
            result.append(torch.cat([torch.ones_like(w), w]))
        return result


@torch.no_grad()
def draw_samples(training: RenderTraining, path: Path) -> None:
    """Photos, soft and sharp drawings of their codes, and what edits make of the photos."""
    count = len(training.faces.codes)
    rows = torch.linspace(0, count - 1, 7).long()
    photos, codes = training.faces.pictures[rows].float() / 255, training.faces.codes[rows]
    soft = training.net.base(codes)
    drawn = training.average(soft)
    sheet = [photos, soft, drawn]
    for edit in training.faces.edits[:4]:
        after = training.average(training.net.base(codes + 2 * edit))
        change = log_odds_change(drawn.clamp(0, 1), after.clamp(0, 1))
        sheet.append(apply_log_odds(photos, change))
    picture_grid([part.clamp(0, 1) for part in sheet], [], [], theme="light").save(path)

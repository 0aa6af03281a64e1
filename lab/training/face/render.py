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

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..classifier import batches
from ..loop import Session
from . import adversarial
from .adversarial import AdversarialTraining, Judged, Lessons
from .critic import feature_distance, fooling_loss, weights_of
from .directions import ATTRIBUTES
from .edits import edits_for, followed_shares
from .losses import (
    contrast_distance,
    departure,
    detail_distance,
    linear_change,
    pixel_distance,
    reading_losses,
)
from .samples import FACE

LOSSES = ("pixels", "realism", "features", "detail", "attribute", "others", "contrast",
          "near_linear")  # fmt: skip


@dataclass(frozen=True)
class Settings(adversarial.Settings):
    """How long to train, and the weight of each loss of `LOSSES`."""

    warm_steps: int = 1000  # pixels only
    steps: int = 12000
    batch: int = 24
    rate: float = 1.5e-4
    pixels: float = 10.0
    realism: float = 6.0
    features: float = 2.0
    detail: float = 900.0
    attribute: float = 2.4
    others: float = 2.6
    contrast: float = 8.0
    near_linear: float = 2.5


class RenderTraining(AdversarialTraining):
    """A run of the renderer of `lessons.net`, whose edits are put back without a retoucher."""

    def __init__(self, lessons: Lessons, settings: Settings, stem: Path, session: Session) -> None:
        super().__init__(lessons, "renderer", settings, stem, session)
        self.weights, self.warm_steps = asdict(settings), settings.warm_steps
        self.codes, self.parity = lessons.codes, self.net.code_parity.float()
        self.chosen = batches(len(self.train), settings.batch, self.generator)

    def one_step(self) -> dict[str, float]:
        """One step on the pixels alone, or of both sides; its losses."""
        return self.warm_step() if self.step < self.warm_steps else self.adversarial_step()

    def next_faces(self) -> tuple[Tensor, Tensor, Tensor]:
        """Crops, codes and values."""
        index = next(self.chosen)
        codes, (crops, values) = self.codes[index], self.photos(index)
        return crops, codes * self.parity if self.step % 2 else codes, values

    def warm_step(self) -> dict[str, float]:
        """One step on the pixels alone; its losses."""
        crops, codes, _ = self.next_faces()
        linear = self.net.linear_picture(codes)
        with self.precision():
            drawn = self.net.renderer(linear, codes, self.net.strengths(codes))
        return self.learn({"pixels": F.l1_loss(drawn, crops)}, self.weights)

    def adversarial_step(self) -> dict[str, float]:
        """One step of both sides; its losses."""
        crops, codes, values = self.next_faces()
        strengths, wanted, example = edits_for(values, self.generator)
        number, count, edit = len(crops), len(ATTRIBUTES), strengths != 0
        parts = self.net.split_edit(codes, codes + strengths @ self.directions)
        every = torch.cat([codes, parts.target])
        linear = self.net.linear_picture(every)
        example_change = linear_change(self.net, codes, example @ self.directions, linear[:number])
        with self.precision():
            drawn, edited = self.net.renderer(linear, every, self.net.strengths(every)).chunk(2)
            # Only the edited picture may learn from the change: otherwise spoiling the unedited
            # one is a way to a larger or smaller one.
            change = edited - drawn.detach()
            # what users get back: their photo plus the change, moved
            allowed = FACE.to(self.device)
            pasted = self.net.carry_over(crops, allowed * change, parts, codes.new_zeros(number))
            with torch.no_grad():
                real_features = self.critic(crops)
            # not clamped: nothing would call back what has left the range
            pictures = torch.cat([drawn, pasted])
            fake_features = self.critic(pictures)
            shown = torch.cat([values[:, :count], values[:, :count] + wanted])
            fake = self.critic.scores(fake_features, shown)
            seen_change = self.net.move(allowed * change.detach(), parts.shift)
            places = weights_of(fake, seen_change)
        read, apart = reading_losses(
            self.reader(),
            (crops, pictures[number:]),
            values,
            wanted,
            self.expected,
            edit,
            self.generator,
        )
        losses = {
            "pixels": pixel_distance(drawn, crops),
            "realism": fooling_loss(fake, places),
            "features": feature_distance(real_features, [f[:number] for f in fake_features]),
            "detail": detail_distance(crops, drawn.float()),
            "attribute": read,
            "others": apart,
            "contrast": contrast_distance(crops, pasted),
            "near_linear": departure(change, example_change, followed_shares(edit)),
        }
        made = self.learn(losses, self.weights)
        differs = (wanted != 0).any(1)[:, None, None, None]
        made["critic"] = self.teach_critic(
            Judged(crops, values[:, :count], [w[:number] + w[number:] for w in places]),
            Judged(pictures.detach(), shown, places),
            shown[number:],
            [w[number:] * differs for w in places],
        )
        return made

"""Teaching the retoucher to leave out spots that no face has, and to put clear glasses on.

Taught by attribute networks and a critic, it shows age by a dark spot between the brows of every
face, where frowns are. Further training of that kind does not lose it, so at the end the retoucher
learns from itself (distillation, Hinton et al. 2015): examples are the changes it makes, but where
an older face leaves what faces show at that place (`spots.py`), the fine part is taken out, and new
glasses get clear lenses and darker rims. All else stays as it was, and none of it takes time when
faces are edited.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ....models.architectures.face.net import RenderedFaceNet
from ....models.files.tensors import tensors_hash
from ..loop import Run, Session, Stage
from ..optimise import cosine, descend, set_rate
from .adversarial import Lessons
from .edits import LIGHTING, NAMES
from .spots import clear_glasses, remove_spots, usual_bands
from .views import vary_photos

_AGE, _GLASSES = NAMES.index("age"), NAMES.index("glasses")
_TAUGHT = {"age": 4.0, "glasses": 3.0}  # how often each is taught, beside all others
_RIGHTLY = 0.85  # share of edits to the side that is to change
_WEAKEST, _STRONGEST = 1.0, 4.0
_WHOLE_FROWN = 1.5  # strength from which all of it is taken out that ever is
# How much of the fine part of an age is taken out where faces frown. Some is usual there, but in
# lines of one's own.
_FROWN_SHARE = 0.85
_COUNTS = 10.0  # how much more a spot counts than other places
_WARM = 20  # steps
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Settings:
    """How long to teach."""

    steps: int = 1000
    batch: int = 8
    rate: float = 1e-4
    check_every: int = 20
    seed: int = 0


class SpotlessTraining:
    """A run that teaches the retoucher of `lessons.net`, taken up where it was left if that is
    still the same.

    Args:
        lessons: the network, trained; it stays as it is.
        settings: see there.
        stem: names state and curve, see `Run`.
        session: see there.

    Attributes:
        net: a copy that is taught.
    """

    def __init__(self, lessons: Lessons, settings: Settings, stem: Path, session: Session) -> None:
        self.settings, self.train = settings, lessons.train
        self.example, self.directions = lessons.net.eval().requires_grad_(False), lessons.directions
        self.example.dtype = torch.bfloat16
        self.net = copy.deepcopy(self.example)
        assert self.net.retoucher is not None
        self.learner = self.net.retoucher.requires_grad_(True)
        self.optimiser = torch.optim.Adam(
            self.learner.parameters(), settings.rate, betas=(0.9, 0.99)
        )
        self.files = Run(
            stem,
            {"retoucher": self.learner},
            {"retoucher": self.optimiser},
            session,
            identity=tensors_hash(self.example.state_dict()),
        )
        self.step = self.files.done.get("spotless", 0)
        device = lessons.codes.device
        self.generator = torch.Generator(device).manual_seed(settings.seed + self.step)
        often = torch.tensor([_TAUGHT.get(name, 1.0) for name in NAMES])
        self.often = often.masked_fill(LIGHTING, 0.0).to(device)  # nobody draws light

    def run(self) -> None:
        """Teach to the settings' end, logging and saving as it goes."""
        s = self.settings
        stage = Stage(
            "spotless", self._step, s.steps, log_every=s.check_every, save_every=s.check_every
        )
        self.files.advance(stage)
        self.net.eval().requires_grad_(False)

    def _step(self, done: int, share: float) -> dict[str, Tensor]:
        self.step = done
        warm = min(1.0, (done + 1) / _WARM)
        set_rate(self.optimiser, self.settings.rate * warm * cosine(share))
        return self.one_step()

    @cached_property
    def usual(self) -> Tensor:
        """See `remove_spots`; measured on all faces, so not before a step is taken."""
        return usual_bands(self.train)

    def one_step(self) -> dict[str, Tensor]:
        """One step; mean distances from the examples, everywhere and where there were spots."""
        photos, which, strength = self.edits()
        older, glasses = ((which == i) & (strength > 0) for i in (_AGE, _GLASSES))
        codes = self.example.encode(photos)
        frown = _FROWN_SHARE * older * (strength / _WHOLE_FROWN).clamp(0, 1)
        with torch.no_grad():
            edited = codes + strength[:, None] * self.directions[which]
            parts = self.example.split_edit(codes, edited)
            told = self.example.strengths(parts.target - codes)
            before, after = self.example.draw(torch.cat([codes, parts.target])).chunk(2)
            made = _retouched(self.example, photos, before, after, told)
            clean, spots = remove_spots(photos, made, self.usual, frown)
            older, glasses = (x[:, None, None, None] for x in (older, glasses))
            wanted = torch.where(
                older, clean, torch.where(glasses, clear_glasses(photos, made), made)
            )
            spots = torch.where(older, spots, 0.0)
        away = (_retouched(self.net, photos, before, after, told) - wanted).abs()
        loss = (away * (1 + _COUNTS * spots)).mean()
        descend(self.optimiser, loss, _LARGEST_GRADIENT)
        there = (away.mean(1, keepdim=True) * spots).sum() / spots.sum().clamp(min=1e-6)
        return {"changed": loss.detach(), "spots": there.detach()}

    def edits(self) -> tuple[Tensor, Tensor, Tensor]:
        """Photos `(B, 3, S, S)`, and `(B,)` which attribute is edited and by what strength."""
        number, device = self.settings.batch, self.often.device

        def chances() -> Tensor:
            return torch.rand(number, generator=self.generator, device=device)

        index = torch.randint(len(self.train), (number,), generator=self.generator, device=device)
        photos = vary_photos(self.train.floats(index), self.generator)
        if self.step % 2:
            photos = photos.flip(-1)
        which = torch.multinomial(self.often, number, True, generator=self.generator)
        sign = torch.where(chances() < 0.5, -1.0, 1.0)
        rightly = ((which == _AGE) | (which == _GLASSES)) & (chances() < _RIGHTLY)
        sign = torch.where(rightly, 1.0, sign)
        return photos, which, sign * (_WEAKEST + (_STRONGEST - _WEAKEST) * chances())


def _retouched(
    net: RenderedFaceNet, photos: Tensor, before: Tensor, after: Tensor, strengths: Tensor
) -> Tensor:
    assert net.retoucher is not None
    with torch.autocast(photos.device.type, torch.bfloat16):
        pictures: Tensor = net.retoucher(photos, before, after, strengths)
        return pictures

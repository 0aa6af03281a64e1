"""Training the retoucher of a rendered face model: drawn changes, fitted to real photos.

Every step edits photos as users do, and some as users would who take an edit back: what an earlier
step made of a photo is edited the opposite way, where the photo itself is what must come out. The
others have no such example. As in the training of the renderer (`render.py`) they have to pass the
critic, show the attribute, keep all others and the contrast, and stay close to the linear change.
A few are mixed with other faces besides, since not every change is along a known direction. Photos
are varied (`face_views.py`): users' own are not those of the collection.

The renderer stays as it is.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..loop import Session
from . import adversarial
from .adversarial import AdversarialTraining, Judged, Lessons
from .critic import fooling_loss, weights_of
from .directions import ATTRIBUTES
from .edits import NAMES, edits_for, followed_shares
from .losses import contrast_distance, departure, linear_change, pixel_distance, reading_losses
from .samples import FACE
from .views import shift_photos, vary_photos

LOSSES = ("realism", "attribute", "others", "contrast", "near_linear", "undone")
_COUNT = len(ATTRIBUTES)
_CLEARLY = 1.0  # value at which a photo clearly shows an attribute
_MIXED = 8  # one of so many photos is mixed with another face besides
_MOSTLY = {"glasses": 3.0}  # how often faces that show these are edited: they are few
_TAKEN_BACK = 2  # for every so many photos an edit of the last step is undone


@dataclass(frozen=True)
class Settings(adversarial.Settings):
    """How long to train, and the weight of each loss of `LOSSES`."""

    warm_steps: int = 300  # without the critic, which knows random corrections too well
    steps: int = 10500
    batch: int = 16  # photos of a step, beside the edits to be undone
    rate: float = 4e-4
    critic_rate: float = 4e-4
    realism: float = 4.0
    attribute: float = 4.0
    others: float = 4.0
    contrast: float = 8.0
    near_linear: float = 2.0
    undone: float = 6.0


@dataclass(frozen=True, eq=False)
class Edits:
    """Faces to edit, each row of every tensor one of them.

    Attributes:
        photos: `(B, 3, S, S)`, to be edited.
        codes: `(B, K)` of them.
        values: `(B, A + 2)`, what they show.
        change: `(B, K)` of the codes.
        example: `(B, K)`, the change whose linear picture is an example.
        wanted: `(B, A)`, change of the values.
        edit: `(B, A)`, which attributes are edited by name.
        real: `(B, 3, S, S)`, photographs: those to be edited, or those to get back.
        undo: `(B,)`, 1 where the result must be `real`.
    """

    photos: Tensor
    codes: Tensor
    values: Tensor
    change: Tensor
    example: Tensor
    wanted: Tensor
    edit: Tensor
    real: Tensor
    undo: Tensor

    def joined(self, other: Edits) -> Edits:
        """Both."""
        mine, theirs = vars(self), vars(other)
        return Edits(**{name: torch.cat([mine[name], theirs[name]]) for name in mine})


class RetouchTraining(AdversarialTraining):
    """A run of the retoucher of `lessons.net`."""

    def __init__(self, lessons: Lessons, settings: Settings, stem: Path, session: Session) -> None:
        super().__init__(lessons, "retoucher", settings, stem, session)
        self.net.dtype = torch.bfloat16
        self.weights, self.warm_steps = asdict(settings), settings.warm_steps
        self.mixed = settings.batch // _MIXED
        self.taken_back = settings.batch // _TAKEN_BACK
        self.done: Edits | None = None  # of the last step, the other way round
        self.share = torch.ones(len(self.train), device=self.device)
        for name, share in _MOSTLY.items():
            self.share[self.values[:, NAMES.index(name)] > 0] = share

    def one_step(self) -> dict[str, float]:
        """One step of the retoucher, and after the first steps of the critic; the losses."""
        edits = self.fresh()
        if self.done is not None:
            edits = edits.joined(self.done)
        change, pasted, seen_change = self.pasted(edits)
        losses = self.losses(edits, change, pasted)
        shown = edits.values[:, :_COUNT] + edits.wanted
        places: list[Tensor] = []
        if self.step >= self.warm_steps:
            with self.precision():
                fake = self.critic.scores(self.critic(pasted), shown)
            places = weights_of(fake, seen_change)
            losses["realism"] = fooling_loss(fake, places)
        made = self.learn(losses, self.weights)
        if places:
            made["critic"] = self.taught(edits, pasted.detach(), shown, places)
        self.done = self.taken(edits, pasted.detach())
        return made

    def taught(self, edits: Edits, pasted: Tensor, shown: Tensor, places: list[Tensor]) -> float:
        """The critic's step. Photos are those that were edited, or are to be got back, and for each
        edit one that shows what it is to show: else the critic would hardly see real glasses where
        it sees drawn ones."""
        fresh = edits.undo == 0
        true = torch.where(fresh[:, None], edits.values[:, :_COUNT], shown)
        index = self.alike(edits.wanted[fresh])
        real = torch.cat([edits.real, vary_photos(self.train.floats(index), self.generator)])
        # what is edited by moving is interpolated, and must not be told from photos by that
        moved = (self.net.motion(edits.change) != 0).flatten(1).any(1)
        moved = torch.cat([moved, moved[fresh]])[:, None, None, None]
        real = torch.where(moved, shift_photos(real, self.generator), real)
        share = torch.where(fresh, 0.5, 1.0)[:, None, None, None]
        differs = (fresh & (edits.wanted != 0).any(1))[:, None, None, None]
        return self.teach_critic(
            Judged(
                real,
                torch.cat([true, self.values[index, :_COUNT]]),
                [torch.cat([w * share, w[fresh] / 2]) for w in places],
            ),
            Judged(pasted, shown, places),
            shown,
            [w * differs for w in places],
        )

    def alike(self, wanted: Tensor) -> Tensor:
        """Photos `(B,)` that clearly show what changes of values `(B, A)` are to bring most of."""
        which = wanted.abs().argmax(1)
        sign = wanted.gather(1, which[:, None])[:, 0].sign()
        shows = self.values[:, which].T * sign[:, None] >= _CLEARLY
        chosen = torch.where(shows.any(1, keepdim=True), shows, True)
        return torch.multinomial(chosen.float(), 1, generator=self.generator)[:, 0]

    def fresh(self) -> Edits:
        """Edits of photos."""
        number = min(self.settings.batch, len(self.share))
        index = torch.multinomial(self.share, number, generator=self.generator)
        crops, values = self.photos(index)
        crops = vary_photos(crops, self.generator)
        codes = self.net.encode(crops)
        strengths, wanted, example = edits_for(values, self.generator)
        change = strengths @ self.directions
        example = example @ self.directions
        edit, some = strengths != 0, slice(0, self.mixed)
        share = torch.rand(self.mixed, 1, generator=self.generator, device=self.device)
        mixed = share * (codes.roll(1, 0) - codes)[some]
        apart = share * (values.roll(1, 0) - values)[some, :_COUNT]
        change[some] += mixed
        example[some] += mixed
        wanted[some] = torch.where(edit[some], wanted[some], apart)
        none = torch.zeros(len(crops), device=self.device)
        return Edits(crops, codes, values, change, example, wanted, edit, crops, none)

    def taken(self, edits: Edits, pasted: Tensor) -> Edits:
        """Some of the edits of photos, to be undone."""
        some = slice(self.mixed, self.mixed + self.taken_back)
        pasted = pasted[some].clamp(0, 1)
        values = edits.values[some].clone()
        values[:, :_COUNT] += edits.wanted[some]
        return Edits(
            pasted,
            self.net.encode(pasted),
            values,
            -edits.change[some],
            -edits.example[some],
            -edits.wanted[some],
            edits.edit[some],
            edits.photos[some],
            torch.ones(len(pasted), device=self.device),
        )

    def pasted(self, edits: Edits) -> tuple[Tensor, Tensor, Tensor]:
        """Changes, edited photos, and changes as they show in those, `(B, 3, S, S)`."""
        parts = self.net.split_edit(edits.codes, edits.codes + edits.change)
        with torch.no_grad():
            drawn = self.net.draw(torch.cat([edits.codes, parts.target]))
        before, after = drawn.chunk(2)
        allowed = FACE.to(self.device)
        with self.precision():
            strengths = self.net.strengths(parts.target - edits.codes)
            change = self.learner(edits.photos, before, after, strengths)
            # not clamped: nothing would call back what has left the range
            framed = edits.codes.new_zeros(len(change))
            pasted = self.net.carry_over(edits.photos, allowed * change, parts, framed)
            seen_change = self.net.move(allowed * change.detach(), parts.shift)
        return change, pasted, seen_change

    def losses(self, edits: Edits, change: Tensor, pasted: Tensor) -> dict[str, Tensor]:
        """Every one of `LOSSES`, but for realism, of what `pasted` returned."""
        read, apart = reading_losses(
            self.reader(),
            (edits.photos, pasted),
            edits.values,
            edits.wanted,
            self.expected,
            edits.edit,
            self.generator,
        )
        linear = self.net.linear_picture(edits.codes)
        example = linear_change(self.net, edits.codes, edits.example, linear)
        losses = {
            "attribute": read,
            "others": apart,
            "contrast": contrast_distance(edits.real, pasted),
            "near_linear": departure(change, example, followed_shares(edits.edit)),
        }
        undo, face = edits.undo > 0, FACE.to(self.device)
        if undo.any():
            losses["undone"] = pixel_distance(face * pasted[undo], face * edits.real[undo])
        return losses

"""Codes with controls: the linear part of a rendered face model, see `file.py`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ...imaging.light import luminance
from .eigenfaces import Eigenfaces
from .lighting import relight, shade_of
from .mouth import lip_offsets
from .opening import ALONE, DRAWN, EditParts

CONTROL = 0.2  # what a control gains per unit of strength: little beside the whole of a direction
USUAL_STRENGTH = 0.5  # of edits, as a standard deviation, beside which codes are measured
# Random components from about here on are left out: those of a face fit each other, and drawn one
# by one they are streaks and half a pair of glasses.
FITTING = 250
# Of opening by which an edit holds a mouth against what closes it (a smile that fades closes lips),
# as much is left out when the mouth is open: held fully, it is drawn wider than it was.
LET_GO = 0.5
_ROUNDING = 1e-4  # strengths up to which a mouth is not edited
_ALL_FILLED = 0.5  # strength of opening from which all of a gap is filled
_ALL_CLOSED = 1.0  # strength of closing from which lips meet
_MET = 3.0  # strength of closing from which open mouths move no further: chins would be squeezed


class ControlledFaceNet(Eigenfaces):
    """Eigenfaces of planes (`planes.py`), whose codes `(B, K)` end with controls.

    `encode` inverts the linear part only, so `encode(linear_picture(z))` gives z back, and always
    controls of 0.
    """

    fields: Tensor
    control_parity: Tensor
    along: Tensor
    lights: Tensor
    mouth: Tensor
    open: Tensor
    mean_face: Tensor
    light_maps: Tensor

    def __init__(self, count: int, size: int, controls: int, side: int = 64) -> None:
        super().__init__(count, size)
        self.register_buffer("fields", torch.zeros(controls, 2, side, side))  # see `motion.py`
        # -1: the mirrored face is edited the opposite way
        self.register_buffer("control_parity", torch.ones(controls, dtype=torch.int8))
        self.register_buffer("along", torch.zeros(controls, count))  # of a code, per strength
        self.register_buffer("lights", torch.zeros(controls, dtype=torch.int8))  # 1: it is light
        # how much each control opens a mouth, and strengths of the edit that opens it by 1
        self.register_buffer("mouth", torch.zeros(2, controls))
        # log-odds that a mouth is open, per unit of each coefficient, and of the mean face
        self.register_buffer("open", torch.zeros(count + 1))
        # derived by prepare()
        for name in ("mean_face", "light_maps"):
            self.register_buffer(name, torch.zeros(0), persistent=False)

    @torch.no_grad()
    def prepare(self) -> None:
        """Derive what encoding and light need from the stored tensors.

        Raises:
            UnsupportedModelError: the components are not linearly independent.
        """
        super().prepare()
        light = self.along * self.lights[:, None]
        mean = self.linear_picture(light.new_zeros(1, light.shape[1]))
        self.mean_face = luminance(mean)[0, 0]
        self.light_maps = luminance(self.linear_picture(light) - mean)[:, 0]

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(K,)`: coefficients of the components, then controls."""
        return (len(self.std) + len(self.fields),)

    @property
    def code_std(self) -> Tensor:
        """Standard deviation of codes, `(K,)`."""
        spread = CONTROL * USUAL_STRENGTH
        return F.pad(torch.ones(len(self.std)), (0, len(self.fields)), value=spread)

    @property
    def sample_std(self) -> Tensor:
        """Standard deviation of random codes, `(K,)`: fine components are less, and controls 0."""
        finer = torch.arange(len(self.std)) / FITTING
        return F.pad(1 / (1 + finer.square()), (0, len(self.fields)))

    @property
    def code_parity(self) -> Tensor:
        """+1 or -1 for every number of a code, by which a mirrored face differs, `(K,)` int8."""
        return torch.cat([self.parity, self.control_parity])

    def coefficients(self, codes: Tensor) -> Tensor:
        """The part of codes `(B, K)` that weighs components."""
        return codes[:, : len(self.std)]

    def strengths(self, codes: Tensor) -> Tensor:
        """How strongly codes `(B, K)` were edited along each control, `(B, C)` float32."""
        return codes[:, len(self.std) :].float() / CONTROL

    def encode(self, crops: Tensor) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to their codes `(B, K)` float32, controls 0."""
        return F.pad(self.fit(crops), (0, len(self.fields)))

    def linear_picture(self, codes: Tensor) -> Tensor:
        """The weighted sum of the components, light included, `(B, 3, S, S)` float32."""
        return self.linear_sum(self.coefficients(codes))

    def edit_of(self, strengths: Tensor) -> Tensor:
        """Change of codes `(B, K)` by edits along controls, `(B, C)`."""
        return torch.cat([strengths @ self.along, CONTROL * strengths], 1)

    def at_rest(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` without their edits along controls, `(B, K)`."""
        return codes - self.edit_of(self.strengths(codes))

    def remove_light(self, codes: Tensor) -> Tensor:
        """Take the light out of codes `(B, K)`."""
        return codes - self.edit_of(self.lights * self.strengths(codes))

    def relight(self, pictures: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Change the light of pictures `(B, 3, S, S)` from that of one code to that of another,
        `(B, K)` each; pictures whose light stays come back as they are."""
        old, new = (self.lights * self.strengths(codes) for codes in (before, after))
        differs = (old != new).any(1)
        if not bool(differs.any()):
            return pictures
        shades = [shade_of(self.mean_face, self.light_maps, lights) for lights in (old, new)]
        return torch.where(differs[:, None, None, None], relight(pictures, *shades), pictures)

    def lip_offsets(self, codes: Tensor) -> Tensor:
        """Where lips meet on the unedited faces of codes `(B, K)`, see `mouth.lip_offsets`."""
        return lip_offsets(self.linear_picture(self.at_rest(codes)))

    def openness(self, codes: Tensor) -> Tensor:
        """How likely the mouths of the unedited faces of codes `(B, K)` are open, `(B,)`."""
        coefficients = self.coefficients(self.at_rest(codes)).float()
        return (coefficients @ self.open[:-1] + self.open[-1]).sigmoid()

    def split_edit(self, before: Tensor, after: Tensor) -> EditParts:
        """Split an edit from one code to another, `(B, K)` each: draw, move, fill."""
        per_strength, edit = self.mouth
        openness = self.openness(before)
        let_go = LET_GO * openness * self._held_open(after - before)
        after = after - self.edit_of(let_go[:, None] * edit)
        change = after - before
        opens = self.strengths(change) @ per_strength
        opens = torch.where(opens.abs() > _ROUNDING, opens, 0.0)
        turns = torch.where(opens > 0, 1 - openness, openness)  # closed to open, or open to closed
        undrawn = (1 - DRAWN) * turns * opens.clamp(min=0)
        more = (ALONE - 1) * turns * opens + ALONE * openness * (-opens - _MET).clamp(min=0)
        moved = F.one_hot(edit.argmax(), len(edit)) * CONTROL
        return EditParts(
            after - self.edit_of(undrawn[:, None] * edit),
            change + F.pad(more[:, None] * moved, (len(self.std), 0)),
            turns * (opens / _ALL_FILLED).clamp(0, 1),
            turns * (-opens / _ALL_CLOSED).clamp(0, 1),
        )

    def _held_open(self, change: Tensor) -> Tensor:
        """How much opening of changes `(B, K)` goes against what closes mouths, `(B,)`."""
        per_strength, edit = self.mouth
        parts = self.strengths(change) * per_strength
        own = parts[:, edit.argmax()]
        return torch.minimum(own.clamp(min=0), (own - parts.sum(1)).clamp(min=0))

    def mirror(self, codes: Tensor) -> Tensor:
        """The codes `(B, K)` of the faces mirrored left to right."""
        return codes * self.code_parity.to(codes.dtype)

    def style_weight(self, layers: Sequence[int] | None = None) -> Tensor:
        """What each number of a code adds to the linear picture, `(3 S S, K)` float32; controls
        add nothing to it."""
        identity = torch.eye(len(self.std), device=self.std.device)
        origin = self.linear_picture(torch.zeros_like(identity[:1]))
        weight = (self.linear_picture(identity) - origin).flatten(1).T
        return F.pad(weight, (0, len(self.fields)))

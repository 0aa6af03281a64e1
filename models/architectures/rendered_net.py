"""The network of a rendered face model, see `rendered.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..light import luminance
from . import linear
from .lighting import lit_by, relit
from .motion import motion_of, move
from .planes import from_planes, to_planes
from .renderer import Renderer
from .retoucher import Retoucher

CONTROL = 0.2  # what a control gains per unit of strength: little beside the whole of a direction
RANDOM_STRENGTH = 0.5  # standard deviation of a control's strength in random codes
_ROUNDING = 1e-5  # changes of a code up to which it is the same: numbers of codes are about 1


class RenderedFaceNet(linear.LinearFaceNet):
    """Eigenfaces, renderer, controls: `decode([z, c]) = light(move(render(z', c'), c), c)`.

    z' and c' are z and c without their light; the renderer draws the linear picture of z' again.
    All but the renderer is computed in float32, the renderer in `dtype` (float32, bfloat16 or
    float16), which may be set at any time. `encode` inverts the linear part only, so
    `encode(linear_picture(z))` gives z back; of a rendered picture it gives nearly z, and always
    controls of 0.
    """

    fields: Tensor
    control_parity: Tensor
    light: Tensor
    mean_face: Tensor
    light_maps: Tensor

    def __init__(
        self,
        count: int,
        size: int,
        renderer: Renderer,
        controls: int,
        side: int = 64,
        retoucher: Retoucher | None = None,
    ) -> None:
        super().__init__(count, size)
        self.renderer = renderer.to(memory_format=torch.channels_last)
        self.retoucher = None
        if retoucher is not None:
            self.retoucher = retoucher.to(memory_format=torch.channels_last)
        self.register_buffer("fields", torch.zeros(controls, 2, side, side))
        self.register_buffer("control_parity", torch.ones(controls, dtype=torch.int8))
        self.register_buffer("light", torch.zeros(controls, count))
        # derived by prepare()
        for name in ("mean_face", "light_maps"):
            self.register_buffer(name, torch.zeros(0), persistent=False)
        self.dtype = torch.float32

    @torch.no_grad()
    def prepare(self) -> None:
        """Derive what encoding and light need from the stored tensors.

        Raises:
            UnsupportedModelError: the components are not linearly independent.
        """
        super().prepare()
        mean = self.linear_picture(self.light.new_zeros(1, self.light.shape[1]))
        self.mean_face = luminance(mean)[0, 0]
        self.light_maps = luminance(self.linear_picture(self.light) - mean)[:, 0]

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of one code, `(K,)`: coefficients of the components, then controls."""
        return (len(self.std) + len(self.fields),)

    @property
    def code_std(self) -> Tensor:
        """Standard deviation of random codes, `(K,)`."""
        spread = CONTROL * RANDOM_STRENGTH
        return F.pad(torch.ones(len(self.std)), (0, len(self.fields)), value=spread)

    @property
    def code_parity(self) -> Tensor:
        """+1 or -1 for every number of a code, by which a mirrored face differs, `(K,)` int8."""
        return torch.cat([self.parity, self.control_parity])

    def to_rows(self, halves: Tensor) -> Tensor:
        """Half pictures `(B, 3, S, S / 2)` as planes `(B, 6, S / 2, S / 4)`."""
        return to_planes(halves)

    def from_rows(self, rows: Tensor) -> Tensor:
        """The inverse of `to_rows`, but for the colour within blocks of 2 x 2 pixels."""
        return from_planes(rows)

    def coefficients(self, codes: Tensor) -> Tensor:
        """The part of codes `(B, K)` that weighs components."""
        return codes[:, : len(self.std)]

    def strengths(self, codes: Tensor) -> Tensor:
        """How strongly codes `(B, K)` were edited along each control, `(B, C)` float32."""
        return codes[:, len(self.std) :].float() / CONTROL

    def encode(self, crops: Tensor) -> Tensor:
        """Crops `(B, 3, S, S)` in [0, 1] to their codes `(B, K)` float32, controls 0."""
        return F.pad(super().encode(crops), (0, len(self.fields)))

    def lights(self, codes: Tensor) -> Tensor:
        """How strong the lights of codes `(B, K)` are, `(B, C)`; 0 for controls of other things."""
        lighting = (self.light != 0).any(1)
        return torch.where(lighting, self.strengths(codes), 0.0)

    def unlit(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` without their light, `(B, K)`."""
        lights = self.lights(codes)
        return codes - torch.cat([lights @ self.light, CONTROL * lights], 1)

    def lighted(self, pictures: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` whose light goes from that of one code to that of another,
        `(B, K)` each; those of equal lights as they are."""
        old, new = self.lights(before), self.lights(after)
        differs = (old != new).any(1)
        if not bool(differs.any()):
            return pictures
        shades = [lit_by(self.mean_face, self.light_maps, lights) for lights in (old, new)]
        return torch.where(differs[:, None, None, None], relit(pictures, *shades), pictures)

    def linear_picture(self, codes: Tensor) -> Tensor:
        """The weighted sum of the components, light included, `(B, 3, S, S)` float32."""
        return super().decode(self.coefficients(codes))

    def draw(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to faces `(B, 3, S, S)` float32 that are neither moved nor lit yet."""
        codes = self.unlit(codes)
        linear = self.linear_picture(codes)
        with self._precision(linear):
            return self.renderer(linear, codes.float(), self.strengths(codes))

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def move(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` moved as the controls of codes `(B, K)` say."""
        return move(pictures, self.fields, self.strengths(codes))

    def motion(self, codes: Tensor) -> Tensor:
        """How the controls of codes `(B, K)` move a face, see `motion.motion_of`."""
        return motion_of(self.fields, self.strengths(codes), self.size)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        return self.lighted(self.move(self.draw(codes), codes), torch.zeros_like(codes), codes)

    def retouches(self, change: Tensor) -> Tensor:
        """Which changes of codes `(B, K)` are fitted to the photo's own face, `(B,)`.

        Those along the model's own directions: what another one is meant to show the retoucher is
        not told, and it would take dark rims for glasses.
        """
        known = (self.strengths(change) != 0).any(1)
        return known if self.retoucher is not None else torch.zeros_like(known)

    def edited_photos(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        allowed: Tensor | float = 1.0,
        drawn: Tensor | None = None,
    ) -> Tensor:
        """The photos' own faces as an edit of their codes changes, moves and lights them.

        Args:
            photos: aligned crops `(B, 3, S, S)` in [0, 1].
            before: `(B, K)`, codes of the crops.
            after: `(B, K)`, codes after the edit; equal ones give the crop bit for bit.
            allowed: share of the drawn change that is put on the photo, at each pixel.
            drawn: what `draw` made of `before`, if it is at hand.

        Returns:
            `(B, 3, S, S)` float32, not clamped.
        """
        plain = self.unlit(after - before)
        differs = plain.abs().amax(1) > _ROUNDING
        made = photos
        if bool(differs.any()):
            change = self._own_change(photos, before, after, self.strengths(plain), drawn)
            # another batch is rounded in another way, but no edit is no change
            made = photos + allowed * torch.where(differs[:, None, None, None], change, 0.0)
        return self.lighted(self.move(made, after - before), before, after)

    def _own_change(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        strengths: Tensor,
        drawn: Tensor | None,
    ) -> Tensor:
        """What is drawn on photos by an edit of strengths `(B, C)`, arguments as those of
        `edited_photos`: `(B, 3, S, S)`, neither moved nor lit."""
        if drawn is None:
            drawn, edited = self.draw(torch.cat([before, after])).chunk(2)
        else:
            edited = self.draw(after)
        change, fitted = edited - drawn, (strengths != 0).any(1)
        if self.retoucher is None or not bool(fitted.any()):
            return change
        with self._precision(photos):
            made = self.retoucher(photos, drawn, edited, strengths)
        return torch.where(fitted[:, None, None, None], made, change)

    def mirror(self, codes: Tensor) -> Tensor:
        """The codes `(B, K)` of the faces mirrored left to right."""
        return codes * self.code_parity.to(codes.dtype)

    def style_weight(self) -> Tensor:
        """What each number of a code adds to the linear picture, `(3 S S, K)` float32; controls
        add nothing to it."""
        identity = torch.eye(len(self.std), device=self.std.device)
        origin = self.linear_picture(torch.zeros_like(identity[:1]))
        weight = (self.linear_picture(identity) - origin).flatten(1).T
        return F.pad(weight, (0, len(self.fields)))

"""The network of a rendered face model, see `rendered.py`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..light import luminance
from . import linear
from .lighting import lit_by, relit
from .motion import motion_of, moved, one_after_other
from .mouth import from_frame, lip_offsets, to_frame
from .planes import from_planes, to_planes
from .renderer import Renderer
from .retoucher import Retoucher

CONTROL = 0.2  # what a control gains per unit of strength: little beside the whole of a direction
RANDOM_STRENGTH = 0.5  # standard deviation of a control's strength in random codes
_ROUNDING = 1e-5  # changes of a code up to which it is the same: numbers of codes are about 1


class RenderedFaceNet(linear.LinearFaceNet):
    """Eigenfaces, renderer, controls: `decode([z, c]) = light(move(render(z', c'), c), c)`.

    z' and c' are z and c without their light; the renderer draws the linear picture of z' again,
    where it was edited in the frame of `mouth.py`. All but the renderer is computed in float32, the
    renderer in `dtype` (float32, bfloat16 or float16), which may be set at any time. `encode`
    inverts the linear part only, so `encode(linear_picture(z))` gives z back; of a rendered picture
    it gives nearly z, and always controls of 0.
    """

    fields: Tensor
    control_parity: Tensor
    along: Tensor
    lights: Tensor
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
        self.register_buffer("along", torch.zeros(controls, count))
        self.register_buffer("lights", torch.zeros(controls, dtype=torch.int8))
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

    def at_rest(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` without their edits along controls, `(B, K)`."""
        return self._without(codes, self.strengths(codes))

    def unlit(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` without their light, `(B, K)`."""
        return self._without(codes, self.lights * self.strengths(codes))

    def _without(self, codes: Tensor, strengths: Tensor) -> Tensor:
        return codes - torch.cat([strengths @ self.along, CONTROL * strengths], 1)

    def lip_offsets(self, codes: Tensor) -> Tensor:
        """Where lips meet on the unedited faces of codes `(B, K)`, see `mouth.lip_offsets`."""
        return lip_offsets(self.linear_picture(self.at_rest(codes)))

    def lighted(self, pictures: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` whose light goes from that of one code to that of another,
        `(B, K)` each; those of equal lights as they are."""
        old, new = (self.lights * self.strengths(codes) for codes in (before, after))
        differs = (old != new).any(1)
        if not bool(differs.any()):
            return pictures
        shades = [lit_by(self.mean_face, self.light_maps, lights) for lights in (old, new)]
        return torch.where(differs[:, None, None, None], relit(pictures, *shades), pictures)

    def linear_picture(self, codes: Tensor) -> Tensor:
        """The weighted sum of the components, light included, `(B, 3, S, S)` float32."""
        return super().decode(self.coefficients(codes))

    def draw(self, codes: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Codes `(B, K)` to faces `(B, 3, S, S)` float32 that are neither moved nor lit yet; in the
        frame of lips that have offsets `(B,)`, if those are given."""
        codes = self.unlit(codes)
        linear = self.linear_picture(codes)
        if offsets is not None:
            linear = moved(linear, to_frame(offsets, self.size))
        with self._precision(linear):
            return self.renderer(linear, codes.float(), self.strengths(codes))

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def motion(self, codes: Tensor, offsets: Tensor | None = None) -> Tensor:
        """How the controls of codes `(B, K)` move a face in the frame, `(B, 2, S, S)`, or one whose
        lips have offsets `(B,)`, see `motion.motion_of`."""
        velocity = torch.einsum("bm,mcxy->bcxy", self.strengths(codes), self.fields)
        if offsets is not None and bool((velocity != 0).any()):
            velocity = moved(velocity, from_frame(offsets, velocity.shape[-1]), "bilinear")
        return motion_of(velocity, self.size)

    def move(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """Pictures `(B, 3, S, S)` in the frame, moved as the controls of codes `(B, K)` say."""
        return moved(pictures, self.motion(codes))

    def motion_between(self, before: Tensor, after: Tensor) -> Tensor:
        """How faces move on the way from one code to another, `(B, K)` each: `(B, 2, S, S)`."""
        return self.motion(after - before, self.lip_offsets(before))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        edited = self.strengths(self.unlit(codes)).abs().amax(1)
        if not bool((edited > 0).any()):
            return self.lighted(self.draw(codes), torch.zeros_like(codes), codes)
        # the frame is entered little by little, as the edit grows
        offsets = self.lip_offsets(codes) * edited.clamp(max=1)
        drawn = self.draw(codes, offsets)
        back = from_frame(offsets, self.size)
        picture = moved(drawn, one_after_other(back, self.motion(codes, offsets)))
        return self.lighted(picture, torch.zeros_like(codes), codes)

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
            drawn: what `drawn` made of `before`, if it is at hand.

        Returns:
            `(B, 3, S, S)` float32, not clamped.
        """
        differs = self.unlit(after - before).abs().amax(1) > _ROUNDING
        if not bool(differs.any()):
            return self.lighted(photos, before, after)
        offsets = self.lip_offsets(before)
        change = self._own_change(photos, before, after, offsets, drawn)
        # another batch is rounded in another way, but no edit is no change
        change = torch.where(differs[:, None, None, None], change, 0.0)
        made = moved(photos + allowed * change, self.motion(after - before, offsets))
        return self.lighted(made, before, after)

    def drawn(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` as they are drawn where nothing has been edited yet, `(B, 3, S, S)`: for
        `edited_photos` again and again."""
        return self.draw(codes, self.lip_offsets(codes))

    def _own_change(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        offsets: Tensor,
        drawn: Tensor | None,
    ) -> Tensor:
        """What an edit draws on photos whose lips have offsets `(B,)`, other arguments as those of
        `edited_photos`: `(B, 3, S, S)`, neither moved nor lit."""
        if drawn is None:
            both = torch.cat([before, after])
            drawn, edited = self.draw(both, offsets.repeat(2)).chunk(2)
        else:
            edited = self.draw(after, offsets)
        change, strengths = edited - drawn, self.strengths(self.unlit(after - before))
        fitted = (strengths != 0).any(1)
        if self.retoucher is not None and bool(fitted.any()):
            with self._precision(photos):
                framed = moved(photos, to_frame(offsets, self.size))
                made = self.retoucher(framed, drawn, edited, strengths)
            change = torch.where(fitted[:, None, None, None], made, change)
        return moved(change, from_frame(offsets, self.size))

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

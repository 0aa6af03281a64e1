"""The network of a rendered face model, see `file.py`."""

from __future__ import annotations

import torch
from torch import Tensor

from ..capabilities import Capabilities
from .controls import ControlledFaceNet
from .motion import compose_motions, motion_of, move_pictures
from .mouth import from_frame, to_frame
from .opening import EditParts, fade_below_mouth, fill_mouth
from .renderer import Renderer
from .retoucher import Retoucher

_ROUNDING = 1e-5  # changes of a code up to which it is the same: numbers of codes are about 1


class RenderedFaceNet(ControlledFaceNet):
    """Eigenfaces, renderer, controls: `decode([z, c]) = light(move(render(z', c'), c), c)`.

    z' and c' are z and c without what no network draws: light, and most of mouths that open
    (`opening.py`). The renderer draws the linear picture of z' again, where it was edited in the
    frame of `mouth.py`. All but the renderer is computed in float32, the renderer in `dtype`
    (float32, bfloat16 or float16), which may be set at any time. What is encoded of a rendered
    picture is nearly its code, but for controls.
    """

    def __init__(
        self,
        count: int,
        size: int,
        renderer: Renderer,
        controls: int,
        side: int = 64,
        retoucher: Retoucher | None = None,
    ) -> None:
        super().__init__(count, size, controls, side)
        self.renderer = renderer.to(memory_format=torch.channels_last)
        self.retoucher = None
        if retoucher is not None:
            self.retoucher = retoucher.to(memory_format=torch.channels_last)
        self.dtype = torch.float32

    def capabilities(self) -> Capabilities:
        """All that is asked of a face model but layers; without a retoucher no edits of photos."""
        return Capabilities(
            decode=self.decode,
            encode=self.encode,
            quick_decode=self.linear_picture,
            mirror=self.mirror,
            style_weight=self.style_weight,
            motion=self.motion_between,
            editor=None if self.retoucher is None else self,
            precision=self,
            code_mean=torch.zeros(self.code_shape),
            code_std=self.code_std,
            sample_std=self.sample_std,
        )

    def draw(self, codes: Tensor, offsets: Tensor | None = None) -> Tensor:
        """Codes `(B, K)` to faces `(B, 3, S, S)` float32 that are neither moved nor lit yet; in the
        frame of lips that have offsets `(B,)`, if those are given."""
        codes = self.remove_light(codes)
        linear = self.linear_picture(codes)
        if offsets is not None:
            linear = move_pictures(linear, to_frame(offsets, self.size))
        with self._precision(linear):
            pictures: Tensor = self.renderer(linear, codes.float(), self.strengths(codes))
            return pictures

    def _precision(self, like: Tensor) -> torch.autocast:
        return torch.autocast(like.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def motion(self, codes: Tensor, offsets: Tensor | None = None) -> Tensor:
        """How the controls of codes `(B, K)` move a face in the frame, `(B, 2, S, S)`, or one whose
        lips have offsets `(B,)`, see `motion.motion_of`."""
        velocity = torch.einsum("bm,mcxy->bcxy", self.strengths(codes), self.fields)
        if offsets is not None and bool((velocity != 0).any()):
            velocity = move_pictures(velocity, from_frame(offsets, velocity.shape[-1]), "bilinear")
        return motion_of(velocity, self.size)

    def move(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """Move pictures `(B, 3, S, S)` in the frame as the controls of codes `(B, K)` say."""
        return move_pictures(pictures, self.motion(codes))

    def carry_over(
        self, photos: Tensor, change: Tensor, parts: EditParts, offsets: Tensor
    ) -> Tensor:
        """Carry what an edit draws over to photos `(B, 3, S, S)` whose lips have offsets `(B,)`."""
        motion = self.motion(parts.shift, offsets)
        made = move_pictures(photos + fade_below_mouth(change, offsets, parts), motion)
        return fill_mouth(made, motion, offsets, parts)

    def motion_between(self, before: Tensor, after: Tensor) -> Tensor:
        """How faces move on the way from one code to another, `(B, K)` each: `(B, 2, S, S)`."""
        return self.motion(self.split_edit(before, after).shift, self.lip_offsets(before))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(B, K)` to crops `(B, 3, S, S)` float32, nominally in [0, 1], not clamped."""
        edited = self.strengths(self.remove_light(codes)).abs().amax(1)
        if not bool((edited > 0).any()):
            return self.relight(self.draw(codes), torch.zeros_like(codes), codes)
        # the frame is entered little by little, as the edit grows
        offsets = self.lip_offsets(codes) * edited.clamp(max=1)
        parts = self.split_edit(self.at_rest(codes), codes)
        drawn = self.draw(parts.target, offsets)
        motion = self.motion(parts.shift, offsets)
        picture = move_pictures(drawn, compose_motions(from_frame(offsets, self.size), motion))
        picture = fill_mouth(picture, motion, offsets, parts)
        return self.relight(picture, torch.zeros_like(codes), codes)

    def retouches(self, change: Tensor) -> Tensor:
        """Which changes of codes `(B, K)` are fitted to the photo's own face, `(B,)`.

        Those along the model's own directions: what another one is meant to show the retoucher is
        not told, and it would take dark rims for glasses.
        """
        return (self.strengths(change) != 0).any(1)

    def apply_edit(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        allowed: Tensor | float = 1.0,
        drawing: Tensor | None = None,
    ) -> Tensor:
        """The photos' own faces as an edit of their codes changes, moves and lights them.

        Args:
            photos: aligned crops `(B, 3, S, S)` in [0, 1].
            before: `(B, K)`, codes of the crops.
            after: `(B, K)`, codes after the edit; equal ones give the crop bit for bit.
            allowed: share of the drawn change that is put on the photo, at each pixel.
            drawing: `draw_unedited(before)`, if it is at hand.

        Returns:
            `(B, 3, S, S)` float32, not clamped.
        """
        differs = self.remove_light(after - before).abs().amax(1) > _ROUNDING
        if not bool(differs.any()):
            return self.relight(photos, before, after)
        offsets, parts = self.lip_offsets(before), self.split_edit(before, after)
        change = self._change_photo(photos, before, parts.target, offsets, drawing)
        # another batch is rounded in another way, but no edit is no change
        change = torch.where(differs[:, None, None, None], change, 0.0)
        made = self.carry_over(photos, allowed * change, parts, offsets)
        return self.relight(made, before, after)

    def draw_unedited(self, codes: Tensor) -> Tensor:
        """Draw codes `(B, K)` before any edit, `(B, 3, S, S)`: for `apply_edit` again and again."""
        return self.draw(codes, self.lip_offsets(codes))

    def _change_photo(
        self,
        photos: Tensor,
        before: Tensor,
        after: Tensor,
        offsets: Tensor,
        drawing: Tensor | None,
    ) -> Tensor:
        """What an edit draws on photos whose lips have offsets `(B,)`, other arguments as those of
        `apply_edit`: `(B, 3, S, S)`, neither moved nor lit."""
        if drawing is None:
            both = torch.cat([before, after])
            drawing, edited = self.draw(both, offsets.repeat(2)).chunk(2)
        else:
            edited = self.draw(after, offsets)
        change, strengths = edited - drawing, self.strengths(self.remove_light(after - before))
        fitted = (strengths != 0).any(1)
        if self.retoucher is not None and bool(fitted.any()):
            with self._precision(photos):
                framed = move_pictures(photos, to_frame(offsets, self.size))
                made = self.retoucher(framed, drawing, edited, strengths)
            change = torch.where(fitted[:, None, None, None], made, change)
        return move_pictures(change, from_frame(offsets, self.size))

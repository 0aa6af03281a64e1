"""Morph: frames along a path through keyframes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import picture_grid
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import first_photo, origin_of
from ..compute import decode_codes
from ..draw import Chart, preview, stack_charts
from ..registry import node

STRIP = 8  # pictures in the preview


@node("FaceLatentsMorph", "Morph", widgets.MIX)
class Morph(Chart):
    """Makes an animation through a batch of faces (the keyframes, see Join Face Latents), with
    equal steps between two keyframes or easing in and out of each. Decode Face turns the frames
    into pictures; Paste Back puts them into the first face's photo.
    """

    ALIASES = (
        "morph faces, face morph, animation, keyframes, transition, video, walk, path, tween, "
        "easing"
    )
    OUTPUTS = widgets.output_faces(
        "One face per frame, which belong to the photo of the first face."
    )
    INPUTS = {
        "face_latent": widgets.faces("The keyframes: a batch of two or more faces, in order."),
        "frames": widgets.frames("How many frames in all, keyframes included."),
        "path": widgets.choice(
            latent_ops.PATH_MODES,
            "slerp: arcs from face to face, keeps their character. lerp: straight lines. spline: "
            "one smooth curve without a kink at the keyframes.",
        ),
        "loop": widgets.switch(
            False, "Return to the first face, so that the frames can repeat without a jump."
        ),
    }
    OPTIONAL = {
        "easing": widgets.easing(),
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "Connect the model of the faces to see a strip of frames on this node.",
        ),
    }

    def execute(
        self,
        face_latent: FaceLatent,
        frames: int,
        path: str,
        loop: bool,
        easing: str,
        face_model: FaceModel | None,
    ) -> tuple[FaceLatent] | dict[str, Any]:
        if len(face_latent) < 2:
            raise FaceLatentsError(
                "Morph needs at least two faces to go between, but face_latent holds only one. "
                "Join several with Join Face Latents, or encode a batch of photos."
            )
        if frames < len(face_latent):
            raise FaceLatentsError(
                f"Morph: {frames} frames cannot show all {len(face_latent)} keyframes. Set "
                f"frames to {len(face_latent)} or more."
            )
        if face_model is not None:
            validate.same_model(face_model, face_latent.space, "Morph")
        with validate.explain_errors("Morph"):
            samples = latent_ops.path(
                face_latent.samples,
                frames,
                mode=path,
                loop=loop,
                origin=origin_of(face_latent),
                easing=easing,
                latent_dims=face_latent.space.latent_dims,
            )
        contexts = (first_photo(face_latent),) * frames
        result = replace(face_latent, samples=samples, contexts=contexts)
        if face_model is None:
            return (result,)
        ui = preview(_draw_strip(face_model, result), "face_latents_morph")
        return {"ui": ui, "result": (result,)}


def _draw_strip(model: FaceModel, frames: FaceLatent) -> Tensor:
    """A few frames, evenly spaced, in a row: `(1, H, W, 3)`."""
    count = min(STRIP, len(frames))
    chosen = torch.linspace(0, len(frames) - 1, count).round().long()
    pictures = decode_codes(model, frames.samples[chosen], "Drawing the strip")
    names = [str(int(index)) for index in chosen]  # numbered as elsewhere: from 0
    return stack_charts(picture_grid([pictures], [], names, cell=96))

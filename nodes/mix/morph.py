"""Morph: frames along a path through keyframes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ... import latent_ops
from ...models.charts import picture_grid, to_image
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.space import require_same_space
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import first_photo, mean_of
from ..compute import decode_codes
from ..draw import save_preview
from .interpolate import W_SPACES

MOST_FRAMES = 4096
EASING_TOOLTIP = (
    "Speed from each point to the next. linear: constant. ease_in: starts slowly. ease_out: ends "
    "slowly. ease_in_out: both. hold: stays, then jumps."
)
STRIP = 8  # pictures in the preview


class Morph:
    """Frames along a path through keyframes."""

    CATEGORY = widgets.MIX
    DESCRIPTION = (
        "Makes an animation through a batch of faces (the keyframes, see Join Face Latents), at "
        "constant speed or easing in and out of each keyframe. Decode Face turns the frames into "
        "pictures; Paste Back puts them into the first face's photo."
    )
    SEARCH_ALIASES = [
        "animation", "keyframes", "transition", "video", "walk", "path", "tween", "easing",
    ]  # fmt: skip
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("One face per frame, which belong to the photo of the first face.",)
    FUNCTION = "morph"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(
                    widgets.FACE_LATENT, "The keyframes: a batch of two or more faces, in order."
                ),
                "frames": widgets.integer(
                    24, 1, MOST_FRAMES, "How many frames in all, keyframes included."
                ),
                "path": widgets.choice(
                    latent_ops.PATH_MODES,
                    "slerp: arcs from face to face, keeps their character. lerp: straight lines. "
                    "spline: one smooth curve without a kink at the keyframes.",
                ),
                "loop": widgets.switch(
                    False,
                    "Return to the first face, so that the frames can repeat without a jump.",
                ),
            },
            "optional": {
                "easing": widgets.choice(latent_ops.EASINGS, EASING_TOOLTIP),
                "face_model": widgets.wire(
                    widgets.FACE_MODEL,
                    "Connect the model of the faces to see a strip of frames on this node.",
                ),
            },
        }

    def morph(
        self,
        face_latent: FaceLatent,
        frames: int,
        path: str,
        loop: bool,
        easing: str = latent_ops.EASINGS[0],
        face_model: FaceModel | None = None,
    ) -> tuple[FaceLatent] | dict[str, Any]:
        latent = validate.face_latent(face_latent)
        model = None if face_model is None else validate.face_model(face_model)
        count = validate.whole(frames, "frames", 1, MOST_FRAMES)
        mode = validate.one_of(path, latent_ops.PATH_MODES, "path")
        speed = validate.one_of(easing, latent_ops.EASINGS, "easing")
        if len(latent) < 2:
            raise FaceLatentsError(
                "Morph needs at least two faces to go between, but face_latent holds only one. "
                "Join several with Join Face Latents, or encode a batch of photos."
            )
        if count < len(latent):
            raise FaceLatentsError(
                f"Morph: {count} frames cannot show all {len(latent)} keyframes. Set frames to "
                f"{len(latent)} or more."
            )
        if model is not None:
            require_same_space(
                model.space, latent.space, f"Morph: model '{model.name}' and the face latent"
            )
        with validate.explained("Morph"):
            samples = latent_ops.path(
                latent.samples,
                count,
                mode=mode,
                loop=bool(loop),
                origin=mean_of(latent) if latent.space.name in W_SPACES else None,
                easing=speed,
                latent_dims=latent.space.latent_dims,
            )
        result = (replace(latent, samples=samples, contexts=(first_photo(latent),) * count),)
        if model is None:
            return result
        return {"ui": {"images": [_strip(model, result[0])]}, "result": result}


def _strip(model: FaceModel, frames: FaceLatent) -> dict[str, str]:
    """A few frames, evenly spaced, in a row, saved for the canvas."""
    count = min(STRIP, len(frames))
    chosen = torch.linspace(0, len(frames) - 1, count).round().long()
    pictures = decode_codes(model, frames.samples[chosen], "Drawing the strip")
    names = [str(int(index)) for index in chosen]  # numbered as elsewhere: from 0
    strip = picture_grid([pictures], [], names, cell=96)
    return save_preview(to_image(strip), "face_latents_morph")


NODES = {"FaceLatentsMorph": (Morph, "Morph")}

"""From and to the host's own LATENT, so that every operation also runs on VAE latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.space import LatentSpace
from ...models.values import FaceLatent
from .. import host, validate, widgets
from ..registry import node

VAE_SPACE = "vae"


@node("FaceLatentsFromVAELatent", "From VAE Latent", widgets.VAE)
class FromVAELatent:
    """Turns a LATENT (from VAE Encode or a sampler) into a face latent, so that Lerp, Slerp, Morph,
    Mean Face, Latent Distance and the direction nodes work on it. To VAE Latent turns it back.
    """

    ALIASES = "latent to face latent, vae, convert latent, stable diffusion latent"
    OUTPUTS = widgets.output_faces("The same values, in latent space 'vae'.")
    INPUTS = {
        "samples": widgets.wire("LATENT", "A latent from VAE Encode, a sampler or Load Latent.")
    }

    def execute(self, samples: Mapping[str, Any]) -> tuple[FaceLatent]:
        values = _require_samples(samples)
        channels = values.shape[1]
        space = LatentSpace(VAE_SPACE, tuple(values.shape[1:]), f"{VAE_SPACE}:{channels}")
        extras = {key: _copy(value) for key, value in samples.items() if key != "samples"}
        latent = FaceLatent(values.detach().clone(), space, extras=extras)
        return (validate.face_latent(latent, "samples"),)


@node("FaceLatentsToVAELatent", "To VAE Latent", widgets.VAE)
class ToVAELatent:
    """Turns a face latent made by From VAE Latent back into a LATENT for VAE Decode or a sampler. A
    noise mask and other settings of the original LATENT are put back.
    """

    ALIASES = "face latent to latent, vae, convert latent, stable diffusion latent"
    OUTPUTS = {"samples": ("LATENT", "A LATENT for VAE Decode or a sampler.")}
    INPUTS = {"face_latent": widgets.face_latent("A face latent that began at From VAE Latent.")}

    def execute(self, face_latent: FaceLatent) -> tuple[dict[str, object]]:
        if face_latent.space.name != VAE_SPACE:
            raise FaceLatentsError(
                f"This face latent is in space {face_latent.space.describe()}, not in a VAE's. Use "
                "Decode Face to see it; To VAE Latent only takes what From VAE Latent made."
            )
        result: dict[str, object] = {
            key: _copy(value)
            for key, value in face_latent.extras.items()
            # A list of batch numbers that no longer fits would be wrong; the host numbers anew.
            if not (key == "batch_index" and _length(value) != len(face_latent))
        }
        result["samples"] = face_latent.samples.clone().to(host.intermediate_device())
        return (result,)


def _require_samples(latent: object) -> Tensor:
    if not isinstance(latent, Mapping) or not isinstance(latent.get("samples"), Tensor):
        raise FaceLatentsError(
            "Input 'samples' needs a LATENT (from VAE Encode or a sampler); it got a "
            f"{type(latent).__name__}."
        )
    values: Tensor = latent["samples"]
    if values.is_nested or values.ndim not in (3, 4, 5):
        shape = "several parts" if values.is_nested else f"shape {tuple(values.shape)}"
        raise FaceLatentsError(
            f"This LATENT has {shape}; picture latents (batch, channels, height, width) and video "
            "latents (batch, channels, frames, height, width) are supported."
        )
    if 0 in values.shape:
        raise FaceLatentsError(
            f"This LATENT is empty (shape {tuple(values.shape)}): nothing arrived from the node "
            "before it."
        )
    return values


def _copy(value: object) -> object:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, list):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    return value


def _length(value: object) -> int | None:
    return len(value) if hasattr(value, "__len__") else None

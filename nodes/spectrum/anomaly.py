"""Anomaly Map: what in a photo the truncated spectrum does not explain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.face import PhotoFace
from ...models.spectral.anomaly import GRAIN, INK, face_region, heat_image, place_map, residual_map
from ...models.spectral.basis import LatentBasis
from ...models.values import FaceLatent, PhotoContext
from .. import host, validate, widgets
from ..compute import decode_codes
from ..draw import Chart, preview
from ..registry import node
from .common import FIRST_K, join_basis, truncate, truncation_inputs

PHOTO, CROP = VIEWS = ("photo", "aligned face")
FACE, SQUARE = REGIONS = ("face", "whole crop")
_FULL_HEAT = 3.0  # multiples of the usual residual that are drawn brightest at sensitivity 1
_MOST_PREVIEWS = 8


@node("FaceLatentsAnomalyMap", "Anomaly Map", widgets.SPECTRUM)
class AnomalyMap(Chart):
    """Shows where a photo differs from what its truncated spectrum explains: glasses, a hand, a
    microphone, paint. Gives a heat map and a mask, at the photo's own size.
    """

    ALIASES = "lsd, residual, occlusion, outlier, heat map, difference, mask"
    OUTPUTS = {
        "image": ("IMAGE", "The photos, dark and grey, with the anomalies glowing on them."),
        "mask": ("MASK", "White where the anomaly is stronger than the threshold."),
    }
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.face_latent("Faces with their photos, from Encode Face."),
        "basis": widgets.basis(),
        **truncation_inputs(FIRST_K, 128),
        "sensitivity": widgets.slider(
            (1.0, 0.05, 5.0, 0.05), "How quickly a difference glows: higher shows weaker ones."
        ),
        "threshold": widgets.slider(
            (0.5, 0.0, 1.0, 0.01), "How strong an anomaly has to be to get into the mask."
        ),
        "view": widgets.choice(VIEWS, "The whole photo, or the aligned crop that the model sees."),
    }
    OPTIONAL = {
        "keep_norm": widgets.switch(
            False,
            "Stretches the truncated code to its own length before it is decoded. Off gives the "
            "closest picture; on suits digits with a small k.",
        ),
        "region": widgets.choice(
            REGIONS,
            "Where to look: on the face only, or in all of the crop, which also shows ears, "
            "collar and background. Models of whole pictures always look everywhere.",
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        basis: LatentBasis,
        mode: str,
        k: int,
        energy: float,
        sensitivity: float,
        threshold: float,
        view: str,
        keep_norm: bool,
        region: str,
    ) -> dict[str, Any]:
        given = join_basis(face_latent, basis, "Anomaly Map")
        validate.same_model(face_model, face_latent.space, "Anomaly Map")
        gain = sensitivity / _FULL_HEAT
        whole = view == PHOTO
        contexts = _require_contexts(face_latent, whole)
        codes = truncate(given, mode, k, energy, keep_norm, "Anomaly Map")
        explained = decode_codes(face_model, codes).float().cpu()
        with validate.explain_errors("Anomaly Map"):
            crops = [PhotoFace(context).crop for context in contexts]
            maps = []
            for crop, picture, context in zip(crops, explained, contexts, strict=True):
                host.check_interrupt()
                if face_model.template.whole:
                    heat = residual_map(crop, picture, least=INK)
                elif not context.has_face:
                    heat = torch.zeros(crop.shape[1:])
                else:
                    face = face_region(context)
                    heat = residual_map(crop, picture, face > 0.5, least=GRAIN)
                    heat = heat * face if region == FACE else heat
                maps.append(heat * gain)
        if whole:
            photos, heats = _place_on_photos(contexts, maps)
        else:
            photos = [crop.permute(1, 2, 0) for crop in crops]
            heats = [heat.clamp(0, 1) for heat in maps]
        drawn = []
        for photo, heat in zip(photos, heats, strict=True):
            host.check_interrupt()
            drawn.append(heat_image(photo, heat))
        host.check_interrupt()
        images = torch.stack(drawn)
        mask = (torch.stack(heats) > threshold).float()
        device = host.intermediate_device()
        host.check_interrupt()
        ui = preview(images[:_MOST_PREVIEWS], "face_latents_anomaly")
        return {"ui": ui, "result": (images.to(device), mask.to(device))}


def _require_contexts(latent: FaceLatent, whole: bool) -> list[PhotoContext]:
    found = [context for context in latent.contexts if context is not None]
    if len(found) < len(latent):
        number = next(i for i, context in enumerate(latent.contexts) if context is None)
        raise FaceLatentsError(
            f"Anomaly Map compares a face with its photo, but face {number + 1} has no photo: it "
            "was sampled, mixed or made from a VAE latent. Use faces from Encode Face."
        )
    sizes = {tuple(context.photo.shape[:2]) for context in found}
    if whole and len(sizes) > 1:
        listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise FaceLatentsError(
            f"Anomaly Map: the photos have different sizes ({listed}), but one IMAGE batch holds "
            "pictures of one size. Choose the view 'aligned face', or do them one at a time "
            "(Select Face Latent)."
        )
    return found


def _place_on_photos(
    contexts: list[PhotoContext], maps: list[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    """Photos `(H, W, 3)` and their heat `(H, W)` in [0, 1]; faces of one photo together."""
    photos: dict[str, Tensor] = {}
    heats: dict[str, Tensor] = {}
    for context, heat in zip(contexts, maps, strict=True):
        key = context.photo_key
        if key not in photos:
            photos[key] = context.photo
            heats[key] = torch.zeros(context.photo.shape[:2])
        placed, (rows, columns) = place_map(heat, context)
        window = heats[key][rows, columns]
        heats[key][rows, columns] = torch.maximum(window, placed.clamp(max=1))
    return list(photos.values()), list(heats.values())

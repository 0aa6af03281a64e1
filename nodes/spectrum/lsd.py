"""LSD Denoise and LSD Rotate: edits of the spectrum of a code."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from ...models.spectral.basis import LatentBasis
from ...models.values import FaceLatent
from .. import validate, widgets
from .common import Spectra, spectra, truncated, truncation_inputs

AUTO = "auto"
MOST_FRAMES = 4096  # in all


class LSDDenoise:
    """The part of a code that a truncated spectrum holds."""

    CATEGORY = widgets.SPECTRUM
    DESCRIPTION = (
        "Latent spectral decomposition: writes each code as a sum of the basis vectors, keeps the "
        "strongest, and puts the code together again. What is left is the label and the main "
        "structure; noise and oddities go."
    )
    SEARCH_ALIASES = ["lsd", "denoise latent", "spectral", "quasi-eigenvectors", "clean", "top k"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The denoised codes, with their photos (Paste Back works).",)
    FUNCTION = "denoise"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The codes to denoise."),
                "basis": widgets.wire(
                    widgets.LATENT_BASIS, "A basis of the same model (Load Basis, or a built one)."
                ),
                **truncation_inputs("top_k", 10),
                "keep_norm": widgets.switch(
                    True,
                    "Stretches the result to the code's own length. Without it, codes come nearer "
                    "to the centre and decode paler.",
                ),
            }
        }

    def denoise(
        self,
        face_latent: FaceLatent,
        basis: LatentBasis,
        mode: str,
        k: int,
        energy: float,
        keep_norm: bool,
    ) -> tuple[FaceLatent]:
        given = spectra(face_latent, basis, "LSD Denoise")
        samples = truncated(given, mode, k, energy, keep_norm, "LSD Denoise")
        return (given.latent.with_samples(samples),)


class LSDRotate:
    """A turn of codes from one label to another."""

    CATEGORY = widgets.SPECTRUM
    DESCRIPTION = (
        "Turns codes from one label of the basis to another: 90 degrees is a full change (a 3 "
        "becomes a 7). All that has nothing to do with the two labels stays as it is. Several "
        "labels in a row make a chain; steps gives the frames of the turn."
    )
    SEARCH_ALIASES = ["lsd", "rotation", "change label", "quasi-eigenvectors", "transition", "turn"]
    RETURN_TYPES = (widgets.FACE_LATENT, "STRING")
    RETURN_NAMES = ("face_latent", "text")
    OUTPUT_TOOLTIPS = (
        "The turned codes; with steps, all frames of the first face, then of the next.",
        "From which label to which each face was turned.",
    )
    FUNCTION = "rotate"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The codes to turn."),
                "basis": widgets.wire(
                    widgets.LATENT_BASIS, "A basis of the same model (Load Basis, or a built one)."
                ),
                "from_label": widgets.text(
                    AUTO,
                    "The label to turn away from. auto: the strongest label of each code.",
                ),
                "to_label": widgets.text(
                    "",
                    "The label to turn to (a wrong name is answered with the list). Several, "
                    "separated by commas, are visited one after another.",
                ),
                "angle": widgets.slider(
                    90.0,
                    -180.0,
                    180.0,
                    1.0,
                    "How far, in degrees: 0 nothing, 90 the full change, 180 the opposite of the "
                    "first label. In a chain, each turn.",
                ),
                "steps": widgets.integer(
                    1,
                    1,
                    MOST_FRAMES,
                    "1: only the result. More: that many frames from the start to the result, for "
                    "each turn of a chain.",
                ),
            }
        }

    def rotate(
        self,
        face_latent: FaceLatent,
        basis: LatentBasis,
        from_label: str,
        to_label: str,
        angle: float,
        steps: int,
    ) -> tuple[FaceLatent, str]:
        given = spectra(face_latent, basis, "LSD Rotate")
        degrees = validate.finite(angle, "angle")
        count = validate.whole(steps, "steps", 1, MOST_FRAMES)
        stops = _stops(given, from_label, to_label)
        frames = 1 if count == 1 else 1 + (len(stops) - 1) * (count - 1)
        faces = len(given.latent)
        if frames * faces > MOST_FRAMES:
            raise FaceLatentsError(
                f"LSD Rotate: {faces} face(s) with {frames} frames each are more than "
                f"{MOST_FRAMES} codes. Use fewer steps, labels or faces."
            )
        with validate.explained("LSD Rotate"):
            samples = _turned(given, stops, math.radians(degrees), count)
        text = "\n".join(
            f"face {number + 1}: " + " -> ".join(_names(given.basis, route))
            for number, route in enumerate(torch.stack(stops, 1).tolist())
        )
        contexts = tuple(context for context in given.latent.contexts for _ in range(frames))
        return replace(given.latent, samples=samples.flatten(0, 1), contexts=contexts), text


def _stops(given: Spectra, start: str, route: str) -> list[Tensor]:
    """The label indices ``(B,)`` visited one after another, at least two.

    Raises:
        FaceLatentsError: unknown labels, none at all, or one twice in a row.
    """
    basis, faces = given.basis, len(given.latent)
    wanted = [basis.label_index(name) for name in _split(route)]
    if not wanted:
        raise FaceLatentsError(
            f"LSD Rotate: to_label is empty. Give one of the labels of the basis "
            f"'{basis.name}': {', '.join(basis.labels)}."
        )
    if len(basis.labels) < 2:
        raise FaceLatentsError(
            f"LSD Rotate: the basis '{basis.name}' has one label; a turn needs two."
        )
    automatic = start.strip().casefold() == AUTO and AUTO not in basis.labels
    named = wanted if automatic else [basis.label_index(start), *wanted]
    for before, after in pairwise(named):
        if before == after:
            raise FaceLatentsError(
                f"LSD Rotate: '{basis.labels[after]}' to itself is no turn. Choose two different "
                f"labels of: {', '.join(basis.labels)}."
            )
    if automatic:
        first = latent_ops.classify(given.coefficients(), len(basis.labels)).cpu()
    else:
        first = torch.full((faces,), named[0])
    return [first, *(torch.full((faces,), index) for index in wanted)]


def _turned(given: Spectra, stops: list[Tensor], angle: float, count: int) -> Tensor:
    """Frames ``(B, F, *shape)`` of the turns from stop to stop."""
    codes, dims = given.latent.samples, given.latent.space.latent_dims
    device = codes.device
    current, frames = codes, [codes.clone()]
    for source, target in pairwise(stops):
        still = source == target  # a code that already has the label
        # Any other label will do as the plane of a turn by nothing.
        source = torch.where(still, (target + 1) % len(given.basis.labels), source)
        a, b = given.vectors[source.to(device)], given.vectors[target.to(device)]
        last = max(count - 1, 1)
        for step in range(1, last + 1):
            turn = torch.full((len(codes),), angle * step / last).masked_fill(still, 0).to(device)
            frames.append(latent_ops.rotate(current, a, b, turn, given.mean, latent_dims=dims))
        current = frames[-1]
    return torch.stack(frames if count > 1 else frames[-1:], 1)


def _names(basis: LatentBasis, route: list[int]) -> list[str]:
    return [basis.labels[index] for index in route]


def _split(text: str) -> list[str]:
    return [name.strip() for name in str(text).replace("\n", ",").split(",") if name.strip()]


NODES = {
    "FaceLatentsLSDDenoise": (LSDDenoise, "LSD Denoise"),
    "FaceLatentsLSDRotate": (LSDRotate, "LSD Rotate"),
}

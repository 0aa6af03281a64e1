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
from ..registry import node
from .common import Spectra, join_basis, truncate, truncation_inputs

AUTO = "auto"


@node("FaceLatentsLSDDenoise", "LSD Denoise", widgets.SPECTRUM)
class LSDDenoise:
    """Latent spectral decomposition: writes each code as a sum of the basis vectors, keeps the
    strongest, and puts the code together again. What is left is the label and the main structure;
    noise and oddities go.
    """

    ALIASES = "lsd, denoise latent, spectral, quasi-eigenvectors, clean, top k"
    OUTPUTS = widgets.output_faces("The denoised codes, with their photos (Paste Back works).")
    INPUTS = {
        "face_latent": widgets.face_latent("The codes to denoise."),
        "basis": widgets.basis(),
        **truncation_inputs("top_k", 10),
        "keep_norm": widgets.switch(
            True,
            "Stretches the result to the code's own length. Without it, codes come nearer to the "
            "centre and decode paler.",
        ),
    }

    def execute(
        self,
        face_latent: FaceLatent,
        basis: LatentBasis,
        mode: str,
        k: int,
        energy: float,
        keep_norm: bool,
    ) -> tuple[FaceLatent]:
        given = join_basis(face_latent, basis, "LSD Denoise")
        samples = truncate(given, mode, k, energy, keep_norm, "LSD Denoise")
        return (given.latent.with_samples(samples),)


@node("FaceLatentsLSDRotate", "LSD Rotate", widgets.SPECTRUM)
class LSDRotate:
    """Turns codes from one label of the basis to another: 90 degrees is a full change (a 3 becomes
    a 7). All that has nothing to do with the two labels stays as it is. Several labels in a row
    make a chain; steps gives the frames of the turn.
    """

    ALIASES = "lsd, rotation, change label, quasi-eigenvectors, transition, turn"
    OUTPUTS = {
        "face_latent": (
            widgets.FACE_LATENT,
            "The turned codes; with steps, all frames of the first face, then of the next.",
        ),
        "text": ("STRING", "From which label to which each face was turned."),
    }
    INPUTS = {
        "face_latent": widgets.face_latent("The codes to turn."),
        "basis": widgets.basis(),
        "from_label": widgets.text(
            AUTO, "The label to turn away from. auto: the strongest label of each code."
        ),
        "to_label": widgets.text(
            "",
            "The label to turn to (a wrong name is answered with the list). Several, separated "
            "by commas, are visited one after another.",
        ),
        "angle": widgets.slider(
            (90.0, -180.0, 180.0, 1.0),
            "How far, in degrees: 0 nothing, 90 the full change, 180 the opposite of the first "
            "label. In a chain, each turn.",
        ),
        "steps": widgets.integer(
            (1, 1, widgets.MOST_FRAMES),
            "1: only the result. More: that many frames from the start to the result, for each "
            "turn of a chain.",
        ),
    }

    def execute(
        self,
        face_latent: FaceLatent,
        basis: LatentBasis,
        from_label: str,
        to_label: str,
        angle: float,
        steps: int,
    ) -> tuple[FaceLatent, str]:
        given = join_basis(face_latent, basis, "LSD Rotate")
        stops = _plan_stops(given, from_label, to_label)
        frames = 1 if steps == 1 else 1 + (len(stops) - 1) * (steps - 1)
        faces = len(given.latent)
        if frames * faces > widgets.MOST_FRAMES:
            raise FaceLatentsError(
                f"LSD Rotate: {faces} face(s) with {frames} frames each are more than "
                f"{widgets.MOST_FRAMES} codes. Use fewer steps, labels or faces."
            )
        with validate.explain_errors("LSD Rotate"):
            samples = _turn(given, stops, math.radians(angle), steps)
        labels = given.basis.labels
        text = "\n".join(
            f"face {number + 1}: " + " -> ".join(labels[index] for index in route)
            for number, route in enumerate(torch.stack(stops, 1).tolist())
        )
        contexts = tuple(context for context in given.latent.contexts for _ in range(frames))
        return replace(given.latent, samples=samples.flatten(0, 1), contexts=contexts), text


def _plan_stops(given: Spectra, start: str, route: str) -> list[Tensor]:
    """The label indices `(B,)` visited one after another, at least two.

    Raises:
        FaceLatentsError: unknown labels, none at all, or one twice in a row.
    """
    basis, faces = given.basis, len(given.latent)
    wanted = [basis.label_index(name) for name in validate.names_in(route)]
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


def _turn(given: Spectra, stops: list[Tensor], angle: float, count: int) -> Tensor:
    """Frames `(B, F, *shape)` of the turns from stop to stop."""
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

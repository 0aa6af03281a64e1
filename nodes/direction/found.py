"""PCA Directions and SeFa Directions: found without labels, with a contact sheet to name them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...models.charts import picture_grid
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.fit.found import pca_directions, sefa_directions
from ...models.fit.safe_range import safe_range
from ...models.values import Direction, FaceLatent
from .. import host, validate, widgets
from ..combine import W_SPACES, layers_for
from ..compute import decodable_codes, decode_codes
from ..draw import Chart, preview, stack_charts
from ..registry import node

PCA, SEFA = "PCA Directions", "SeFa Directions"
MOST = 32
_STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the strength, columns of the sheet


class _FoundDirections(Chart):
    """What both nodes ask and hand on."""

    OUTPUTS = {
        "direction": (
            widgets.FACE_DIRECTION,
            "The direction with the number chosen by index, for Add Direction, Attribute Sliders "
            "(extra inputs) and Save Direction.",
        ),
        "directions": (widgets.FACE_DIRECTION, "All of them as a batch, for Attribute Sheet."),
        "contact_sheet": (
            "IMAGE",
            "Rows are directions, columns strengths: look at it to name them.",
        ),
        "info": ("STRING", "How much each direction accounts for."),
    }
    INPUTS = {
        "face_model": widgets.wire(widgets.FACE_MODEL, "The model (Load Face Model)."),
        "count": widgets.integer((8, 1, MOST), "How many directions to find and to show."),
        "index": widgets.integer(
            (0, 0, MOST - 1), "Which of them is the output 'direction': 0 is the strongest."
        ),
        "strength": widgets.slider(
            (3.0, 0.5, 10.0, 0.5), "How far the outer columns of the contact sheet go."
        ),
        "name": widgets.text(
            "", "What the chosen direction is called, once you have seen what it does."
        ),
    }


@node("FaceLatentsPCADirections", PCA, widgets.DIRECTION)
class PCADirections(_FoundDirections):
    """Finds the directions along which faces vary most, without any labels. The contact sheet shows
    what each one does; choose one by its number and give it a name.
    """

    ALIASES = (
        "ganspace, principal components, unsupervised, explore, discover directions, "
        "find directions, stylegan"
    )
    OPTIONAL = {
        "face_latent": widgets.faces(
            "The faces whose variation is looked for, many and different ones; the sheet starts "
            "from their mean. Without it, random faces of the model."
        ),
        "samples": widgets.integer(
            (500, 3, 4096), "How many random faces, where none are connected."
        ),
        "seed": widgets.seed("Which random faces."),
        "theme": widgets.theme(),
        "layers": widgets.layers(
            "Models of the StyleGAN2 kind only: which layers are analysed and moved. coarse "
            "(0-3), middle (4-7), fine (8 and up), or numbers such as '4-7, 10'."
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        count: int,
        face_latent: FaceLatent | None,
        samples: int,
        seed: int,
        layers: str,
        **chosen: Any,
    ) -> dict[str, Any]:
        analysed = layers_for(layers, face_model.space, PCA)
        notes = []
        if face_latent is None:
            codes = face_model.sample(samples, seed)
            if face_model.space.name not in W_SPACES:
                notes.append(
                    "These are random faces. In a model whose codes are whitened they vary "
                    "equally in all directions, so their PCA says nothing: connect faces, or use "
                    "SeFa Directions."
                )
        else:
            codes = _codes(face_model, face_latent, PCA)
        what = f"Looking for what varies most in {len(codes)} faces"
        with validate.explain_errors(PCA), host.Progress(0, what):
            batch, shares = pca_directions(face_model, codes, count, analysed)
        found = _Found(face_model, batch, shares, codes.mean(0), "variance")
        return _show_sheet(found, notes, **chosen)


@node("FaceLatentsSeFaDirections", SEFA, widgets.DIRECTION)
class SeFaDirections(_FoundDirections):
    """Finds the directions that change the picture most, from the model's weights alone: no labels
    and no photos. The contact sheet shows what each one does.
    """

    ALIASES = (
        "closed-form factorization, unsupervised, semantics, explore, discover directions, "
        "find directions, sefa, stylegan"
    )
    OPTIONAL = {
        "face_latent": widgets.faces(
            "A face to show the directions on (the first of a batch). Without it, the model's "
            "average face."
        ),
        "theme": widgets.theme(),
        "layers": widgets.layers(
            "Models of the StyleGAN2 kind only: which layers' weights are analysed, and move. "
            "coarse (0-3), middle (4-7), fine (8 and up), or numbers such as '4-7, 10'."
        ),
    }

    def execute(
        self,
        face_model: FaceModel,
        count: int,
        face_latent: FaceLatent | None,
        layers: str,
        **chosen: Any,
    ) -> dict[str, Any]:
        analysed = layers_for(layers, face_model.space, SEFA)
        face = torch.zeros(face_model.space.shape)
        if face_latent is not None:
            face = _codes(face_model, face_latent, SEFA)[0]
        elif face_model.space.mean is not None:
            face = face_model.space.mean.cpu().float()
        what = "Looking for directions in the model's weights"
        with validate.explain_errors(SEFA), host.Progress(0, what):
            batch, shares = sefa_directions(face_model, count, analysed)
        return _show_sheet(_Found(face_model, batch, shares, face, "effect"), (), **chosen)


class _Found(NamedTuple):
    model: FaceModel
    batch: Direction  # vectors (K, *shape)
    shares: Tensor  # (K,)
    face: Tensor  # (*shape), which the sheet moves
    measure: str  # what the shares are of


def _codes(model: FaceModel, latent: FaceLatent, node: str) -> Tensor:
    """Codes on the CPU, in the model's own space."""
    codes = decodable_codes(model, latent, f"{node}: model '{model.name}' and the face latent")
    return codes.cpu().float()


def _show_sheet(
    found: _Found, notes: Sequence[str], index: int, strength: float, name: str, theme: str
) -> dict[str, Any]:
    """Draw the contact sheet, and pick the chosen direction."""
    model, batch, shares, face, measure = found
    if index >= len(batch.vector):
        raise FaceLatentsError(
            f"{batch.name} Directions: index {index} was asked for, but only {len(batch.vector)} "
            f"directions are looked for (0 to {len(batch.vector) - 1}). Raise count."
        )
    amounts = torch.tensor(_STEPS) * strength
    cell = min(max(model.template.size, 96), 160)

    def decode(codes: Tensor) -> Tensor:
        return decode_codes(model, codes, f"Drawing {batch.name} directions", side=cell).cpu()

    vector = batch.vector[index]
    with host.Progress(0, f"Trying how far direction {index} looks natural"):
        low, high = safe_range(decode, face[None], vector)
    picked = replace(
        batch, vector=vector, name=name.strip() or f"{batch.name} {index}", safe_range=(low, high)
    )
    steps = amounts.reshape(-1, *[1] * face.ndim)
    pictures = decode(torch.cat([face + steps * vector for vector in batch.vector]))
    labels = [f"{i}: {share:.1%}" for i, share in enumerate(shares.tolist())]
    columns = [f"{amount:+g}" if amount else "0" for amount in amounts.tolist()]
    title = f"{batch.name} directions"
    rows = pictures.split(len(_STEPS))
    image = stack_charts(picture_grid(rows, labels, columns, title, theme=theme, cell=cell))
    lines = [f"{label} of the {measure}" for label in labels]
    lines += [
        f"chosen: {picked.name}; strength 1: {picked.unit}; looks natural from {low:g} to {high:g}",
        *notes,
    ]
    info = "\n".join(lines)
    ui = preview(image, "face_latents_directions", info)
    return {"ui": ui, "result": (picked, batch, image, info)}

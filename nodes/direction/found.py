"""PCA Directions and SeFa Directions: found without labels, with a contact sheet to name them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...models.charts import THEMES, picture_grid, to_image
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.fit.found import pca_directions, sefa_directions
from ...models.fit.safe_range import safe_range
from ...models.layers import ALL
from ...models.values import Direction, FaceLatent
from .. import host, validate, widgets
from ..combine import layers_for
from ..compute import decode_codes, own_codes
from ..draw import save_preview
from ..mix.interpolate import W_SPACES

PCA, SEFA = "PCA Directions", "SeFa Directions"
MOST = 32
_STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the strength, columns of the sheet

_RETURN_TYPES = (widgets.FACE_DIRECTION, widgets.FACE_DIRECTION, "IMAGE", "STRING")
_RETURN_NAMES = ("direction", "directions", "contact_sheet", "info")
_OUTPUT_TOOLTIPS = (
    "The direction with the number chosen by index, for Add Direction, Attribute Sliders (extra "
    "inputs) and Save Direction.",
    "All of them as a batch, for Attribute Sheet.",
    "Rows are directions, columns strengths: look at it to name them.",
    "How much each direction accounts for.",
)


class PCADirections:
    """Principal components of codes."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Finds the directions along which faces vary most, without any labels. The contact sheet "
        "shows what each one does; choose one by its number and give it a name."
    )
    SEARCH_ALIASES = ["ganspace", "principal components", "unsupervised", "explore", "discover"]
    RETURN_TYPES, RETURN_NAMES = _RETURN_TYPES, _RETURN_NAMES
    OUTPUT_TOOLTIPS = _OUTPUT_TOOLTIPS
    FUNCTION = "find"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": _required(),
            "optional": {
                "face_latent": widgets.wire(
                    widgets.FACE_LATENT,
                    "The faces whose variation is looked for, many and different ones; the sheet "
                    "starts from their mean. Without it, random faces of the model.",
                ),
                "samples": widgets.integer(
                    500, 3, 4096, "How many random faces, where none are connected."
                ),
                "seed": widgets.integer(0, 0, 0x7FFFFFFF, "Which random faces."),
                "theme": widgets.theme(),
                "layers": widgets.layers(
                    "Models of the StyleGAN2 kind only: which layers are analysed and moved. "
                    "coarse (0-3), middle (4-7), fine (8 and up), or numbers such as '4-7, 10'."
                ),
            },
        }

    def find(
        self,
        face_model: FaceModel,
        count: int,
        index: int,
        strength: float,
        name: str,
        face_latent: FaceLatent | None = None,
        samples: int = 500,
        seed: int = 0,
        theme: str = THEMES[0],
        layers: str = ALL,
    ) -> dict[str, Any]:
        model = validate.face_model(face_model)
        chosen = layers_for(layers, model.space, PCA)
        notes = []
        if face_latent is None:
            number = validate.whole(samples, "samples", 3, 4096)
            codes = model.sample(number, validate.whole(seed, "seed", 0))
            if model.space.name not in W_SPACES:
                notes.append(
                    "These are random faces. In a model whose codes are whitened they vary "
                    "equally in all directions, so their PCA says nothing: connect faces, or use "
                    "SeFa Directions."
                )
        else:
            codes = _faces(model, face_latent, PCA)
        with validate.explained(PCA):
            number = validate.whole(count, "count", 1, MOST)
            batch, shares = pca_directions(model, codes, number, chosen)
        return _shown(
            model, batch, shares, codes.mean(0), "variance", (index, strength, name, theme), notes
        )


class SeFaDirections:
    """Eigenvectors of the weight that first acts on the code."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Finds the directions that change the picture most, from the model's weights alone: no "
        "labels and no photos. The contact sheet shows what each one does."
    )
    SEARCH_ALIASES = ["closed-form factorization", "unsupervised", "semantics", "explore", "sefa"]
    RETURN_TYPES, RETURN_NAMES = _RETURN_TYPES, _RETURN_NAMES
    OUTPUT_TOOLTIPS = _OUTPUT_TOOLTIPS
    FUNCTION = "find"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": _required(),
            "optional": {
                "face_latent": widgets.wire(
                    widgets.FACE_LATENT,
                    "A face to show the directions on (the first of a batch). Without it, the "
                    "model's average face.",
                ),
                "theme": widgets.theme(),
                "layers": widgets.layers(
                    "Models of the StyleGAN2 kind only: which layers' weights are analysed, and "
                    "move. coarse (0-3), middle (4-7), fine (8 and up), or numbers such as "
                    "'4-7, 10'."
                ),
            },
        }

    def find(
        self,
        face_model: FaceModel,
        count: int,
        index: int,
        strength: float,
        name: str,
        face_latent: FaceLatent | None = None,
        theme: str = THEMES[0],
        layers: str = ALL,
    ) -> dict[str, Any]:
        model = validate.face_model(face_model)
        chosen = layers_for(layers, model.space, SEFA)
        face = torch.zeros(model.space.shape)
        if face_latent is not None:
            face = _faces(model, face_latent, SEFA)[0]
        elif model.space.mean is not None:
            face = model.space.mean.cpu().float()
        with validate.explained(SEFA):
            number = validate.whole(count, "count", 1, MOST)
            batch, shares = sefa_directions(model, number, chosen)
        return _shown(model, batch, shares, face, "effect", (index, strength, name, theme), ())


def _faces(model: FaceModel, face_latent: FaceLatent, node: str) -> Tensor:
    """Codes on the CPU, in the model's own space."""
    latent = validate.face_latent(face_latent)
    codes = own_codes(model, latent, f"{node}: model '{model.name}' and the face latent")
    return codes.cpu().float()


def _required() -> dict[str, widgets.InputSpec]:
    return {
        "face_model": widgets.wire(widgets.FACE_MODEL, "The model (Load Face Model)."),
        "count": widgets.integer(8, 1, MOST, "How many directions to find and to show."),
        "index": widgets.integer(
            0, 0, MOST - 1, "Which of them is the output 'direction': 0 is the strongest."
        ),
        "strength": widgets.slider(
            3.0, 0.5, 10.0, 0.5, "How far the outer columns of the contact sheet go."
        ),
        "name": widgets.text(
            "", "What the chosen direction is called, once you have seen what it does."
        ),
    }


def _shown(
    model: FaceModel,
    batch: Direction,
    shares: Tensor,
    face: Tensor,
    of: str,
    chosen: tuple[int, float, str, str],
    notes: list[str] | tuple[str, ...],
) -> dict[str, Any]:
    """Draw the contact sheet, and pick the chosen direction."""
    index, strength, name, theme = chosen
    number = validate.whole(index, "index", 0)
    if number >= len(batch.vector):
        raise FaceLatentsError(
            f"{batch.name} Directions: index {number} was asked for, but only {len(batch.vector)} "
            f"directions are looked for (0 to {len(batch.vector) - 1}). Raise count."
        )
    reach = validate.finite(strength, "strength")
    amounts = torch.tensor(_STEPS) * reach
    cell = min(max(model.template.size, 96), 160)
    picked = replace(
        batch, vector=batch.vector[number], name=name.strip() or f"{batch.name} {number}"
    )

    def decode(codes: Tensor) -> Tensor:
        return decode_codes(model, codes, f"Drawing {batch.name} directions", side=cell).cpu()

    picked = replace(picked, safe_range=safe_range(decode, face[None], picked.vector))
    steps = amounts.reshape(-1, *[1] * face.ndim)
    pictures = decode(torch.cat([face + steps * vector for vector in batch.vector]))
    rows = pictures.split(len(_STEPS))
    labels = [f"{i}: {share:.1%}" for i, share in enumerate(shares.tolist())]
    columns = [f"{amount:+g}" if amount else "0" for amount in amounts.tolist()]
    sheet = to_image(
        picture_grid(
            rows,
            labels,
            columns,
            f"{batch.name} directions",
            theme=validate.one_of(theme, THEMES, "theme"),
            cell=cell,
        )
    )
    low, high = picked.safe_range
    lines = [f"{label} of the {of}" for label in labels]
    lines += [
        f"chosen: {picked.name}; strength 1: {picked.unit}; looks natural from {low:g} to {high:g}",
        *notes,
    ]
    info = "\n".join(lines)
    image = sheet.unsqueeze(0).to(host.intermediate_device())
    return {
        "ui": {"images": [save_preview(sheet, "face_latents_directions")], "text": [info]},
        "result": (picked, batch, image, info),
    }


NODES = {
    "FaceLatentsPCADirections": (PCADirections, PCA),
    "FaceLatentsSeFaDirections": (SeFaDirections, SEFA),
}

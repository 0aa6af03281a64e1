"""Attribute Sheet: faces along directions, as a contact sheet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import latent_ops
from ...models.charts import picture_grid
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.paste.back import paste_back
from ...models.paste.edit import plan_edits
from ...models.paste.face import SURROUNDINGS, PhotoFace
from ...models.values import Direction, FaceLatent
from .. import host, validate, widgets
from ..combine import vectors_by_name
from ..compute import decode_codes, run_model
from ..draw import Chart, preview, stack_charts
from ..registry import node

NODE = "Attribute Sheet"
FACE, PHOTO = VIEWS = ("decoded face", "in the photo")
MORE = ("direction_2", "direction_3", "direction_4")
MOST_COLUMNS, MOST_ROWS = 21, 48


@node("FaceLatentsAttributeSheet", NODE, widgets.MEASURE)
class AttributeSheet(Chart):
    """Shows what a direction does: one row per face (or per direction), one column per strength.
    Use it to find out how far an edit can go, to compare directions, or to find names for
    directions that have none.
    """

    ALIASES = (
        "contact sheet, xy plot, grid, strengths, compare directions, traversal, compare smile, "
        "compare age, older, younger, expression sheet"
    )
    OUTPUTS = {"image": ("IMAGE", "The contact sheet.")}
    INPUTS = {
        "face_model": widgets.face_model(),
        "face_latent": widgets.faces("The faces to show."),
        "direction": widgets.direction("Where to go. A batch of directions gets one row each."),
        "low": widgets.number((-3.0, -100.0, 100.0, 0.5), "The strength on the left."),
        "high": widgets.number((3.0, -100.0, 100.0, 0.5), "The strength on the right."),
        "columns": widgets.integer(
            (7, 1, MOST_COLUMNS), "How many strengths, evenly from low to high."
        ),
        "strengths": widgets.text(
            "",
            "Your own strengths instead, such as -4, -1, 0, 1, 4. Empty: low, high and columns "
            "decide.",
        ),
        "view": widgets.choice(
            VIEWS,
            "decoded face: as the model draws it. in the photo: the change put back into the "
            "photo (faces without a photo are shown decoded).",
        ),
        "faces": widgets.integer(
            (4, 1, MOST_ROWS), "How many faces of the batch to show, from the first on."
        ),
    }
    OPTIONAL = {
        **widgets.directions(MORE, "A further direction, which gets rows of its own."),
        "theme": widgets.theme(),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        direction: Direction,
        low: float,
        high: float,
        columns: int,
        strengths: str,
        view: str,
        faces: int,
        theme: str,
        **more: Direction | None,
    ) -> dict[str, Any]:
        model, latent = face_model, face_latent
        validate.same_model(model, latent.space, NODE)
        amounts = _read_strengths(low, high, columns, strengths)
        given = [direction, *(other for other in more.values() if other is not None)]
        vectors = vectors_by_name(_select(latent, 0), given, NODE)
        count = min(len(latent), faces)
        if count * len(vectors) > MOST_ROWS:
            raise FaceLatentsError(
                f"{NODE}: {count} faces along {len(vectors)} directions make "
                f"{count * len(vectors)} rows; there is room for {MOST_ROWS}. Lower faces."
            )
        cell = min(max(model.template.size, 112), 224)
        rows, names = [], []
        with host.Progress(count * len(vectors), "Drawing the sheet") as progress:
            for number in range(count):
                face = _select(latent, number)
                context = face.contexts[0] if view == PHOTO else None
                scene = (
                    None if context is None else PhotoFace(context).in_square(cell, SURROUNDINGS)
                )
                for name, vector in vectors.items():
                    rows.append(_draw_row(model, face, vector, amounts, scene, cell))
                    names.append(_name_row(number, name, count, len(vectors)))
                    progress.step()
        title = next(iter(vectors)) if len(vectors) == 1 else ""
        captions = [f"{amount:+g}" if amount else "0" for amount in amounts]
        sheet = picture_grid(rows, names, captions, title, theme=theme, cell=cell)
        image = stack_charts(sheet)
        return {"ui": preview(image, "face_latents_sheet"), "result": (image,)}


def _read_strengths(low: float, high: float, columns: int, text: str) -> list[float]:
    typed = validate.numbers_in(text, NODE, "strengths", "-2, 0, 2")
    if len(typed) > MOST_COLUMNS:
        raise FaceLatentsError(
            f"{NODE} has room for {MOST_COLUMNS} strengths; there are {len(typed)}."
        )
    if typed:
        return typed
    if columns == 1:
        return [high]
    # Rounded: an even number of steps has to meet 0 exactly.
    step = (high - low) / (columns - 1)
    return [round(low + step * index, 6) for index in range(columns)]


def _select(latent: FaceLatent, number: int) -> FaceLatent:
    return replace(
        latent,
        samples=latent.samples[number : number + 1],
        contexts=latent.contexts[number : number + 1],
    )


def _name_row(number: int, direction: str, faces: int, directions: int) -> str:
    if directions == 1:
        return f"face {number + 1}" if faces > 1 else ""
    return f"{number + 1}: {direction}" if faces > 1 else direction


def _draw_row(
    model: FaceModel,
    face: FaceLatent,
    vector: Tensor,
    amounts: list[float],
    scene: PhotoFace | None,
    cell: int,
) -> Tensor:
    """One face at every strength, `(n, 3, H, W)`."""
    start = face.samples.expand(len(amounts), *face.samples.shape[1:])
    codes = latent_ops.add(
        start, vector, torch.tensor(amounts).to(start), latent_dims=face.space.latent_dims
    )
    if scene is None:
        return _shrink(decode_codes(model, codes, NODE).float().cpu().clamp(0, 1), cell)
    edits = plan_edits(model, [scene] * len(codes), codes, run=partial(run_model, model))
    photos = [paste_back(scene.context.photo, scene.context, edit) for edit in edits]
    return torch.stack(photos).permute(0, 3, 1, 2)


def _shrink(pictures: Tensor, cell: int) -> Tensor:
    if pictures.shape[-1] <= cell:
        return pictures
    return F.interpolate(pictures, (cell, cell), mode="bilinear", antialias=True)

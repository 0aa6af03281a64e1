"""Disentanglement: what else changes when faces move along each direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import matrix_chart
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.geometry.templates import AlignmentTemplate
from ...models.judge import Judge, load_judge, read
from ...models.paste.back import paste_back
from ...models.paste.edit import plan_edits
from ...models.paste.face import SURROUNDINGS, PhotoFace, cut_face
from ...models.values import Direction, FaceLatent
from .. import host, validate, widgets
from ..combine import mean_of, vectors_by_name
from ..compute import decode_codes, encode_crops, run_model
from ..draw import Chart, preview, stack_charts
from ..registry import node

NODE = "Disentanglement"
SCORES, JUDGE = MEASURES = ("direction scores", "attribute judge")
GIVEN = ("direction", "direction_2", "direction_3", "direction_4")
MOST_FACES, MOST_DIRECTIONS = 64, 64
JUDGED = ("smile", "glasses", "beard", "mouth_open", "gender_expression")  # as probabilities
DECADES = "age (decades)"


@node("FaceLatentsDisentanglement", NODE, widgets.MEASURE)
class Disentanglement(Chart):
    """Moves faces along every direction of the model (and up to four of your own) and shows what
    else changes: a clean direction has its own cell bright and the rest of its row dark. Condition
    Direction repairs what is not.
    """

    ALIASES = "entanglement, effect matrix, side effects, correlation, compare directions"
    OUTPUTS = {
        "image": ("IMAGE", "The table as a picture."),
        "text": ("STRING", "The table as comma-separated numbers."),
    }
    INPUTS = {
        "face_model": widgets.face_model("whose directions are tried"),
        "face_latent": widgets.faces(
            f"The faces to try them on, up to {MOST_FACES}; the table shows their mean."
        ),
        "strength": widgets.number(
            (2.0, 0.05, 100.0, 0.5), "Each face is moved this far to both sides."
        ),
        "measure": widgets.choice(
            MEASURES,
            "direction scores: the change along each direction after decoding and encoding "
            "again. attribute judge: what a separate network reads off the faces that Paste Back "
            "puts into their photos (only for models of aligned faces).",
        ),
    }
    OPTIONAL = {
        **widgets.directions(GIVEN, "A direction of your own, as a further row and column."),
        "theme": widgets.theme(),
    }

    def execute(
        self,
        face_model: FaceModel,
        face_latent: FaceLatent,
        strength: float,
        measure: str,
        theme: str,
        **directions: Direction | None,
    ) -> dict[str, Any]:
        model, latent, judged = face_model, face_latent, measure == JUDGE
        validate.same_model(model, latent.space, NODE)
        if strength <= 0:
            raise FaceLatentsError(f"{NODE}: strength must be above 0; it is {strength:g}.")
        if len(latent) > MOST_FACES:
            raise FaceLatentsError(
                f"{NODE} tries up to {MOST_FACES} faces; this batch has {len(latent)}. Select "
                "fewer."
            )
        if judged and model.template.whole:
            raise FaceLatentsError(
                f"{NODE}: the attribute judge reads aligned faces, but model '{model.name}' takes "
                "whole pictures. Choose direction scores."
            )
        if not judged and model.capabilities.encode is None:
            raise FaceLatentsError(
                f"{NODE}: direction scores are read by encoding what was drawn, but model "
                f"'{model.name}' has no encoder. Use Attribute Sheet, or convert weights that "
                "bring one (e4e, pSp)."
            )
        given = [direction for direction in directions.values() if direction is not None]
        vectors = _vectors(latent, [*model.directions.values(), *given])
        names = list(vectors)
        with validate.explain_errors(NODE):
            if judged:
                columns = [*JUDGED, DECADES]
                table = _measure_by_judge(model, latent, vectors, strength)
                title = f"Change from {-strength:+g} to {strength:+g}, read off the pictures"
            else:
                columns = names
                table = _measure_by_scores(model, latent, vectors, strength)
                title = "1 unit along a row changes a column by"
        chart = matrix_chart(table, names, columns, title, theme=theme)
        lines = [",".join(["moved", *columns])]
        for name, row in zip(names, table.tolist(), strict=True):
            lines.append(",".join([name, *(f"{value:.3f}" for value in row)]))
        image = stack_charts(chart)
        return {"ui": preview(image, "face_latents_effects"), "result": (image, "\n".join(lines))}


def _vectors(latent: FaceLatent, directions: Sequence[Direction]) -> dict[str, Tensor]:
    """The vector `(*shape)` of each direction, by name."""
    for direction in directions:
        if direction.vector.ndim > direction.space.latent_dims:
            raise FaceLatentsError(
                f"{NODE} takes single directions; '{direction.name}' is a batch of "
                f"{len(direction.vector)}."
            )
    found = vectors_by_name(latent, directions, NODE)
    if not found:
        raise FaceLatentsError(
            f"{NODE}: the model has no directions of its own. Connect yours to direction."
        )
    if len(found) > MOST_DIRECTIONS:
        raise FaceLatentsError(
            f"{NODE} tries up to {MOST_DIRECTIONS} directions; there are {len(found)}."
        )
    return found


def _measure_by_scores(
    model: FaceModel, latent: FaceLatent, vectors: Mapping[str, Tensor], step: float
) -> Tensor:
    """`(K, K)`: the change along each direction, in its units, per unit of the moved one."""
    dims, mean = latent.space.latent_dims, mean_of(latent)

    def measure(codes: Tensor) -> Tensor:
        pictures = decode_codes(model, codes, NODE).clamp(0, 1)
        again = encode_crops(model, pictures, NODE).to(latent.samples)
        scores = (
            latent_ops.coefficient(again, vector, mean, latent_dims=dims).mean()
            for vector in vectors.values()
        )
        return torch.stack(list(scores))

    return _measure_changes(latent, vectors, step, measure) / (2 * step)


def _measure_by_judge(
    model: FaceModel, latent: FaceLatent, vectors: Mapping[str, Tensor], step: float
) -> Tensor:
    """`(K, 6)`: change of the judge's readings from one side to the other."""
    # The judge sees no more than the aligned face, so the photo around it is enough.
    side = round(SURROUNDINGS * model.template.size)
    faces = [
        None if context is None else PhotoFace(context).in_square(side, SURROUNDINGS)
        for context in latent.contexts
    ]

    def measure(codes: Tensor) -> Tensor:
        pictures = _paste_faces(model, faces, codes)
        return _read_attributes(pictures, model.template).mean(0)

    return _measure_changes(latent, vectors, step, measure)


def _measure_changes(
    latent: FaceLatent,
    vectors: Mapping[str, Tensor],
    step: float,
    measure: Callable[[Tensor], Tensor],
) -> Tensor:
    """`(K, M)` float64: what `measure` `(M,)` of the codes gains from -step to +step."""
    rows = []
    with host.Progress(len(vectors), "Measuring directions") as progress:
        for vector in vectors.values():
            up, down = (
                measure(
                    latent_ops.add(
                        latent.samples, vector, sign * step, latent_dims=latent.space.latent_dims
                    )
                )
                for sign in (1, -1)
            )
            rows.append(up - down)
            progress.step()
    return torch.stack(rows).double().cpu()


def _paste_faces(model: FaceModel, faces: Sequence[PhotoFace | None], codes: Tensor) -> Tensor:
    """`(B, 3, S, S)` in [0, 1]: what Paste Back makes of faces of photos, others decoded."""
    size = model.template.size
    pictures = torch.empty(len(faces), 3, size, size)
    decoded = [number for number, face in enumerate(faces) if face is None]
    if decoded:
        pictures[decoded] = decode_codes(model, codes[decoded], NODE).float().cpu()
    pasted = {number: face for number, face in enumerate(faces) if face is not None}
    run = partial(run_model, model)
    edits = plan_edits(model, list(pasted.values()), codes[list(pasted)], run=run)
    for (number, face), edit in zip(pasted.items(), edits, strict=True):
        photo = paste_back(face.context.photo, face.context, edit)
        pictures[number] = cut_face(photo, face.context, size)
    return pictures.clamp(0, 1)


def _read_attributes(pictures: Tensor, template: AlignmentTemplate) -> Tensor:
    """What the judge sees in `(B, 3, S, S)`: probabilities, and age in tens of years, (B, 6)."""
    found = read(_load_judge(), pictures, template)
    return torch.stack([*(found[name] for name in JUDGED), found["age"] / 10], 1)


@lru_cache(maxsize=1)
def _load_judge() -> Judge:
    return load_judge()

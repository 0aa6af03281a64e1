"""Latent Distance and Distance Matrix."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import THEMES, matrix_chart
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.imaging.align import align_with_transform
from ...models.space import require_same_space
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import pair
from ..compute import decode_codes
from ..draw import shown

METRIC_TOOLTIP = (
    "euclidean: straight-line distance. rms: the same per component, comparable between models. "
    "cosine: 0 alike to 2 opposite. angle: in radians. whitened: each component measured in its "
    "own standard deviation."
)
MOST_FACES = 64  # in one table


class LatentDistance:
    """How far apart two faces are."""

    CATEGORY = widgets.MEASURE
    DESCRIPTION = "Measures how different two faces are to the model: 0 is identical."
    SEARCH_ALIASES = [
        "similarity",
        "compare faces",
        "face distance",
        "cosine",
        "euclidean",
        "identity",
    ]
    RETURN_TYPES = ("FLOAT", "STRING")
    RETURN_NAMES = ("distance", "text")
    OUTPUT_TOOLTIPS = (
        "The distance; the mean of all pairs where the inputs hold several faces.",
        "The distance of each pair, as text.",
    )
    FUNCTION = "measure"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "a": widgets.wire(widgets.FACE_LATENT, "One face, or several."),
                "b": widgets.wire(
                    widgets.FACE_LATENT,
                    "What to compare with: as many faces as a (compared in pairs), or one.",
                ),
                "metric": widgets.choice(latent_ops.METRICS, METRIC_TOOLTIP),
            }
        }

    def measure(self, a: FaceLatent, b: FaceLatent, metric: str) -> tuple[float, str]:
        first, second = validate.face_latent(a, "a"), validate.face_latent(b, "b")
        kind = validate.one_of(metric, latent_ops.METRICS, "metric")
        start, end = pair(first, second, "Latent Distance")
        with validate.explained("Latent Distance"):
            values = latent_ops.distance(
                start, end, kind, _std(first, kind), latent_dims=first.space.latent_dims
            )
        numbers = values.double().flatten().tolist()
        return sum(numbers) / len(numbers), "\n".join(f"{number:.4f}" for number in numbers)


class DistanceMatrix:
    """All distances within a batch, as a picture."""

    CATEGORY = widgets.MEASURE
    DESCRIPTION = (
        "Draws the distances between all faces of a batch as a coloured table with the faces at "
        "its edges. Dark is alike, bright is different."
    )
    SEARCH_ALIASES = ["similarity matrix", "heatmap", "compare faces", "confusion", "plot", "table"]
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "text")
    OUTPUT_TOOLTIPS = ("The table as a picture.", "The table as comma-separated numbers.")
    FUNCTION = "draw"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(
                    widgets.FACE_LATENT, "The faces to compare (see Join Face Latents)."
                ),
                "metric": widgets.choice(latent_ops.METRICS, METRIC_TOOLTIP),
            },
            "optional": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL,
                    "Draws each face at the edges as this model decodes it. Without it, unedited "
                    "faces are shown from their photo and the others only have a number.",
                ),
                "theme": widgets.theme(),
            },
        }

    def draw(
        self,
        face_latent: FaceLatent,
        metric: str,
        face_model: FaceModel | None = None,
        theme: str = THEMES[0],
    ) -> dict[str, Any]:
        latent = validate.face_latent(face_latent)
        model = None if face_model is None else validate.face_model(face_model)
        kind = validate.one_of(metric, latent_ops.METRICS, "metric")
        colours = validate.one_of(theme, THEMES, "theme")
        if len(latent) > MOST_FACES:
            raise FaceLatentsError(
                f"Distance Matrix draws up to {MOST_FACES} faces; this batch has {len(latent)}. "
                "Select fewer, or use Latent Distance."
            )
        with validate.explained("Distance Matrix"):
            matrix = latent_ops.pairwise(
                latent.samples,
                metric=kind,
                std=_std(latent, kind),
                latent_dims=latent.space.latent_dims,
            )
        matrix = matrix.double().cpu()
        numbers = [str(number + 1) for number in range(len(latent))]
        faces = thumbnails(latent, model, "Distance Matrix")
        chart = matrix_chart(
            matrix,
            numbers,
            numbers,
            f"{kind} distance",
            diverging=False,
            theme=colours,
            row_pictures=faces,
            column_pictures=faces,
        )
        table = "\n".join(",".join(f"{value:.4f}" for value in row) for row in matrix.tolist())
        return shown(chart, "face_latents_distance", table)


def _std(latent: FaceLatent, metric: str) -> Tensor | None:
    if metric != "whitened":
        return None
    if latent.space.std is None:
        raise FaceLatentsError(
            f"The whitened distance needs the spread of the model's codes, which space "
            f"{latent.space.describe()} does not state. Choose euclidean or rms."
        )
    return latent.space.std.to(latent.samples.device)


def thumbnails(latent: FaceLatent, model: FaceModel | None, node: str) -> list[Tensor | None]:
    """Pictures ``(3, S, S)`` of the faces, None where none would be true.

    With a model as it decodes them, else from the photo where the face is unedited.

    Raises:
        SpaceMismatchError: the faces belong to another model; `node` is named.
    """
    if model is not None:
        require_same_space(
            model.space, latent.space, f"{node}: model '{model.name}' and the face latent"
        )
        return list(decode_codes(model, latent.samples).cpu())
    codes = latent.samples.detach().to("cpu", torch.float32)
    return [
        align_with_transform(context.photo, context.transform.cpu(), context.size)
        if context is not None and torch.equal(code, context.code.to("cpu", torch.float32))
        else None
        for code, context in zip(codes, latent.contexts, strict=True)
    ]


NODES = {
    "FaceLatentsDistance": (LatentDistance, "Latent Distance"),
    "FaceLatentsDistanceMatrix": (DistanceMatrix, "Distance Matrix"),
}

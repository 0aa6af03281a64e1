"""Latent Distance and Distance Matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import matrix_chart
from ...models.errors import FaceLatentsError, NoFaceError
from ...models.face_model import FaceModel
from ...models.face_model.comparison import ALL, PARTS, compare_part
from ...models.paste.face import PhotoFace
from ...models.values import FaceLatent
from .. import validate, widgets
from ..combine import both_faces, pair
from ..compute import decode_codes
from ..draw import Chart, preview, stack_charts
from ..registry import node

METRIC = widgets.choice(
    latent_ops.METRICS,
    "euclidean: straight-line distance. rms: the same per component, comparable between models. "
    "cosine: 0 alike to 2 opposite. angle: in radians. whitened: each component measured in its "
    "own standard deviation.",
)
PART = widgets.choice(
    PARTS,
    "What is compared. all: the whole codes. identity: what tells people apart, without pose, "
    "expression and light; a face and its mirror image are the same. shape: how a face is built "
    "and what it does. appearance: what is seen on it. pose: how the head is turned, and where.",
)
MOST_FACES = 64  # in one table


@node("FaceLatentsDistance", "Latent Distance", widgets.MEASURE)
class LatentDistance:
    """Measures how different two faces are to the model: 0 is identical."""

    ALIASES = (
        "similarity, compare faces, same person, face distance, cosine, euclidean, identity, "
        "likeness"
    )
    OUTPUTS = {
        "distance": (
            "FLOAT",
            "The distance; the mean of all pairs where the inputs hold several faces.",
        ),
        "text": ("STRING", "The distance of each pair, as text."),
    }
    INPUTS = {
        "a": widgets.face_latent("One face, or several."),
        "b": widgets.face_latent(
            "What to compare with: as many faces as a (compared in pairs), or one."
        ),
        "metric": METRIC,
    }
    OPTIONAL = {
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "The model the faces were encoded with. Needed for any part but all.",
        ),
        "part": PART,
    }

    def execute(
        self, a: FaceLatent, b: FaceLatent, metric: str, face_model: FaceModel | None, part: str
    ) -> tuple[float, str]:
        pair(a, b, "Latent Distance")
        values = _distances(a, b, metric, part, face_model, "Latent Distance", latent_ops.distance)
        numbers = values.double().flatten().tolist()
        compared = [both_faces(a, b, i) for i in range(len(numbers))]
        lines = [
            f"{number:.4f}" if faces else "no face"
            for number, faces in zip(numbers, compared, strict=True)
        ]
        numbers = [number for number, faces in zip(numbers, compared, strict=True) if faces]
        if not numbers:
            raise NoFaceError("Latent Distance: no pair of photos shows two faces to compare.")
        return sum(numbers) / len(numbers), "\n".join(lines)


@node("FaceLatentsDistanceMatrix", "Distance Matrix", widgets.MEASURE)
class DistanceMatrix(Chart):
    """Draws the distances between all faces of a batch as a coloured table with the faces at its
    edges. Dark is alike, bright is different.
    """

    ALIASES = "similarity matrix, heatmap, compare faces, same person, confusion, plot, table"
    OUTPUTS = {
        "image": ("IMAGE", "The table as a picture."),
        "text": ("STRING", "The table as comma-separated numbers."),
    }
    INPUTS = {
        "face_latent": widgets.faces("The faces to compare (see Join Face Latents)."),
        "metric": METRIC,
    }
    OPTIONAL = {
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "Draws each face at the edges as this model decodes it. Without it, unedited faces "
            "are shown from their photo and the others only have a number.",
        ),
        "theme": widgets.theme(),
        "part": PART,
    }

    def execute(
        self,
        face_latent: FaceLatent,
        metric: str,
        face_model: FaceModel | None,
        theme: str,
        part: str,
    ) -> dict[str, Any]:
        if len(face_latent) > MOST_FACES:
            raise FaceLatentsError(
                f"Distance Matrix draws up to {MOST_FACES} faces; this batch has "
                f"{len(face_latent)}. Select fewer, or use Latent Distance."
            )
        matrix = _distances(
            face_latent, face_latent, metric, part, face_model, "Distance Matrix", _pairwise
        )
        matrix = torch.minimum(matrix, matrix.T).double().cpu()  # rounding of mirrored faces
        numbers = [str(number + 1) for number in range(len(face_latent))]
        faces = thumbnails(face_latent, face_model, "Distance Matrix")
        chart = matrix_chart(
            matrix,
            numbers,
            numbers,
            f"{metric} distance" if part == ALL else f"{metric} distance of {part}",
            diverging=False,
            theme=theme,
            row_pictures=faces,
            column_pictures=faces,
        )
        image = stack_charts(chart)
        table = "\n".join(",".join(f"{value:.4f}" for value in row) for row in matrix.tolist())
        return {"ui": preview(image, "face_latents_distance"), "result": (image, table)}


def _distances(
    a: FaceLatent,
    b: FaceLatent,
    metric: str,
    part: str,
    model: FaceModel | None,
    node: str,
    measure: Callable[..., Tensor],
) -> Tensor:
    """Distances of faces as `measure` pairs them, a function of `latent_ops`."""
    spread, dims = _spread_for(a, metric), a.space.latent_dims
    first, second = a.samples, b.samples.to(a.samples.device)
    with validate.explain_errors(node):
        if part == ALL:
            return measure(first, second, metric, spread, latent_dims=dims)
        if model is None:
            raise FaceLatentsError(
                f"{node}: to compare the {part} of faces, connect their face_model (Load Face "
                "Model)."
            )
        validate.same_model(model, a.space, node)
        if spread is not None:
            first, second, metric = first / spread, second / spread, "euclidean"
        return compare_part(model, part, first, second, lambda x, y: measure(x, y, metric, None))


def _pairwise(
    x: Tensor, y: Tensor, metric: str, std: Tensor | None, *, latent_dims: int = 1
) -> Tensor:
    # without the second set the diagonal is exactly zero
    others = None if torch.equal(x, y) else y
    return latent_ops.pairwise(x, others, metric, std, latent_dims=latent_dims)


def _spread_for(latent: FaceLatent, metric: str) -> Tensor | None:
    if metric != "whitened":
        return None
    if latent.space.std is None:
        raise FaceLatentsError(
            f"The whitened distance needs the spread of the model's codes, which space "
            f"{latent.space.describe()} does not state. Choose euclidean or rms."
        )
    return latent.space.std.to(latent.samples.device)


def thumbnails(latent: FaceLatent, model: FaceModel | None, node: str) -> list[Tensor | None]:
    """Pictures `(3, S, S)` of the faces, None where none would be true.

    With a model as it decodes them, else from the photo where the face is unedited.

    Raises:
        SpaceMismatchError: the faces belong to another model; `node` is named.
    """
    if model is not None:
        validate.same_model(model, latent.space, node)
        return list(decode_codes(model, latent.samples).cpu())
    codes = latent.samples.detach().to("cpu", torch.float32)
    return [
        PhotoFace(context).crop
        if context is not None and torch.equal(code, context.code.to("cpu", torch.float32))
        else None
        for code, context in zip(codes, latent.contexts, strict=True)
    ]

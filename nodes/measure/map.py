"""Face Map: many faces in the plane in which they differ most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.charts import scatter_chart
from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.values import FaceLatent
from .. import validate, widgets
from ..draw import Chart, preview, stack_charts
from ..registry import node
from .distance import thumbnails

NODE = "Face Map"
MOST_FACES = 512
SIZE = (1024, 800)


@node("FaceLatentsFaceMap", NODE, widgets.MEASURE)
class FaceMap(Chart):
    """Draws many faces on a map: alike faces lie close together. The two axes are those along which
    this batch differs most (principal components).
    """

    ALIASES = "pca, scatter plot, 2d map, clusters, embedding, similar faces"
    OUTPUTS = {
        "image": ("IMAGE", "The map as a picture."),
        "text": (
            "STRING",
            "How much of the differences each axis shows, and the place of each face.",
        ),
    }
    INPUTS = {
        "face_latent": widgets.faces(f"The faces, 2 to {MOST_FACES} (see Join Face Latents)."),
        "groups": widgets.text(
            "",
            "A group for each face, which gives it a colour: names separated by commas or lines, "
            "in the order of the faces; before * 5, after * 5 saves typing. Empty: no groups.",
            multiline=True,
        ),
        "names": widgets.text(
            "",
            "A name for each face, written below it; separated like groups. Empty: none.",
            multiline=True,
        ),
    }
    OPTIONAL = {
        "face_model": widgets.wire(
            widgets.FACE_MODEL,
            "Draws each face as this model decodes it. Without it, unedited faces are shown from "
            "their photo and the others as points.",
        ),
        "theme": widgets.theme(),
    }

    def execute(
        self,
        face_latent: FaceLatent,
        groups: str,
        names: str,
        face_model: FaceModel | None,
        theme: str,
    ) -> dict[str, Any]:
        count = len(face_latent)
        if not 2 <= count <= MOST_FACES:
            raise FaceLatentsError(
                f"{NODE} draws 2 to {MOST_FACES} faces; this batch has {count}. Join Face Latents "
                "makes one batch of several, Select Face Latent takes faces out."
            )
        group_names = _read_words(groups, count, "groups")
        labels = _read_words(names, count, "names")
        with validate.explain_errors(NODE):
            places, shares = _project(face_latent.samples)
            first, second = (round(100 * share) for share in shares)
            chart = scatter_chart(
                places,
                f"{count} faces ({first}% + {second}% of their differences)",
                thumbnails=thumbnails(face_latent, face_model, NODE),
                groups=group_names,
                labels=labels,
                theme=theme,
                size=SIZE,
            )
        lines = [
            f"axis {number}: {100 * share:.1f}% of the variance"
            for number, share in enumerate(shares, start=1)
        ]
        lines += [
            ",".join([labels[i] if labels else str(i), f"{x:.4f}", f"{y:.4f}"])
            for i, (x, y) in enumerate(places.tolist())
        ]
        image = stack_charts(chart)
        return {"ui": preview(image, "face_latents_map"), "result": (image, "\n".join(lines))}


def _project(samples: Tensor) -> tuple[Tensor, list[float]]:
    """Places `(N, 2)` in the plane of largest variance, and the share of it along both axes."""
    codes = samples.detach().cpu().double()
    if bool((codes == codes[:1]).all()):
        return torch.zeros(len(codes), 2), [0.0, 0.0]  # all the same face
    axes, shares = latent_ops.principal_directions(codes, min(2, len(codes) - 1, codes[0].numel()))
    flat = (codes - codes.mean(0)).flatten(1) @ axes.flatten(1).T
    missing = 2 - flat.shape[1]  # two faces lie on a line
    places = torch.nn.functional.pad(flat, (0, missing))
    return places, [*shares.tolist(), *[0.0] * missing]


def _read_words(text: str, count: int, name: str) -> list[str] | None:
    """One word for each face; `word * 5` stands for five."""
    words: list[str] = []
    for part in validate.names_in(text):
        word, star, times = part.rpartition("*")
        repeated = star and times.strip().isdigit()
        words += [word.strip()] * min(int(times), MOST_FACES + 1) if repeated else [part]
    if not words:
        return None
    if len(words) != count:
        raise FaceLatentsError(
            f"{NODE}: there are {len(words)} {name} for {count} faces. Give one for each face, in "
            "their order, or leave the field empty."
        )
    return words

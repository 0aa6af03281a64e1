"""A trained face model as a file: its directions, their ranges, and facts about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ....models.architectures.face import file as face_file
from ....models.architectures.face.net import FaceShapeAppearanceNet
from ....models.face_model import Expressions, save_face_model
from ....models.face_model.file import model_identity
from ....models.geometry.templates import WIDE
from ....models.space import LatentSpace
from ....models.values import Direction, Reading
from ...data.faces import FAIRFACE
from ...directions.recipes import RECIPES
from .ranges import natural_range

LONDON = (
    "DeBruine, L., & Jones, B. (2017). Face Research Lab London Set (Version 5). figshare. "
    "https://doi.org/10.6084/m9.figshare.5047666.v5. Licensed under CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/). Changes: a subset was selected, cropped, "
    "scaled down and re-encoded as WebP; landmarks and teacher labels were added"
)
LIMITS = (
    "Adults seen from the front, up to about 25 degrees; no children were in the data. Decodes are "
    "softer than the photo. New glasses and beards are of one kind; the skin under those of a "
    "photo and the teeth of a closed mouth are guessed. Labels are impressions of annotators and "
    "networks (gender is binary, age a guess); light and skin tone are not told apart."
)
FACES_FOR_RANGES = 48


def export_face(
    out_file: str | Path,
    net: FaceShapeAppearanceNet,
    vectors: Mapping[str, Tensor],
    codes: Tensor,
    facts: Mapping[str, str],
    readings: Mapping[str, Reading],
    expressions: Expressions,
) -> None:
    """Write a trained model with its directions.

    Args:
        out_file: the file.
        net: the trained network.
        vectors: `(K,)` of each recipe.
        codes: `(N, K)` of training faces, on whose first ones ranges are measured.
        facts: metadata of the run.
        readings: of recipes that have a unit of their own.
        expressions: how codes show expressions.
    """
    tensors = {
        name: (tensor.half() if name.startswith(face_file.HALVED) else tensor).contiguous()
        for name, tensor in net.state_dict().items()
        if not name.startswith("landmarks.")
    }
    space = LatentSpace(net.space_name, net.code_shape, model_identity(tensors))
    directions = {
        recipe.name: Direction(
            vector=vectors[recipe.name],
            space=space,
            name=recipe.name,
            unit=f"plus: {recipe.plus}",
            safe_range=natural_range(net, codes[:FACES_FOR_RANGES], vectors[recipe.name]),
            method="joint regression of landmarks and appearance on labels and measures, see the "
            "model card",
            group=recipe.group,
            reading=readings.get(recipe.name),
        )
        for recipe in RECIPES
    }
    metadata = {
        "name": "Face (shape and appearance)",
        "architecture": face_file.NAME,
        "licence": "MIT for the weights; training images CC BY 4.0, MIT and CC0, see attribution",
        "attribution": f"{FAIRFACE}. {LONDON}. SFHQ-T2I, MIT License, Copyright (c) 2024 David "
        "Beniaguev. faker-js assets-person-portrait, CC0 1.0. The weights were fitted to the "
        "aligned faces; landmarks are those of MediaPipe FaceLandmarker (Apache License 2.0).",
        "training_data": f"{len(codes)} faces of FairFace (adults), each also mirrored; 451 sharp "
        "faces for the finest detail, among them 36 people with a neutral and a smiling face",
        "intended_use": "Editing photos with the consent of the person shown. Not for identifying, "
        "classifying or judging people.",
        "limits": LIMITS,
        "groups": json.dumps({recipe.name: recipe.group for recipe in RECIPES}),
        **facts,
    }
    save_face_model(out_file, tensors, metadata, WIDE.resized(net.size), directions, expressions)

"""Fit Direction: from two batches of faces."""

from __future__ import annotations

from typing import Any

from ....models.charts import THEMES
from ....models.face_model import FaceModel
from ....models.space import require_same_space
from ....models.values import FaceLatent
from ... import validate, widgets
from .common import (
    OUTPUT_TOOLTIPS,
    RETURN_NAMES,
    RETURN_TYPES,
    advanced_inputs,
    fitted_groups,
    setting_inputs,
    settings_of,
)


class FitDirection:
    """The direction that tells two groups of faces apart, and how well it does."""

    CATEGORY = widgets.DIRECTION
    DESCRIPTION = (
        "Makes a direction of your own from two groups of faces: without and with what you are "
        "after. Says how well it works on faces it has not seen, and how far it can be followed."
    )
    SEARCH_ALIASES = [
        "make direction", "train direction", "attribute", "lda", "logistic regression", "svm",
        "interfacegan", "boundary", "mean difference",
    ]  # fmt: skip
    RETURN_TYPES = RETURN_TYPES
    RETURN_NAMES = RETURN_NAMES
    OUTPUT_TOOLTIPS = OUTPUT_TOOLTIPS
    FUNCTION = "fit"
    HAS_INTERMEDIATE_OUTPUT = True  # the picture comes back after a reload of the page

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL, "The model the faces were encoded with (Load Face Model)."
                ),
                "faces_without": widgets.wire(
                    widgets.FACE_LATENT, "Faces without the attribute; 30 or more, better 100."
                ),
                "faces_with": widgets.wire(
                    widgets.FACE_LATENT, "Faces with it, otherwise as alike as can be."
                ),
                **setting_inputs(),
            },
            "optional": advanced_inputs(),
        }

    def fit(
        self,
        face_model: FaceModel,
        faces_without: FaceLatent,
        faces_with: FaceLatent,
        name: str,
        method: str,
        keep_still: str,
        folds: int = 10,
        seed: int = 0,
        theme: str = THEMES[0],
    ) -> dict[str, Any]:
        model = validate.face_model(face_model)
        groups = []
        for given, socket in ((faces_without, "faces_without"), (faces_with, "faces_with")):
            latent = validate.face_latent(given, socket)
            require_same_space(
                model.space, latent.space, f"Fit Direction: model '{model.name}' and {socket}"
            )
            groups.append(latent.samples)
        settings = settings_of(model, method, keep_still, folds, seed)
        with validate.explained("Fit Direction"):
            return fitted_groups(model, groups[0], groups[1], name, settings, theme)


NODES = {"FaceLatentsFitDirection": (FitDirection, "Fit Direction")}

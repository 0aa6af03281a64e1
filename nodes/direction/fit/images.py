"""Fit Direction: from two batches of faces."""

from __future__ import annotations

from typing import Any

from ....models.face_model import FaceModel
from ....models.values import FaceLatent
from ... import validate, widgets
from ...registry import node
from .common import SETTINGS, Fit, FitNode


@node("FaceLatentsFitDirection", "Fit Direction", widgets.DIRECTION)
class FitDirection(FitNode):
    """Makes a direction of your own from two groups of faces: without and with what you are after.
    Says how well it works on faces it has not seen, and how far it can be followed.
    """

    ALIASES = (
        "make direction, train direction, own direction, own slider, custom slider, attribute, "
        "lda, logistic regression, svm, interfacegan, boundary, mean difference"
    )
    INPUTS = {
        "face_model": widgets.face_model(),
        "faces_without": widgets.faces("Faces without the attribute; 30 or more, better 100."),
        "faces_with": widgets.faces("Faces with it, otherwise as alike as can be."),
        **SETTINGS,
    }

    def execute(
        self,
        face_model: FaceModel,
        faces_without: FaceLatent,
        faces_with: FaceLatent,
        **settings: Any,
    ) -> dict[str, Any]:
        for latent, socket in ((faces_without, "faces_without"), (faces_with, "faces_with")):
            validate.same_model(face_model, latent.space, "Fit Direction", socket)
        fit = Fit(face_model, **settings)
        with validate.explain_errors("Fit Direction"):
            return fit.groups(faces_without.samples, faces_with.samples)

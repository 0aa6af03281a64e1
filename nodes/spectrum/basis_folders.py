"""Build Quasi-Eigen Basis from Folders: one folder of photos per label."""

from __future__ import annotations

from pathlib import Path

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.spectral.basis import LatentBasis
from ...models.spectral.build import GROUPS
from ...models.values import FaceLatent
from .. import validate, widgets
from ..direction.photo_folders import (
    MIN_SCORE,
    encode_folder,
    folder_stamp,
    label_folders,
    photo_folder,
)
from .basis import build_from_groups, build_inputs


class BuildBasisFolders:
    """A basis from folders of photos, one per label."""

    CATEGORY = widgets.SPECTRUM
    DESCRIPTION = (
        "Makes a quasi-eigen basis from photos: a folder inside ComfyUI's input folder with one "
        "sub-folder per label, named like the label. The largest face of each photo counts; "
        "photos without a face are left out and listed."
    )
    SEARCH_ALIASES = ["lsd", "quasi-eigenvectors", "train from folder", "labels", "dataset"]
    RETURN_TYPES = (widgets.LATENT_BASIS, "STRING")
    RETURN_NAMES = ("basis", "info")
    OUTPUT_TOOLTIPS = (
        "The basis, for the LSD nodes, Anomaly Map and Save Basis.",
        "How good it is, and which photos were left out.",
    )
    FUNCTION = "build"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_model": widgets.wire(
                    widgets.FACE_MODEL, "The model to encode with (Load Face Model)."
                ),
                "folders": widgets.text(
                    "",
                    "A folder inside the input folder whose sub-folders are the labels; or several "
                    "folders, separated by commas or lines, each a label (label=folder to name "
                    "it).",
                    multiline=True,
                ),
                "min_score": widgets.slider(
                    MIN_SCORE, 0.05, 0.99, 0.01, "How sure the face finder must be."
                ),
                **build_inputs(GROUPS),
            }
        }

    def build(
        self,
        face_model: FaceModel,
        folders: str,
        min_score: float,
        method: str,
        completion: str,
        size: int,
        centre: str,
        seed: int,
        name: str,
    ) -> tuple[LatentBasis, str]:
        model = validate.face_model(face_model)
        score = validate.finite(min_score, "min_score")
        found, reports = {}, []
        for label, folder in labelled_folders(folders).items():
            codes = encode_folder(folder, model, min_score=score, what=label)
            found[label] = FaceLatent(codes.codes, model.space)
            if codes.skipped:
                reports.append(f"folder '{label}': {codes.report()}")
        basis, info = build_from_groups(
            found,
            (method, completion, size, centre, seed, name),
            "Build Quasi-Eigen Basis from Folders",
        )
        return basis, "\n".join([info, *reports])

    @classmethod
    def IS_CHANGED(cls, folders: str | None = None, **_: object) -> str:
        try:
            return "" if folders is None else folder_stamp(list(labelled_folders(folders).values()))
        except FaceLatentsError:
            return "missing"  # the node itself says what is wrong


def labelled_folders(text: str) -> dict[str, Path]:
    """Label -> folder, of what was typed.

    Raises:
        FaceLatentsError: a folder that is not there or not allowed, a label twice.
    """
    typed = [part.strip() for part in str(text).replace("\n", ",").split(",") if part.strip()]
    if len(typed) == 1 and "=" not in typed[0]:
        return label_folders(typed[0])
    found: dict[str, Path] = {}
    for part in typed:
        label, equals, place = part.partition("=")
        folder = photo_folder(place if equals else part)
        label = label.strip() if equals else folder.name
        if not label or label.casefold() in {known.casefold() for known in found}:
            raise FaceLatentsError(
                f"Two folders would have the label '{label}'. Name them: one={part}, two=..."
            )
        found[label] = folder
    if not found:
        photo_folder("")  # says what folders there are
    return found


NODES = {
    "FaceLatentsBuildBasisFolders": (BuildBasisFolders, "Build Quasi-Eigen Basis from Folders"),
}

"""Build Quasi-Eigen Basis from Folders: one folder of photos per label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.spectral.basis import LatentBasis
from ...models.spectral.build import GROUPS
from ...models.values import FaceLatent
from .. import validate, widgets
from ..direction.photo_folders import encode_folder, folder_stamp, label_folders, photo_folder
from ..files.names import stamp_typed
from ..registry import node
from .basis import build_from_groups, build_inputs


@node("FaceLatentsBuildBasisFolders", "Build Quasi-Eigen Basis from Folders", widgets.SPECTRUM)
class BuildBasisFolders:
    """Makes a quasi-eigen basis from photos: a folder inside ComfyUI's input folder with one
    sub-folder per label, named like the label. The largest face of each photo counts; photos
    without a face are left out and listed.
    """

    ALIASES = "lsd, quasi-eigenvectors, train from folder, labels, dataset"
    OUTPUTS = {
        "basis": (
            widgets.LATENT_BASIS,
            "The basis, for the LSD nodes, Anomaly Map and Save Basis.",
        ),
        "info": ("STRING", "How good it is, and which photos were left out."),
    }
    INPUTS = {
        "face_model": widgets.face_model("to encode with"),
        "folders": widgets.text(
            "",
            "A folder inside the input folder whose sub-folders are the labels; or several "
            "folders, separated by commas or lines, each a label (label=folder to name it).",
            multiline=True,
        ),
        "min_score": widgets.min_score(),
        **build_inputs(GROUPS),
    }

    def execute(
        self, face_model: FaceModel, folders: str, min_score: float, **settings: Any
    ) -> tuple[LatentBasis, str]:
        found, reports = {}, []
        for label, folder in folders_by_label(folders).items():
            codes = encode_folder(folder, face_model, min_score=min_score, what=label)
            found[label] = FaceLatent(codes.codes, face_model.space)
            if codes.notable:
                reports.append(f"folder '{label}': {codes.report()}")
        basis, info = build_from_groups(found, "Build Quasi-Eigen Basis from Folders", **settings)
        return basis, "\n".join([info, *reports])

    @classmethod
    def IS_CHANGED(cls, folders: str | None = None, **_: object) -> str:
        return stamp_typed(_folders_stamp, folders)


def _folders_stamp(typed: str) -> str:
    return folder_stamp(list(folders_by_label(typed).values()))


def folders_by_label(text: str) -> dict[str, Path]:
    """Label -> folder, of what was typed.

    Raises:
        FaceLatentsError: a folder that is not there or not allowed, a label twice.
    """
    typed = validate.names_in(text)
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

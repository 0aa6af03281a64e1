"""Load Basis and Save Basis."""

from __future__ import annotations

import math
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.spectral.basis import LatentBasis
from ...models.spectral.basis_file import BUNDLED_BASES, bundled_basis_path, load_basis, save_basis
from .. import host, validate, widgets
from ..files.model_folder import BASES, find_model_file, list_basis_files, model_file_path
from ..files.names import save_and_pass, stamp
from ..registry import node

_BUNDLED = {f"{name} (bundled)": name for name in BUNDLED_BASES}


@node("FaceLatentsLoadBasis", "Load Basis", widgets.SPECTRUM)
class LoadBasis:
    """Loads a quasi-eigen basis: one vector per label (each digit, or smile, glasses, age ...),
    completed so that every code is a sum of its vectors. For LSD Denoise, LSD Spectrum, LSD Rotate
    and Anomaly Map.
    """

    ALIASES = (
        "open basis, quasi-eigenvectors, lsd, spectrum, eigenvectors, label vectors, safetensors"
    )
    OUTPUTS = {
        "basis": (widgets.LATENT_BASIS, "The basis, for the LSD nodes and Anomaly Map."),
        "info": ("STRING", "Its labels, its size, how independent they are, and how it was made."),
    }
    INPUTS = {
        "face_model": widgets.wire(widgets.FACE_MODEL, "The model whose codes will be decomposed."),
        "basis": widgets.listing(
            lambda: [*_BUNDLED, *list_basis_files()],
            "A bundled basis (of the bundled model of the same name), or a file from "
            "models/face_latents/bases (press R to refresh the list after saving one).",
        ),
    }

    def execute(self, face_model: FaceModel, basis: str) -> tuple[LatentBasis, str]:
        if basis in _BUNDLED:
            found = load_basis(bundled_basis_path(_BUNDLED[basis]))
        elif basis in list_basis_files():
            found = load_basis(model_file_path(basis))
        else:
            listed = ", ".join([*_BUNDLED, *list_basis_files()])
            raise FaceLatentsError(
                f"There is no basis '{basis}'. There are: {listed}. Put your own into "
                f"models/face_latents/{BASES} and press R."
            )
        validate.same_model(face_model, found.space, "Load Basis", f"basis '{found.name}'")
        return found, describe_basis(found)

    @classmethod
    def IS_CHANGED(cls, face_model: object = None, basis: str | None = None) -> str:
        return "" if basis is None or basis in _BUNDLED else stamp(find_model_file(basis))


@node("FaceLatentsSaveBasis", "Save Basis", widgets.FILES)
class SaveBasis:
    """Saves a quasi-eigen basis into models/face_latents/bases, where Load Basis finds it (press R
    to refresh its list). Never replaces a file: the name is counted up.
    """

    ALIASES = "export basis, store basis, quasi-eigenvectors, safetensors, lsd"
    OUTPUTS = {"basis": (widgets.LATENT_BASIS, "The basis, unchanged.")}
    OUTPUT_NODE = True
    INPUTS = {
        "basis": widgets.wire(widgets.LATENT_BASIS, "The basis to save."),
        "filename_prefix": widgets.filename_prefix("my_basis"),
    }

    def execute(self, basis: LatentBasis, filename_prefix: str) -> dict[str, Any]:
        root = host.model_save_folder() / BASES
        return save_and_pass(basis, save_basis, root, filename_prefix)


def describe_basis(basis: LatentBasis) -> str:
    """What an artist should know of a basis, line by line."""
    numbers = math.prod(basis.space.shape)
    rest = "nothing is lost" if basis.complete else "the rest of a code is dropped"
    lines = [
        basis.name,
        f"labels: {', '.join(basis.labels)}"
        + ("" if basis.exclusive else " (attributes that may come together)"),
        f"vectors: {len(basis)} for codes of {numbers} numbers; {rest}",
    ]
    if not math.isnan(basis.condition):
        own = basis.mean is not None and basis.rank == len(basis.labels) - 1
        lines.append(
            f"label means: rank {basis.rank} of {len(basis.labels)}"
            + (" (one less about their own mean, as it must be)" if own else "")
            + f", condition {basis.condition:.3g} (1 is perpendicular)"
        )
    if basis.accuracy is not None:
        lines.append(f"finds the label of {basis.accuracy:.1%} of held-out codes")
    if basis.method:
        lines.append(f"made by: {basis.method}")
    lines += [f"WARNING: {warning}" for warning in basis.warnings()]
    return "\n".join(lines)

"""Save Face Latent and Load Face Latent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.files.values import load_latent, save_latent
from ...models.values import FaceLatent
from .. import host, validate, widgets
from ..registry import node
from .model_folder import list_files
from .names import SUFFIX, save_and_pass, stamp

FOLDER = "face_latents"  # below the output folder
OUTPUT_MARK = " [output]"  # the host's own way to say which folder a name belongs to


@node("FaceLatentsSaveLatent", "Save Face Latent", widgets.FILES)
class SaveFaceLatent:
    """Saves face latents into output/face_latents, together with their photos, so that Paste Back
    also works after loading. Never replaces a file: the name is counted up.
    """

    ALIASES = "export face, store face, write latent, keep face, safetensors"
    OUTPUTS = widgets.output_faces("The face latent, unchanged.")
    OUTPUT_NODE = True
    INPUTS = {
        "face_latent": widgets.face_latent("The faces to save."),
        "filename_prefix": widgets.filename_prefix("face", " in output/face_latents"),
    }

    def execute(self, face_latent: FaceLatent, filename_prefix: str) -> dict[str, Any]:
        root = host.output_directory() / FOLDER
        return save_and_pass(face_latent, save_latent, root, filename_prefix)


@node("FaceLatentsLoadLatent", "Load Face Latent", widgets.FILES)
class LoadFaceLatent:
    """Loads face latents: those of Save Face Latent, and .safetensors files you put into the input
    folder.
    """

    ALIASES = "import face, open latent, saved face, restore face, safetensors"
    OUTPUTS = widgets.output_faces("The saved faces, with their photos.")
    INPUTS = {
        "file": widgets.listing(
            lambda: list(_files()),
            "Files of Save Face Latent are marked [output], the others are in the input folder. "
            "Press R to refresh the list.",
        )
    }

    def execute(self, file: str) -> tuple[FaceLatent]:
        return (validate.face_latent(load_latent(_path(file)), "file"),)

    @classmethod
    def IS_CHANGED(cls, file: str | None = None) -> str:
        return "" if file is None else stamp(_files().get(file))


def _files() -> dict[str, Path]:
    """Name in the list -> file."""
    saved = host.output_directory() / FOLDER
    found = {f"{name}{OUTPUT_MARK}": saved / name for name in list_files(saved)}
    folder = host.input_directory()
    if folder.is_dir():
        # Only the folder itself, as the host's own Load Latent does: it may hold many pictures.
        own = [p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and p.is_file()]
        found.update({path.name: path for path in sorted(own)})
    return found


def _path(name: str) -> Path:
    files = _files()
    if name not in files:
        raise FaceLatentsError(
            f"There is no face latent '{name}' in {host.output_directory() / FOLDER} or "
            f"{host.input_directory()}. Press R to refresh the list, or choose another one."
        )
    return files[name]

"""Save Face Latent and Load Face Latent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from ...models.files.values import load_latent, save_latent
from ...models.values import FaceLatent
from .. import host, validate, widgets
from .model_folder import list_files
from .names import SUFFIX, save_numbered, stamp

FOLDER = "face_latents"  # below the output folder
OUTPUT_MARK = " [output]"  # the host's own way to say which folder a name belongs to


class SaveFaceLatent:
    """A face latent, with its photos, into the output folder."""

    CATEGORY = widgets.FILES
    DESCRIPTION = (
        "Saves face latents into output/face_latents, together with their photos, so that Paste "
        "Back also works after loading. Never replaces a file: the name is counted up."
    )
    SEARCH_ALIASES = ["export face", "store face", "write latent", "safetensors"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The face latent, unchanged.",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "face_latent": widgets.wire(widgets.FACE_LATENT, "The faces to save."),
                "filename_prefix": widgets.text(
                    "face",
                    "Name of the file in output/face_latents; folder/name makes a sub-folder, "
                    "%year%-%month%-%day% is filled in. A number is added.",
                ),
            }
        }

    def save(self, face_latent: FaceLatent, filename_prefix: str) -> dict[str, Any]:
        latent = validate.face_latent(face_latent)
        root = host.output_directory() / FOLDER
        path = save_numbered(root, filename_prefix, lambda target: save_latent(target, latent))
        return {"ui": {"text": [f"Saved {path}"]}, "result": (latent,)}


class LoadFaceLatent:
    """A saved face latent."""

    CATEGORY = widgets.FILES
    DESCRIPTION = (
        "Loads face latents: those of Save Face Latent, and .safetensors files you put into the "
        "input folder."
    )
    SEARCH_ALIASES = ["import face", "open latent", "restore face", "safetensors"]
    RETURN_TYPES = (widgets.FACE_LATENT,)
    RETURN_NAMES = ("face_latent",)
    OUTPUT_TOOLTIPS = ("The saved faces, with their photos.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> widgets.InputTypes:
        return {
            "required": {
                "file": widgets.choice(
                    list(_files()),
                    "Files of Save Face Latent are marked [output], the others are in the input "
                    "folder. Press R to refresh the list.",
                )
            }
        }

    def load(self, file: str) -> tuple[FaceLatent]:
        latent = load_latent(_path(file))
        return (validate.face_latent(latent, "file"),)

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


NODES = {
    "FaceLatentsSaveLatent": (SaveFaceLatent, "Save Face Latent"),
    "FaceLatentsLoadLatent": (LoadFaceLatent, "Load Face Latent"),
}

"""Save Image, Preview Image and Save Animated WEBP, named and filled as the host does."""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from PIL import Image

from ....models.errors import FaceLatentsError
from ....models.imaging.photo_files.read import read_header
from ....models.imaging.photo_files.traits import PhotoTraits
from ....models.imaging.photo_files.write import metadata_options
from ....models.imaging.photos import to_uint8
from ..folders import Folders
from ..naming import next_file
from ..prompts import Prompt, upstream

if TYPE_CHECKING:
    from torch import Tensor

_HIDDEN = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"}
_MODEL, _MAKE = 0x0110, 0x010F  # EXIF tags


class SaveImage:
    """Each picture of the batch as `prefix_00001_.png` with the workflow inside."""

    folders: ClassVar[Folders]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "save_images"
    OUTPUT_NODE = True
    KIND: ClassVar[str] = "output"
    COMPRESSION: ClassVar[int] = 4

    def __init__(self) -> None:
        self.append = ""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
            },
            "hidden": _HIDDEN,
        }

    def save_images(
        self,
        images: Tensor,
        filename_prefix: str = "ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
        unique_id: str = "",
    ) -> dict[str, Any]:
        folder = self.folders.temp if self.KIND == "temp" else self.folders.target
        pictures = pictures_of(images)
        target, stem, number, subfolder = next_file(
            folder, filename_prefix + self.append, pictures[0].width, pictures[0].height
        )
        texts = metadata(prompt, extra_pnginfo)
        options = kept_options(self.folders, prompt, unique_id, texts)
        saved = []
        for index, picture in enumerate(pictures):
            name = f"{stem.replace('%batch_num%', str(index))}_{number + index:05}_.png"
            write(picture, target / name, **options, compress_level=self.COMPRESSION)
            saved.append({"filename": name, "subfolder": subfolder, "type": self.KIND})
        return {"ui": {"images": saved}, "result": (images,)}


class PreviewImage(SaveImage):
    """Pictures to look at, kept in the run's temp folder."""

    KIND = "temp"
    COMPRESSION = 1

    def __init__(self) -> None:
        super().__init__()
        self.append = "_temp_" + "".join(random.choices(string.ascii_lowercase, k=5))

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE",)}, "hidden": _HIDDEN}


class SaveAnimatedWEBP:
    """The batch as one animated WebP with the workflow in its EXIF data."""

    folders: ClassVar[Folders]
    METHODS: ClassVar[dict[str, int]] = {"default": 4, "fastest": 0, "slowest": 6}
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "save_images"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE",),
                "filename_prefix": ("STRING", {"default": "ComfyUI"}),
                "fps": ("FLOAT", {"default": 6.0, "min": 0.01, "max": 1000.0, "step": 0.01}),
                "lossless": ("BOOLEAN", {"default": True}),
                "quality": ("INT", {"default": 80, "min": 0, "max": 100}),
                "method": (list(cls.METHODS),),
            },
            "hidden": _HIDDEN,
        }

    def save_images(
        self,
        images: Tensor,
        filename_prefix: str,
        fps: float,
        lossless: bool,
        quality: int,
        method: str,
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
        unique_id: str = "",
    ) -> dict[str, Any]:
        pictures = pictures_of(images)
        target, stem, number, subfolder = next_file(
            self.folders.target, filename_prefix, pictures[0].width, pictures[0].height
        )
        exif = pictures[0].getexif()
        tag = _MAKE
        for key, text in metadata(prompt, extra_pnginfo).items():
            if key == "prompt":
                exif[_MODEL] = f"{key}:{text}"
            else:
                exif[tag] = f"{key}:{text}"
                tag -= 1
        name = f"{stem}_{number:05}_.webp"
        write(
            pictures[0],
            target / name,
            save_all=True,
            duration=int(1000.0 / fps),
            append_images=pictures[1:],
            exif=exif,
            icc_profile=kept_options(self.folders, prompt, unique_id, {}).get("icc_profile"),
            lossless=lossless,
            quality=quality,
            method=self.METHODS[method],
        )
        saved = [{"filename": name, "subfolder": subfolder, "type": "output"}]
        return {"ui": {"images": saved, "animated": (len(pictures) > 1,)}, "result": (images,)}


def pictures_of(images: Tensor) -> list[Image.Image]:
    """An IMAGE batch `(B, H, W, C)` as 8-bit pictures.

    Raises:
        FaceLatentsError: the batch is empty.
    """
    if len(images) == 0:
        raise FaceLatentsError("There is no picture to save: the batch is empty.")
    return [Image.fromarray(to_uint8(image.cpu().numpy())) for image in images]


def metadata(prompt: Any, extra: Mapping[str, Any] | None) -> dict[str, str]:
    """The texts a saved picture carries: `prompt` and `workflow` as JSON."""
    texts = {} if prompt is None else {"prompt": json.dumps(prompt)}
    texts.update({key: json.dumps(value) for key, value in (extra or {}).items()})
    return texts


def kept_options(
    folders: Folders, prompt: Prompt | None, node: str, texts: Mapping[str, str]
) -> dict[str, Any]:
    """Options of Pillow's PNG writer: the texts, and what the photo's file holds besides pixels.

    ComfyUI knows no more than pixels at this point; here the file that they come from is known.
    A picture made from several photos gets their colour profile if they share it, and nothing else.
    """
    found = [read_header(path) for path in _photos_of(folders, prompt, node)]
    traits = found[0] if len(found) == 1 else PhotoTraits()
    if len({item.profile for item in found}) == 1:
        traits = replace(traits, profile=found[0].profile)
    return metadata_options(traits, "PNG", texts=texts)


def _photos_of(folders: Folders, prompt: Prompt | None, node: str) -> list[Path]:
    """The files of the loaders that a node's pictures may come from."""
    if prompt is None or node not in prompt:
        return []
    nodes = [prompt[key] for key in upstream(prompt, [node])]
    names = {str(n["inputs"].get("image")) for n in nodes if n["class_type"] == "LoadImage"}
    return [path for path in map(folders.find, sorted(names)) if path is not None]


def write(picture: Image.Image, path: Path, **options: Any) -> None:
    """Write a picture whole or not at all, also when the run is interrupted."""
    file = BytesIO()
    picture.save(file, format=Image.registered_extensions()[path.suffix.lower()], **options)
    write_whole(file.getvalue(), path)


def write_whole(data: bytes, path: Path) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


SAVE_NODES: dict[str, type] = {
    "SaveImage": SaveImage,
    "PreviewImage": PreviewImage,
    "SaveAnimatedWEBP": SaveAnimatedWEBP,
}

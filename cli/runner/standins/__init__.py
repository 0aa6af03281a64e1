"""Stand-ins for the host's own nodes that workflows around faces use, with equal results.

Each class has the host's id, inputs and outputs; `node_classes` ties them to the folders of a run.
"""

from __future__ import annotations

from typing import Any

from ..folders import Folders
from .image import IMAGE_NODES
from .latent import LATENT_NODES
from .load import LOAD_NODES
from .save import SAVE_NODES
from .stitch import STITCH_NODES
from .values import VALUE_NODES

STAND_INS: dict[str, type] = {
    **LOAD_NODES,
    **SAVE_NODES,
    **IMAGE_NODES,
    **STITCH_NODES,
    **LATENT_NODES,
    **VALUE_NODES,
}

# The host's display names, which are the titles of nodes that nobody renamed.
STAND_IN_TITLES: dict[str, str] = {
    "EmptyLatentImage": "Empty Latent Image",
    "ImageAddNoise": "Add Noise to Image",
    "ImageBatch": "Batch Images",
    "ImageFlip": "Flip Image",
    "ImageFromBatch": "ImageFromBatch",
    "ImageScale": "Upscale Image",
    "ImageScaleBy": "Upscale Image By",
    "ImageStitch": "Image Stitch",
    "LatentBatch": "Batch Latents",
    "LoadImage": "Load Image",
    "LoadImageMask": "Load Image (as Mask)",
    "MaskToImage": "Convert Mask to Image",
    "PreviewAny": "Preview Any",
    "PreviewImage": "Preview Image",
    "PrimitiveBoolean": "Boolean",
    "PrimitiveFloat": "Float",
    "PrimitiveInt": "Int",
    "PrimitiveString": "String",
    "PrimitiveStringMultiline": "String (Multiline)",
    "SaveImage": "Save Image",
    "VAEDecode": "VAE Decode",
    "VAEEncode": "VAE Encode",
    "VAELoader": "Load VAE",
}


def stand_ins(folders: Folders) -> dict[str, type]:
    """The stand-in classes, reading from and writing to `folders`."""
    return {name: _bound(name, cls, folders) for name, cls in STAND_INS.items()}


def _bound(name: str, cls: type, folders: Folders) -> type:
    members: dict[str, Any] = {"folders": folders}
    return type(name, (cls,), members)

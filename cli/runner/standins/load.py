"""Load Image and Load Image (as Mask)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from ....models.imaging.photos import load_image
from ..folders import Folders
from ..photo_av import load_image_av

if TYPE_CHECKING:
    from torch import Tensor

_CHANNELS = ["alpha", "red", "green", "blue"]


class LoadImage:
    """A picture file as IMAGE and MASK, see `.photo.load_image`."""

    folders: ClassVar[Folders]
    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": (cls.folders.pictures(), {"image_upload": True})}}

    def load_image(self, image: str) -> tuple[Tensor, Tensor]:
        path = self.folders.find(image)
        if path is None:
            raise FileNotFoundError(image)
        if self.folders.decoder == "ffmpeg":
            return load_image_av(path)
        return load_image(path)

    @classmethod
    def IS_CHANGED(cls, image: str, **_: Any) -> str:
        path = cls.folders.find(image)
        if path is None:
            raise FileNotFoundError(image)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        if image is None or cls.folders.find(image) is not None:
            return True
        places = " or ".join(str(folder) for folder in cls.folders.inputs)
        return (
            f"there is no picture '{image}' in {places}. Name yours with --input PHOTO or "
            "--set 'Load Image.image=PHOTO'."
        )


class LoadImageMask(LoadImage):
    """One channel of a picture file as MASK."""

    RETURN_TYPES = ("MASK",)  # type: ignore[assignment]
    FUNCTION = "load_image_mask"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {**super().INPUT_TYPES()["required"], "channel": (_CHANNELS,)}}

    def load_image_mask(self, image: str, channel: str) -> tuple[Tensor]:
        pixels, mask = self.load_image(image)
        if channel == "alpha":
            return (mask,)
        return (pixels[..., _CHANNELS.index(channel) - 1].clone(),)


LOAD_NODES: dict[str, type] = {"LoadImage": LoadImage, "LoadImageMask": LoadImageMask}

"""The host's nodes that batch, scale, pick and stitch pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_MAX_SIZE = 16384


def resize(samples: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Scale `(B, C, H, W)` to the given size; `center` first crops to its aspect ratio."""
    import torch

    if crop == "center":
        rows, columns = samples.shape[-2:]
        old, new = columns / rows, width / height
        x = round((columns - columns * (new / old)) / 2) if old > new else 0
        y = round((rows - rows * (old / new)) / 2) if old < new else 0
        samples = samples.narrow(-2, y, rows - y * 2).narrow(-1, x, columns - x * 2)
    if method == "lanczos":
        return _lanczos(samples, width, height)
    return torch.nn.functional.interpolate(samples, size=(height, width), mode=method)


def _lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Lanczos on 8-bit pictures, as Pillow does it."""
    import numpy as np
    import torch
    from PIL import Image

    from ....models.imaging.photos import to_uint8

    scaled = []
    for item in samples.movedim(1, -1):
        pixels = to_uint8(item.cpu().numpy())
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        picture = picture.resize((width, height), resample=Image.Resampling.LANCZOS)
        out = torch.from_numpy(np.array(picture).astype(np.float32) / 255.0)
        scaled.append(out[None] if out.ndim == 2 else out.movedim(-1, 0))
    return torch.stack(scaled).to(samples.device, samples.dtype)


class ImageScale:
    """Scale to a width and height; 0 for one of them keeps the aspect ratio."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = {"default": 512, "min": 0, "max": _MAX_SIZE, "step": 1}
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (_METHODS,),
                "width": ("INT", size),
                "height": ("INT", size),
                "crop": (["disabled", "center"],),
            }
        }

    def upscale(
        self, image: Tensor, upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[Tensor]:
        if width == 0 and height == 0:
            return (image,)
        rows, columns = image.shape[1:3]
        width = width or max(1, round(columns * height / rows))
        height = height or max(1, round(rows * width / columns))
        scaled = resize(image.movedim(-1, 1), width, height, upscale_method, crop)
        return (scaled.movedim(1, -1),)


class ImageScaleBy:
    """Scale by a factor."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        factor = {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": (_METHODS,),
                "scale_by": ("FLOAT", factor),
            }
        }

    def upscale(self, image: Tensor, upscale_method: str, scale_by: float) -> tuple[Tensor]:
        width, height = round(image.shape[2] * scale_by), round(image.shape[1] * scale_by)
        return (resize(image.movedim(-1, 1), width, height, upscale_method).movedim(1, -1),)


class ImageBatch:
    """Two batches in one; the second is brought to the first one's size."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "batch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image1": ("IMAGE",), "image2": ("IMAGE",)}}

    def batch(self, image1: Tensor, image2: Tensor) -> tuple[Tensor]:
        import torch

        if image1.shape[-1] != image2.shape[-1]:  # one channel more: opaque
            if image1.shape[-1] > image2.shape[-1]:
                image2 = torch.nn.functional.pad(image2, (0, 1), value=1.0)
            else:
                image1 = torch.nn.functional.pad(image1, (0, 1), value=1.0)
        if image1.shape[1:] != image2.shape[1:]:
            height, width = image1.shape[1:3]
            second = resize(image2.movedim(-1, 1), width, height, "bilinear", "center")
            image2 = second.movedim(1, -1)
        return (torch.cat((image1, image2), dim=0),)


class RepeatImageBatch:
    """The batch, several times over."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "repeat"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        amount = {"default": 1, "min": 1, "max": 4096}
        return {"required": {"image": ("IMAGE",), "amount": ("INT", amount)}}

    def repeat(self, image: Tensor, amount: int) -> tuple[Tensor]:
        return (image.repeat((amount, 1, 1, 1)),)


class ImageFlip:
    """Pictures upside down or in a mirror."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "flip"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        methods = ["x-axis: vertically", "y-axis: horizontally"]
        return {"required": {"image": ("IMAGE",), "flip_method": (methods,)}}

    def flip(self, image: Tensor, flip_method: str) -> tuple[Tensor]:
        return (image.flip(1 if flip_method.startswith("x") else 2),)


class ImageFromBatch:
    """A run of pictures out of a batch."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "pick"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        index = {"default": 0, "min": -_MAX_SIZE, "max": _MAX_SIZE}
        length = {"default": 1, "min": 1, "max": 4096}
        return {
            "required": {
                "image": ("IMAGE",),
                "batch_index": ("INT", index),
                "length": ("INT", length),
            }
        }

    def pick(self, image: Tensor, batch_index: int, length: int) -> tuple[Tensor]:
        count = image.shape[0]
        start = batch_index + count if batch_index < 0 else batch_index
        start = max(0, min(count - 1, start))
        return (image[start : start + length].clone(),)


class ImageAddNoise:
    """Gaussian noise from a seed, clipped to the range of a picture."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "add"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        seed = {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}
        strength = {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}
        return {
            "required": {
                "image": ("IMAGE",),
                "seed": ("INT", seed),
                "strength": ("FLOAT", strength),
            }
        }

    def add(self, image: Tensor, seed: int, strength: float) -> tuple[Tensor]:
        import torch

        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(image.shape, generator=generator).to(image)
        return ((image + strength * noise).clamp(0.0, 1.0),)


class MaskToImage:
    """Masks as grey pictures."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"mask": ("MASK",)}}

    def convert(self, mask: Tensor) -> tuple[Tensor]:
        height, width = mask.shape[-2:]
        return (mask.reshape(-1, height, width, 1).expand(-1, -1, -1, 3),)


IMAGE_NODES: dict[str, type] = {
    "ImageAddNoise": ImageAddNoise,
    "ImageBatch": ImageBatch,
    "ImageFlip": ImageFlip,
    "ImageFromBatch": ImageFromBatch,
    "ImageScale": ImageScale,
    "ImageScaleBy": ImageScaleBy,
    "MaskToImage": MaskToImage,
    "RepeatImageBatch": RepeatImageBatch,
}

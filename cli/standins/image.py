"""The host's nodes that batch, scale, pick and stitch pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_MAX_SIZE = 16384
_COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def resize(samples: Tensor, width: int, height: int, method: str, crop: str = "disabled") -> Tensor:
    """Scale ``(B, C, H, W)`` to the given size; ``center`` first crops to its aspect ratio."""
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

    from ..photo import to_uint8

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


class ImageStitch:
    """Two pictures side by side or above each other."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "stitch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "image1": ("IMAGE",),
                "direction": (["right", "down", "left", "up"], {"default": "right"}),
                "match_image_size": ("BOOLEAN", {"default": True}),
                "spacing_width": ("INT", {"default": 0, "min": 0, "max": 1024, "step": 2}),
                "spacing_color": (list(_COLOURS), {"default": "white"}),
            },
            "optional": {"image2": ("IMAGE",)},
        }

    def stitch(
        self,
        image1: Tensor,
        direction: str,
        match_image_size: bool,
        spacing_width: int,
        spacing_color: str,
        image2: Tensor | None = None,
    ) -> tuple[Tensor]:
        import torch

        if image2 is None:
            return (image1,)
        count = max(len(image1), len(image2))
        first, second = (_repeat_last(image, count) for image in (image1, image2))
        beside = direction in ("left", "right")
        colour = _COLOURS[spacing_color]
        if match_image_size:
            aspect = second.shape[2] / second.shape[1]
            height, width = first.shape[1:3]
            size = (int(height * aspect), height) if beside else (width, int(width / aspect))
            second = resize(second.movedim(-1, 1), *size, "lanczos").movedim(1, -1)
        else:  # the host pads with black where the colour is not a grey
            across = 1 if beside else 2
            value = colour[0] if len(set(colour)) == 1 else 0.0
            length = max(first.shape[across], second.shape[across])
            first, second = (_pad(image, across, length, value) for image in (first, second))
        channels = max(first.shape[-1], second.shape[-1])
        first, second = (_opaque(image, channels) for image in (first, second))
        parts = [second, first] if direction in ("left", "up") else [first, second]
        if spacing_width > 0:
            shape = list(first.shape)
            shape[2 if beside else 1] = spacing_width + spacing_width % 2
            spacing = first.new_tensor([*colour, 1.0][:channels]).expand(shape)
            parts.insert(1, spacing)
        return (torch.cat(parts, dim=2 if beside else 1),)


def _repeat_last(image: Tensor, count: int) -> Tensor:
    import torch

    return torch.cat([image, image[-1:].repeat(count - len(image), 1, 1, 1)])


def _pad(image: Tensor, dim: int, length: int, value: float) -> Tensor:
    """Pad rows (dim 1) or columns (dim 2) to `length`, half on each side."""
    import torch

    missing = length - image.shape[dim]
    sides = [missing // 2, missing - missing // 2]
    around = [0, 0, 0, 0, *sides] if dim == 1 else [0, 0, *sides]
    return torch.nn.functional.pad(image, around, mode="constant", value=value)


def _opaque(image: Tensor, channels: int) -> Tensor:
    import torch

    return torch.nn.functional.pad(image, (0, channels - image.shape[-1]), value=1.0)


IMAGE_NODES: dict[str, type] = {
    "ImageBatch": ImageBatch,
    "ImageFlip": ImageFlip,
    "ImageFromBatch": ImageFromBatch,
    "ImageScale": ImageScale,
    "ImageScaleBy": ImageScaleBy,
    "ImageStitch": ImageStitch,
    "RepeatImageBatch": RepeatImageBatch,
}

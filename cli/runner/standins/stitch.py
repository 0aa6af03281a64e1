"""The host's node that puts two pictures side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .image import resize

if TYPE_CHECKING:
    from torch import Tensor

_COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


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


STITCH_NODES: dict[str, type] = {"ImageStitch": ImageStitch}

"""The host's latent nodes that need no model: the pixel-space VAE and batching.

The pixel-space VAE is exact and free of weights: a latent `(B, 3, H, W)` is `2 * pixel - 1`,
a pixel is `(latent + 1) / 2` clipped to [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....models.errors import FaceLatentsError
from .image import resize

if TYPE_CHECKING:
    from torch import Tensor

PIXEL_SPACE = "pixel_space"
_MAX_SIZE = 16384


class PixelSpaceVAE:
    """Pixels as latents."""

    def encode(self, pixels: Tensor) -> Tensor:
        """`(B, H, W, 3+)` in [0, 1] to `(B, 3, H, W)` in [-1, 1]."""
        return (pixels[..., :3].movedim(-1, 1) * 2.0 - 1.0).contiguous()

    def decode(self, samples: Tensor) -> Tensor:
        """`(B, 3, H, W)` to `(B, H, W, 3)` in [0, 1].

        Raises:
            FaceLatentsError: the latent is not one of this VAE.
        """
        if samples.ndim != 4 or samples.shape[1] != 3:
            raise FaceLatentsError(
                f"The pixel-space VAE decodes latents of shape (batch, 3, height, width), but this "
                f"one is {tuple(samples.shape)}. Encode it with the same Load VAE node."
            )
        return ((samples.float() + 1.0) / 2.0).clamp(0.0, 1.0).movedim(1, -1)


class VAELoader:
    """Loads the pixel-space VAE, the only one that needs no model file."""

    RETURN_TYPES = ("VAE",)
    FUNCTION = "load_vae"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"vae_name": ([PIXEL_SPACE],)}}

    @classmethod
    def VALIDATE_INPUTS(cls, vae_name: str) -> bool | str:
        if vae_name == PIXEL_SPACE:
            return True
        return (
            f"the VAE '{vae_name}' can only be run inside ComfyUI. Here, choose '{PIXEL_SPACE}' "
            "(--set 'Load VAE.vae_name=pixel_space')."
        )

    def load_vae(self, vae_name: str) -> tuple[PixelSpaceVAE]:
        return (PixelSpaceVAE(),)


class VAEEncode:
    """Pictures to a latent."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"pixels": ("IMAGE",), "vae": ("VAE",)}}

    def encode(self, pixels: Tensor, vae: PixelSpaceVAE) -> tuple[dict[str, Any]]:
        return ({"samples": vae.encode(pixels)},)


class VAEDecode:
    """A latent to pictures."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",)}}

    def decode(self, samples: Mapping[str, Any], vae: PixelSpaceVAE) -> tuple[Tensor]:
        return (vae.decode(samples["samples"]),)


class EmptyLatentImage:
    """Zeros of the shape of a four-channel latent at an eighth of the size."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = {"default": 512, "min": 16, "max": _MAX_SIZE, "step": 8}
        count = {"default": 1, "min": 1, "max": 4096}
        return {
            "required": {
                "width": ("INT", size),
                "height": ("INT", size),
                "batch_size": ("INT", count),
            }
        }

    def generate(self, width: int, height: int, batch_size: int) -> tuple[dict[str, Any]]:
        import torch

        samples = torch.zeros(batch_size, 4, height // 8, width // 8)
        return ({"samples": samples, "downscale_ratio_spacial": 8},)


class LatentBatch:
    """Two latent batches in one; the second is brought to the first one's size."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "batch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"samples1": ("LATENT",), "samples2": ("LATENT",)}}

    def batch(
        self, samples1: Mapping[str, Any], samples2: Mapping[str, Any]
    ) -> tuple[dict[str, Any]]:
        import torch

        first, second = samples1["samples"], samples2["samples"]
        if first.shape[1:] != second.shape[1:]:
            second = resize(second, first.shape[-1], first.shape[-2], "bilinear", "center")
        indices = [
            index
            for latent, samples in ((samples1, first), (samples2, samples2["samples"]))
            for index in latent.get("batch_index", range(len(samples)))
        ]
        joined = {**samples1, "samples": torch.cat((first, second)), "batch_index": indices}
        return (joined,)


LATENT_NODES: dict[str, type] = {
    "EmptyLatentImage": EmptyLatentImage,
    "LatentBatch": LatentBatch,
    "VAEDecode": VAEDecode,
    "VAEEncode": VAEEncode,
    "VAELoader": VAELoader,
}

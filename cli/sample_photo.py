"""The photo that the demo and the benchmark take when the person names none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..models.errors import FaceLatentsError

if TYPE_CHECKING:
    from torch import Tensor


def astronaut() -> Tensor:
    """scikit-image's portrait of Eileen Collins (NASA, public domain), `(H, W, 3)` in [0, 1].

    Raises:
        FaceLatentsError: scikit-image is not installed.
    """
    import torch

    try:
        from skimage import data
    except ImportError as error:
        raise FaceLatentsError(
            "The sample portrait comes with scikit-image: pip install 'face-latents[demo]'. "
            "Or name a photo of your own."
        ) from error
    return torch.from_numpy(data.astronaut()).float() / 255.0

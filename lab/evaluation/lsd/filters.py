"""Classical denoisers of pictures, the baselines that know nothing of digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.errors import FaceLatentsError


@dataclass(frozen=True)
class Filter:
    """A family of filters `(N, 1, H, W)` to `(N, 1, H, W)` with one parameter to be chosen.

    Attributes:
        name: key of the figures.
        parameter: what the setting is, for the report.
        settings: the values to choose from.
        slow: computed picture by picture, so measured on fewer digits.
    """

    name: str
    parameter: str
    settings: tuple[float, ...]
    slow: bool
    apply: Callable[[Tensor, float], Tensor]


def median(pictures: Tensor, size: float) -> Tensor:
    """Median of the `size` x `size` neighbourhood; edges are mirrored. Size is odd."""
    side = int(size)
    padded = F.pad(pictures, (side // 2,) * 4, mode="reflect")
    windows = F.unfold(padded, side).median(1).values
    return windows.reshape(pictures.shape)


def total_variation(pictures: Tensor, weight: float) -> Tensor:
    """Chambolle's total-variation denoising, as scikit-image does it."""
    denoise = _restoration().denoise_tv_chambolle
    return _each(pictures, lambda picture: denoise(picture, weight=weight))


def non_local_means(pictures: Tensor, h: float) -> Tensor:
    """Non-local means, as scikit-image does it: patches of 5, distance 6, cut-off `h`."""
    denoise = _restoration().denoise_nl_means
    return _each(
        pictures,
        lambda picture: denoise(picture, patch_size=5, patch_distance=6, h=h, fast_mode=True),
    )


def require_skimage() -> None:
    """Fail early, before minutes of other work.

    Raises:
        FaceLatentsError: scikit-image is not installed.
    """
    _restoration()


def _restoration():  # type: ignore[no-untyped-def]
    try:
        from skimage import restoration
    except ImportError as error:
        raise FaceLatentsError(
            "The evaluation compares with filters of scikit-image, which is not installed. "
            "Run: pip install scikit-image"
        ) from error
    return restoration


def _each(pictures: Tensor, denoise: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    denoised = [denoise(picture) for picture in pictures[:, 0].double().numpy()]
    return torch.from_numpy(np.stack(denoised))[:, None].float().clamp(0, 1)


FILTERS: tuple[Filter, ...] = (
    Filter("median", "window", (3.0, 5.0), False, median),
    Filter("total_variation", "weight", (0.05, 0.1, 0.2, 0.4, 0.8, 1.6), True, total_variation),
    Filter("non_local_means", "h", (0.05, 0.1, 0.2, 0.4, 0.8), True, non_local_means),
)

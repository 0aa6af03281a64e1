"""Where a photo differs from what its code explains: glasses, a hand, paint, a microphone."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import transform_points
from ..imaging.light import luminance
from ..imaging.maps import gaussian_blur
from ..paste.mask import face_mask, motion_mask
from ..paste.pixels import place_maps
from ..values import PhotoContext

_USUAL = 4.0  # spreads above the median that a difference has to be before it counts
_MARGIN = 0.04  # of the crop's side, where the map fades out
GRAIN = 1 / 255  # one 8-bit step: the least spread of a photo
INK = 0.08  # the same for drawings, most of whose pixels are empty and exactly explained
_LEAST_BLUR = 0.7  # pixels; the edges of small drawings are never explained exactly
_DARKER = 0.6  # than the photo, where nothing glows
# Dark violet, red and yellow, evenly rising in lightness.
_SCALE = ((0.0, 0.0, 0.02), (0.35, 0.07, 0.43), (0.87, 0.32, 0.22), (0.99, 0.77, 0.15))


def residual_map(
    crop: Tensor,
    explained: Tensor,
    usual: Tensor | None = None,
    *,
    least: float = GRAIN,
    smoothing: float = 0.012,
) -> Tensor:
    """How far a picture is from what explains it, in multiples of its usual distance.

    The absolute difference, averaged over the colours and smoothed, minus its median and divided
    by the spread of its lower half, so that what is the same everywhere (a model that is soft, a
    photo that is grainy) does not count.

    Args:
        crop: `(3, S, S)` in [0, 1].
        explained: `(3, S, S)`, the decode.
        usual: `(S, S)` bool, the pixels that say what is usual (the face, not the background);
            None: all.
        least: a spread below this means nothing.
        smoothing: standard deviation of the blur as a share of S.

    Returns:
        `(S, S)` float32 >= 0; 1 is about where a difference begins to mean something.

    Raises:
        FaceLatentsError: pictures of different shapes, or values that are not finite.
    """
    if crop.shape != explained.shape or crop.ndim != 3:
        raise FaceLatentsError(
            f"The photo's crop has shape {tuple(crop.shape)} and the decode "
            f"{tuple(explained.shape)}; they must be the same."
        )
    difference = (crop.float() - explained.float().clamp(0, 1)).abs().mean(0, keepdim=True)
    if not bool(torch.isfinite(difference).all()):
        raise FaceLatentsError(
            "The photo or its decode holds values that are not numbers (NaN or infinite)."
        )
    smooth = gaussian_blur(difference, max(smoothing * crop.shape[-1], _LEAST_BLUR))[0]
    known = smooth.flatten() if usual is None or not bool(usual.any()) else smooth[usual]
    floor = known.median()
    spread = (floor - known[known <= floor]).median().clamp(min=least)
    return ((smooth - floor) / (_USUAL * spread)).clamp(min=0)


def place_map(residual: Tensor, context: PhotoContext) -> tuple[Tensor, tuple[slice, slice]]:
    """A crop's map at the photo's own pixels.

    Args:
        residual: `(S, S)` over the crop's square.
        context: where the crop lies.

    Returns:
        `(h, w)` float32 and the (rows, columns) of the photo it covers; nothing (0, 0) where the
        crop lies outside the photo.
    """
    placed = place_maps((residual * _frame(residual.shape[-1]))[None], context)
    if placed is None:
        return torch.zeros(0, 0), (slice(0, 0), slice(0, 0))
    maps, (left, top, right, bottom) = placed
    return maps[0].clamp(min=0), (slice(top, bottom), slice(left, right))


def face_region(context: PhotoContext) -> Tensor:
    """Where a crop shows the face: `(S, S)` in [0, 1], 1 up to the jaw and the hair line."""
    landmarks = transform_points(context.transform.cpu(), context.landmarks.cpu())
    return motion_mask(face_mask(landmarks, context.size, context.size))


def heat_image(photo: Tensor, heat: Tensor) -> Tensor:
    """A map over a darkened photo.

    Args:
        photo: `(H, W, 3)` in [0, 1].
        heat: `(H, W)` in [0, 1].

    Returns:
        `(H, W, 3)` in [0, 1]: the grey photo where the heat is 0; dark violet, red and yellow as
        it rises.
    """
    grey = luminance(photo.float().clamp(0, 1).permute(2, 0, 1))[0] * _DARKER
    result = grey.unsqueeze(-1).repeat(1, 1, 3)
    hot = heat > 0  # few pixels of a large photo
    value = heat[hot].clamp(0, 1)
    stops = torch.tensor(_SCALE, device=photo.device)
    position = value * (len(stops) - 1)
    index = position.floor().long().clamp(max=len(stops) - 2)
    part = (position - index).unsqueeze(-1)
    colour = stops[index] * (1 - part) + stops[index + 1] * part
    weight = (value * 2).clamp(max=0.85).unsqueeze(-1)
    result[hot] = result[hot] * (1 - weight) + colour * weight
    return result


def _frame(side: int) -> Tensor:
    """1 inside, falling to 0 at the edges of the square, where crops are cut off."""
    place = (torch.arange(side) + 0.5) / side
    edge = (torch.minimum(place, 1 - place) / _MARGIN).clamp(max=1)
    return edge[:, None] * edge[None, :]

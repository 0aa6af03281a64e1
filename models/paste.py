"""Put an edited face back into its photo.

The edit is a change, not a replacement: what the decoded face after the edit differs from the
decoded face before it is carried over to the photo's own pixels, which keep their resolution and
grain. Where nothing changes, the photo is returned bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .errors import FaceLatentsError
from .paste_change import apply_log_odds, log_odds_change
from .paste_maps import prepare_maps, sample_maps
from .paste_mask import face_mask
from .values import PhotoContext

METHODS = ("residual", "blend")

_TILE_PIXELS = 1 << 20  # photo pixels worked on at once, which bounds the memory


def paste_back(
    photo: Tensor,
    context: PhotoContext,
    before: Tensor,
    after: Tensor,
    *,
    method: str = "residual",
    strength: float = 1.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Carry the change from `before` to `after` over to the face in `photo`.

    Args:
        photo: ``(H, W, 3)`` floating point, nominally in [0, 1]: the context's photo, or that
            photo with other faces already pasted. With 4 channels the last one, alpha, passes
            through.
        context: where the face lies in the photo.
        before: ``(3, S, S)`` decode of the unedited code; S need not be the context's size, the
            picture covers the same square.
        after: ``(3, S, S)`` decode of the edited code.
        method: "residual" adds the colour change to the photo's pixels; "blend" puts the decoded
            face itself there, soft as it is.
        strength: share of the change to apply; 0 gives the photo back.
        mask: optional ``(H, W)`` in [0, 1], 0 where the photo must stay as it is (a hand, hair).

    Returns:
        ``(H, W, 3)`` new tensor of the photo's dtype and device. Pixels outside the face, and all
        pixels when `before` equals `after`, are the photo's own bit for bit. A value never leaves
        [0, 1] because of the edit.

    Raises:
        FaceLatentsError: on shapes that do not belong together, on values that are not finite, on
            an unknown method.
    """
    _check(photo, before, after, method, strength, mask)
    result = photo.clone()
    if strength == 0 or (method != "blend" and torch.equal(before, after)):
        return result
    size = context.size
    transform = context.transform.to("cpu", torch.float64)
    landmarks = context.landmarks.to("cpu", torch.float64)
    if not bool(torch.isfinite(transform).all()) or abs(_determinant(transform)) < 1e-12:
        raise FaceLatentsError(
            "Paste Back: the face's alignment is not a valid transform. Encode the photo again."
        )
    box = _photo_box(transform, size, photo.shape[0], photo.shape[1])
    if box is None:
        return result
    crop_landmarks = landmarks @ transform[:, :2].T + transform[:, 2]
    side = before.shape[-1]
    before = before.to(photo.device, torch.float32)
    after = after.to(photo.device, torch.float32)
    soft = face_mask(crop_landmarks, size, side).to(photo.device)
    if method == "blend":
        maps = torch.cat([after, soft[None]])
    else:
        change = log_odds_change(before, after) * soft * strength
        maps = torch.cat([change, soft[None]])
    maps = prepare_maps(maps, size / math.sqrt(abs(_determinant(transform))))

    left, top, right, bottom = box
    rows = max(1, _TILE_PIXELS // (right - left))
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        x, y = _crop_fractions(transform, size, left, right, start, stop, photo.device)
        values = sample_maps(maps, x, y)
        window = photo[start:stop, left:right, :3]
        source = window.permute(2, 0, 1).float()
        allowed = None if mask is None else mask[start:stop, left:right].to(source).clamp(0, 1)
        if method == "blend":
            weight = values[3] * strength
            weight = weight if allowed is None else weight * allowed
            edited = source + weight * (values[:3].clamp(0, 1) - source)
            touched = (weight != 0).expand_as(source)
        else:
            change = values[:3] if allowed is None else values[:3] * allowed
            edited = apply_log_odds(source, change)
            touched = change != 0
        if not bool(torch.isfinite(edited).all()):
            raise FaceLatentsError(
                "Paste Back: the photo has pixels that are not numbers (NaN or infinity) on the "
                "face. Load the photo again or repair it first."
            )
        edited = edited.permute(1, 2, 0).to(photo.dtype)
        result[start:stop, left:right, :3] = torch.where(touched.permute(1, 2, 0), edited, window)
    return result


def _check(
    photo: Tensor, before: Tensor, after: Tensor, method: str, strength: float, mask: Tensor | None
) -> None:
    if method not in METHODS:
        raise FaceLatentsError(
            f"Paste Back: there is no method {method!r}; choose one of {', '.join(METHODS)}."
        )
    if photo.ndim != 3 or photo.shape[-1] not in (3, 4) or photo.numel() == 0:
        raise FaceLatentsError(
            f"Paste Back: the photo has shape {tuple(photo.shape)}; expected "
            "(height, width, 3 or 4). Paste into one photo at a time."
        )
    if not photo.is_floating_point():
        raise FaceLatentsError(
            f"Paste Back: the photo holds {photo.dtype}; expected floating point in [0, 1]. "
            "Divide 8-bit values by 255."
        )
    for name, face in (("before", before), ("after", after)):
        if face.ndim != 3 or face.shape[0] != 3 or face.shape[1] != face.shape[2]:
            raise FaceLatentsError(
                f"Paste Back: the face {name} the edit has shape {tuple(face.shape)}; expected a "
                "square (3, size, size). Connect the decode of one face."
            )
        if not bool(torch.isfinite(face).all()):
            raise FaceLatentsError(
                f"Paste Back: the face {name} the edit has values that are not finite numbers. "
                "Use a smaller strength or check the code."
            )
    if before.shape != after.shape:
        raise FaceLatentsError(
            f"Paste Back: the face before the edit is {before.shape[-1]} px and the face after it "
            f"{after.shape[-1]} px. Decode both with the same face model."
        )
    if not math.isfinite(strength):
        raise FaceLatentsError(f"Paste Back: strength is {strength}; expected a finite number.")
    if mask is not None and tuple(mask.shape) != tuple(photo.shape[:2]):
        raise FaceLatentsError(
            f"Paste Back: the mask has shape {tuple(mask.shape)}; expected the photo's "
            f"{tuple(photo.shape[:2])}."
        )


def _determinant(transform: Tensor) -> float:
    a, b, c, d = transform[:, :2].flatten().tolist()
    return a * d - b * c


def _photo_box(
    transform: Tensor, size: int, height: int, width: int
) -> tuple[int, int, int, int] | None:
    """Photo pixels (left, top, right, bottom) under the crop's square; None if there are none."""
    low, high = -0.5, size - 0.5
    corners = torch.tensor(
        [[low, low], [high, low], [low, high], [high, high]], dtype=torch.float64
    )
    photo_corners = torch.linalg.solve(transform[:, :2], (corners - transform[:, 2]).T)
    (x0, y0), (x1, y1) = photo_corners.amin(1).tolist(), photo_corners.amax(1).tolist()
    left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
    right, bottom = min(width, math.ceil(x1) + 1), min(height, math.ceil(y1) + 1)
    return None if left >= right or top >= bottom else (left, top, right, bottom)


def _crop_fractions(
    transform: Tensor, size: int, left: int, right: int, top: int, bottom: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Fractions (x, y) of the crop's square at photo pixels, each ``(bottom-top, right-left)``.

    Products are formed in float64: at 8K a float32 coordinate is off by a visible fraction.
    """
    px = torch.arange(left, right, dtype=torch.float64, device=device)
    py = torch.arange(top, bottom, dtype=torch.float64, device=device)[:, None]
    (a, b, tx), (c, d, ty) = transform.tolist()
    x = (a * px + b * py + tx + 0.5) / size
    y = (c * px + d * py + ty + 0.5) / size
    return x.float(), y.float()

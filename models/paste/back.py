"""Put an edited face back into its photo.

The edit is a change, not a replacement: what the decoded face after the edit differs from the
decoded face before it is carried over to the photo's own pixels, which keep their resolution and
grain. Where nothing changes, the photo is returned bit for bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..geometry.similarity import invert_transform, transform_points, transform_scale
from ..imaging.light import apply_log_odds
from ..imaging.maps import prepare_maps, resize, sample_maps
from ..threads import one_thread
from ..values import PhotoContext
from .beyond import extended, goes_beyond
from .crop import own_face
from .detail import SOFT, fade_detail, reach_of
from .mask import face_mask
from .pixels import DETAIL_REACH, Box, crop_fractions, move_photo, photo_box
from .plan import EditMaps, plan_edit
from .whole import paste_whole

METHODS = ("warp", "residual", "blend")

_TILE_PIXELS = 1 << 20  # photo pixels worked on at once, which bounds the memory


@one_thread()
def paste_back(
    photo: Tensor,
    context: PhotoContext,
    before: Tensor,
    after: Tensor,
    *,
    method: str = "warp",
    strength: float = 1.0,
    mask: Tensor | None = None,
    motion: Tensor | None = None,
    own: bool = False,
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
        method: "warp" moves the photo's pixels where the edit moves the face and adds the colour
            change that remains; "residual" only adds the colour change; "blend" puts the decoded
            face itself there, soft as it is.
        strength: share of the change to apply; 0 gives the photo back.
        mask: optional ``(H, W)`` in [0, 1], 0 where the photo must stay as it is (a hand, hair).
        motion: optional ``(2, N, N)``, how the model says it moved the face, see
            :meth:`~.face_model.FaceModel.motion`; "warp" follows it, beside the face too (the
            outline of a head that turns), and finds what else has moved.
        own: `before` is the photo's own face (:func:`~.paste_crop.own_face`) and `after` what a
            model makes of it (:meth:`~.face_model.FaceModel.edited_photos`), not drawings of it.
            Then all motion is known, and detail goes with what it belonged to.

    Light that falls on all of the face and motion at the frame of the crop go on beyond it, and
    fade over half a crop.

    Where the model encodes whole pictures (a context without landmarks), the change is added to
    the whole picture, for "warp" too (see `paste_whole`).

    Returns:
        ``(H, W, 3)`` new tensor of the photo's dtype and device. Pixels that the edit does not
        reach, and all pixels when `before` equals `after`, are the photo's own bit for bit. A
        value never leaves [0, 1] because of the edit.

    Raises:
        FaceLatentsError: on shapes that do not belong together, on values that are not finite, on
            an unknown method.
    """
    _check(photo, before, after, method, strength, mask)
    _check_motion(motion)
    result = photo.clone()
    if strength == 0 or torch.equal(before, after):
        return result
    size, side = context.size, before.shape[-1]
    transform = context.transform.to("cpu", torch.float64)
    if not bool(torch.isfinite(transform).all()) or float(transform_scale(transform)) < 1e-6:
        raise FaceLatentsError(
            "Paste Back: the face's alignment is not a valid transform. Encode the photo again."
        )
    if len(context.landmarks) == 0:
        blend = method == "blend"
        return paste_whole(photo, context, before, after, blend=blend, strength=strength, mask=mask)
    if photo_box(transform, size, photo.shape[0], photo.shape[1]) is None:
        return result
    crop_landmarks = transform_points(transform, context.landmarks.cpu())
    soft = face_mask(crop_landmarks, size, side).to(photo.device)
    before, after = (face.to(photo.device, torch.float32) for face in (before, after))
    # Pixels that are not numbers count as 0 here, and are refused below if the edit reaches them.
    crop = own_face(photo, context, side)
    if motion is not None:
        motion = resize(motion.to(photo.device, torch.float32), side)
    plan = plan_edit(crop, before, after, soft, method, motion, own)
    to_photo = invert_transform(transform)[:, :2] * size  # shares of the crop -> photo pixels
    square: float = size
    if goes_beyond(plan):
        plan, reach = extended(plan)
        margin = size * reach / side
        transform = torch.cat([transform[:, :2], transform[:, 2:] + margin], 1)
        square = size + 2 * margin
    maps = prepare_maps(plan.stacked(), square / float(transform_scale(transform)))
    box = photo_box(transform, square, photo.shape[0], photo.shape[1])
    if box is None:
        return result
    left, top, right, bottom = box
    rows = max(1, _TILE_PIXELS // (right - left))
    soft_pixels = SOFT / float(transform_scale(transform)) * size / side
    overlap = DETAIL_REACH + 2 + reach_of(soft_pixels)
    for start in range(top, bottom, rows):
        stop = min(start + rows, bottom)
        # Detail is judged around each pixel, so tiles overlap.
        tile = (left, max(top, start - overlap), right, min(bottom, stop + overlap))
        values = sample_maps(maps, *crop_fractions(transform, square, tile, photo.device))
        allowed = values.new_tensor(strength)
        if mask is not None:
            allowed = allowed * mask[tile[1] : tile[3], left:right].to(values).clamp(0, 1)
        tile_maps = EditMaps.unstacked(values)
        edited, touched = _edit_tile(photo, tile, tile_maps, allowed, to_photo, soft_pixels)
        inner = slice(start - tile[1], stop - tile[1])
        edited, touched = edited[:, inner], touched[inner]
        if not bool(torch.isfinite(edited[:, touched]).all()):
            raise FaceLatentsError(
                "Paste Back: the photo has pixels that are not numbers (NaN or infinity) on the "
                "face or close to it. Load the photo again or repair it first."
            )
        window = photo[start:stop, left:right, :3]
        edited = edited.permute(1, 2, 0).to(photo.dtype)
        result[start:stop, left:right, :3] = torch.where(touched[..., None], edited, window)
    return result


def _edit_tile(
    photo: Tensor, tile: Box, maps: EditMaps, allowed: Tensor, to_photo: Tensor, soft: float
) -> tuple[Tensor, Tensor]:
    """Edited pixels ``(3, h, w)`` of a tile, and where ``(h, w)`` the edit acts at all; detail
    that goes is finer than `soft` pixels."""
    motion, change = maps.motion * allowed, maps.change * allowed
    weight = (maps.weight * allowed).clamp(0, 1)
    touched = (motion != 0).any(0) | (change != 0).any(0) | (weight != 0).any(0)
    moved = move_photo(photo, tile, motion, to_photo)
    edited = apply_log_odds(fade_detail(moved, maps.lost * allowed, soft), change)
    edited = edited + weight * (maps.decoded - edited)
    # Rounding may end a few 1e-8 outside; a pixel that began outside keeps what it had.
    edited = torch.minimum(torch.maximum(edited, moved.clamp(max=0)), moved.clamp(min=1))
    return edited, touched


def _check_motion(motion: Tensor | None) -> None:
    if motion is None:
        return
    if motion.ndim != 3 or motion.shape[0] != 2 or motion.shape[1] != motion.shape[2]:
        raise FaceLatentsError(
            f"Paste Back: the motion has shape {tuple(motion.shape)}; expected (2, size, size)."
        )
    if not bool(torch.isfinite(motion).all()):
        raise FaceLatentsError(
            "Paste Back: the motion has values that are not finite numbers. Use a smaller strength "
            "or check the code."
        )


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

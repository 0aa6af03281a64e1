"""Which part of a face an edit may change: masks of its parts, over the square of its crop."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from ..architectures.face.mesh import polygon_mask
from ..architectures.face.points import (
    INNER_LIPS,
    LEFT_EYE,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    OVAL,
    RIGHT_EYE,
)
from ..errors import FaceLatentsError
from ..finder.dense_landmarks import load_dense_landmarks
from ..geometry.similarity import (
    compose_transforms,
    invert_transform,
    similarity_transform,
    transform_points,
)
from ..geometry.templates import WIDE
from ..imaging.align import align_with_transform
from ..imaging.maps import gaussian_blur, resize
from ..values import PhotoContext
from .mask import frame_mask, smootherstep

PARTS = EYES, BROWS, NOSE, MOUTH, SKIN, SURROUNDINGS = (
    "eyes", "brows", "nose", "mouth", "skin", "surroundings",
)  # fmt: skip
_LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
_RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
# From between the eyes over the wing on the viewer's right to below the tip and back.
_NOSE = (168, 417, 465, 343, 437, 279, 358, 327, 2, 98, 129, 49, 217, 114, 245, 193)
_LIPS = OUTER_UPPER_LIP + OUTER_LOWER_LIP[-2:0:-1]
# Contours, and by how much of the crop's side a part reaches beyond them: lashes and lids, hairs of
# the brow, what a lip moves.
_CONTOURS = {
    EYES: ((LEFT_EYE, RIGHT_EYE), 0.022),
    BROWS: ((_LEFT_BROW, _RIGHT_BROW), 0.012),
    NOSE: ((_NOSE,), 0.012),
    MOUTH: ((_LIPS, INNER_LIPS), 0.03),
}
_SIDE = 512  # of the masks: contours are no finer
_LOOKED_AT = 256  # side of the crop in which the landmarks are found


def find_points(context: PhotoContext) -> Tensor:
    """Dense landmarks of a face, `(478, 2)` in shares of its crop's side from the middle.

    Raises:
        FaceLatentsError: the context is of a whole picture, in which no face is known.
    """
    if len(context.landmarks) == 0:
        raise FaceLatentsError(
            "this face model encodes whole pictures, so parts of a face are not known. Use a model "
            "of faces."
        )
    template = WIDE.resized(_LOOKED_AT)
    to_wide = similarity_transform(context.landmarks.cpu(), template.pixels())
    crop = align_with_transform(context.photo[..., :3], to_wide, _LOOKED_AT)
    points, _ = load_dense_landmarks().find(crop[None])
    pixels = (points[0, :, :2].double() + 0.5) * _LOOKED_AT - 0.5
    to_crop = compose_transforms(context.transform.cpu(), invert_transform(to_wide))
    return (transform_points(to_crop, pixels) + 0.5) / context.size - 0.5


def region_mask(points: Tensor, parts: Collection[str], feather: float, side: int) -> Tensor:
    """Soft mask of some parts of a face.

    Args:
        points: of `find_points`.
        parts: some of `PARTS`; skin is the face without the others, surroundings all beside it.
        feather: width of the soft border as a share of the crop's side; it lies around the parts.
        side: of the mask.

    Returns:
        `(side, side)` float32 in [0, 1], exactly 0 away from the parts and along the crop's frame.
    """
    masks = {name: _grown(points, *_CONTOURS[name]) for name in _CONTOURS}
    face = polygon_mask(points, OVAL, _SIDE, 1.0)
    features = torch.stack(list(masks.values())).amax(0)
    masks[SKIN] = (face - features).clamp(min=0)
    masks[SURROUNDINGS] = (1 - torch.maximum(face, features)).clamp(min=0)
    chosen = torch.stack([masks[name] for name in parts] or [0 * face]).sum(0).clamp(max=1)
    spared = [masks[name] for name in _CONTOURS if name not in parts] or [0 * face]
    kept = (torch.stack(spared).amax(0) - chosen).clamp(min=0)
    soft = _soften(chosen, feather) * (1 - _soften(kept, feather / 2))
    mask = resize((soft * frame_mask(_SIDE).to(face))[None], side)[0].clamp(0, 1)
    return torch.where(mask < 1e-3, 0.0, mask)  # cubic interpolation rings


def _grown(points: Tensor, contours: tuple[tuple[int, ...], ...], reach: float) -> Tensor:
    mask = torch.stack([polygon_mask(points, each, _SIDE, 1.0) for each in contours]).amax(0)
    return (_around(mask, reach) > 0.02).float()


def _soften(mask: Tensor, width: float) -> Tensor:
    """1 on the mask, falling to 0 over a width around it."""
    if width <= 0:
        return mask
    grown = (_around(mask, width / 2) > 0.02).float()
    return torch.maximum(mask, smootherstep(_around(grown, width / 2) * 1.02 - 0.01))


def _around(mask: Tensor, reach: float) -> Tensor:
    """Blurred such that 0.02 is reached about `reach` of the side beyond a straight border."""
    return gaussian_blur(mask[None], reach * _SIDE / 2.054)[0]

"""The two faces whose difference Paste Back carries over to a photo."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ..face_model import FaceModel
from ..values import PhotoContext
from .crop import own_face


class Pair(NamedTuple):
    """A face before and after an edit, `(3, S, S)` each on the CPU; `own` as for `paste_back`."""

    before: Tensor
    after: Tensor
    own: bool


def edited_pair(
    model: FaceModel, context: PhotoContext, code: Tensor, method: str = "warp"
) -> Pair:
    """The pair of one face: the photo's own where model and method are made for that, else drawn.

    Args:
        model: what the face was encoded with.
        context: the photo, and where and what the face is in it.
        code: `(*shape)` after the edit.
        method: of `paste_back`; only "warp" takes the photo's own face.
    """
    original, code = context.code[None], code[None]
    if method == "warp" and model.retouches(original[0], code[0]):
        crop = own_face(context.photo, context, model.template.size).cpu()
        edited = model.edited_photos(crop[None], original, code)
        return Pair(crop, edited[0].float().cpu(), own=True)
    before, after = (model.decode(c)[0].float().cpu() for c in (original, code))
    return Pair(before, after, own=False)

"""What an edit of its code does to a face: the one recipe behind every picture of an edit.

Paste Back, the live preview, Attribute Sheet, Disentanglement, the command line, the benchmark and
the evaluation all call `plan_edits` and put the result into a photo with `back.paste_back` (or
`draft.paste_draft`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..imaging.edit_maps import EditMaps
from ..imaging.maps import resize
from .face import PhotoFace

_NOT_FINITE = (
    "Paste Back: the {} has values that are not finite numbers. Use a smaller strength or check "
    "the code."
)
METHODS = WARP, RESIDUAL, BLEND = ("warp", "residual", "blend")


class RunModel(Protocol):
    """Applies a function of a model to items `(n, ...)`; the host's does so batch by batch."""

    def __call__(self, what: str, function: Callable[..., Tensor], *items: Tensor) -> Tensor:
        """`function(*items)`; `what` is done, for a progress bar."""


@dataclass(frozen=True, eq=False)
class PhotoEdit:
    """What the model itself does to the photo's own face.

    Attributes:
        maps: on the CPU.

    Raises:
        FaceLatentsError: maps with values that are not finite.
    """

    maps: EditMaps

    def __post_init__(self) -> None:
        if not bool(self.maps.stacked().sum().isfinite()):
            raise FaceLatentsError(_NOT_FINITE.format("edit"))


@dataclass(frozen=True, eq=False)
class PictureEdit:
    """One face before and after an edit, as pictures whose difference a photo gets.

    Attributes:
        before: `(3, S, S)` float, nominally in [0, 1]; covers the square of the aligned crop.
        after: `(3, S, S)`: the decode of the edited code, or an artist's own picture.
        method: "warp" moves the photo's pixels where the edit moves the face and adds the colour
            change that remains; "residual" only adds the colour change; "blend" puts `after`
            itself there, soft as it is.

    Raises:
        FaceLatentsError: shapes that do not belong together, values that are not finite, or an
            unknown method.
    """

    before: Tensor
    after: Tensor
    method: str = WARP

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise FaceLatentsError(
                f"Paste Back: there is no method {self.method!r}; choose one of "
                f"{', '.join(METHODS)}."
            )
        _check_picture("face before the edit", self.before)
        _check_picture("face after the edit", self.after)
        if self.before.shape != self.after.shape:
            raise FaceLatentsError(
                f"Paste Back: the face before the edit is {self.before.shape[-1]} px and the face "
                f"after it {self.after.shape[-1]} px. Decode both with the same face model."
            )


FaceEdit = PhotoEdit | PictureEdit


def run_at_once(what: str, function: Callable[..., Tensor], *items: Tensor) -> Tensor:
    """All items in one batch, see `RunModel`."""
    return function(*items)


@torch.no_grad()
def plan_edits(
    model: FaceModel,
    faces: Sequence[PhotoFace],
    codes: Tensor,
    *,
    method: str = WARP,
    pictures: Tensor | None = None,
    draft: bool = False,
    run: RunModel = run_at_once,
) -> list[FaceEdit | None]:
    """What becomes of faces when their codes change.

    The photo's own face is edited where the model can do that and the method moves the photo's
    pixels; else the face is decoded before and after the edit.

    Args:
        model: what the faces were encoded with.
        faces: n faces; those given again are not prepared again.
        codes: `(n, *shape)` after the edit.
        method: see `PictureEdit`.
        pictures: `(n, 3, S, S)` that take the place of the edited decodes.
        draft: for `draft.paste_draft`, at half the resolution.
        run: applies the model.

    Returns:
        n edits, their tensors float32 on the CPU. None: the code is unchanged, and so is the
        photo, whatever rounding two decodes may differ by.
    """
    codes = codes.detach().to("cpu", torch.float32)
    changed = [
        n
        for n, face in enumerate(faces)
        if pictures is not None or not torch.equal(codes[n], face.code)
    ]
    edits: list[FaceEdit | None] = [None] * len(faces)
    if not changed:
        return edits
    chosen = [faces[n] for n in changed]
    before = torch.stack([face.code for face in chosen])
    edited = model.possible(before, codes[changed])
    editor = model.capabilities.editor
    if editor is not None and method == WARP and pictures is None:
        own = torch.stack([face.crop for face in chosen])
        edit = partial(model.edit_photos, draft=draft)
        for n, maps in zip(changed, run("Editing faces", edit, own, before, edited), strict=True):
            edits[n] = PhotoEdit(EditMaps.unstacked(maps.float().cpu(), editor.extent))
        return edits
    drawn = _decode_unedited(model, chosen, run)
    if pictures is None:
        after = run("Decoding edited faces", model.decode, edited).float().cpu()
    else:
        after = pictures[changed]
        drawn = [resize(face, after.shape[-1]) for face in drawn]
    for n, old, new in zip(changed, drawn, after, strict=True):
        edits[n] = PictureEdit(old, new, method)
    return edits


def _decode_unedited(model: FaceModel, faces: Sequence[PhotoFace], run: RunModel) -> list[Tensor]:
    """The decode `(3, S, S)` of each face's unedited code, which faces keep.

    Equal codes are decoded once: frames of a morph share the unedited one.
    """
    missing: dict[bytes, list[PhotoFace]] = {}
    for face in faces:
        if face.decoded is None:
            missing.setdefault(face.code.numpy().tobytes(), []).append(face)
    if missing:
        codes = torch.stack([same[0].code for same in missing.values()])
        drawn = run("Decoding unedited faces", model.decode, codes).float().cpu()
        for same, picture in zip(missing.values(), drawn, strict=True):
            for face in same:
                face.decoded = picture
    return [face.decoded for face in faces if face.decoded is not None]


def _check_picture(name: str, picture: Tensor) -> None:
    if picture.ndim != 3 or picture.shape[0] != 3 or picture.shape[1] != picture.shape[2]:
        raise FaceLatentsError(
            f"Paste Back: the {name} has shape {tuple(picture.shape)}; expected a square "
            "(3, size, size). Take one face at a time."
        )
    if not bool(torch.isfinite(picture).all()):
        raise FaceLatentsError(_NOT_FINITE.format(name))

"""What an edit of its code does to a face: the one recipe behind every picture of an edit.

Paste Back, the live preview, Attribute Sheet, Disentanglement, the command line, the benchmark and
the evaluation all call `plan_edits` and put the result into a photo with `back.paste_back` (or
`draft.paste_draft`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..imaging.maps import resize
from .face import PhotoFace

METHODS = WARP, RESIDUAL, BLEND = ("warp", "residual", "blend")


class Source(Enum):
    """Which picture of a face was edited."""

    PHOTO = "the photo's own face"
    DECODED = "the decode of its code"
    ARTIST = "an artist's own picture in place of the edited decode"


class RunModel(Protocol):
    """Applies a function of a model to items `(n, ...)`; the host's does so batch by batch."""

    def __call__(self, what: str, function: Callable[..., Tensor], *items: Tensor) -> Tensor:
        """`function(*items)`; `what` is done, for a progress bar."""


@dataclass(frozen=True, eq=False)
class FaceEdit:
    """One face before and after an edit: all that a photo needs to get the change.

    Attributes:
        before: `(3, S, S)` float, nominally in [0, 1]; covers the square of the aligned crop.
        after: `(3, S, S)`.
        source: which picture `before` and `after` show.
        method: "warp" moves the photo's pixels where the edit moves the face and adds the colour
            change that remains; "residual" only adds the colour change; "blend" puts `after`
            itself there, soft as it is.
        motion: `(2, N, N)`, how the model moved the face, see `FaceModel.motion`. "warp" follows
            it, beside the face too (the outline of a head that turns). Of the photo's own face all
            motion is known; otherwise the rest is estimated. None: nothing is known.

    Raises:
        FaceLatentsError: shapes that do not belong together, values that are not finite, or an
            unknown method.
    """

    before: Tensor
    after: Tensor
    source: Source = Source.DECODED
    method: str = WARP
    motion: Tensor | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise FaceLatentsError(
                f"Paste Back: there is no method {self.method!r}; choose one of "
                f"{', '.join(METHODS)}."
            )
        _check_square("face before the edit", self.before, 3)
        _check_square("face after the edit", self.after, 3)
        if self.motion is not None:
            _check_square("motion", self.motion, 2)
        if self.before.shape != self.after.shape:
            raise FaceLatentsError(
                f"Paste Back: the face before the edit is {self.before.shape[-1]} px and the face "
                f"after it {self.after.shape[-1]} px. Decode both with the same face model."
            )


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

    The photo's own face is edited where the model can do that (`FaceModel.retouches`) and the
    method moves the photo's pixels; else the face is decoded before and after the edit.

    Args:
        model: what the faces were encoded with.
        faces: n faces; those given again are not prepared again.
        codes: `(n, *shape)` after the edit.
        method: see `FaceEdit`.
        pictures: `(n, 3, S, S)` that take the place of the edited decodes.
        draft: for `draft.paste_draft`: without motion, and what can be is kept for the next time.
        run: applies the model.

    Returns:
        n edits, their tensors float32 on the CPU. None: the code is unchanged, and so is the
        photo, whatever rounding two decodes may differ by.
    """
    codes = codes.detach().to("cpu", torch.float32)
    moves = method == WARP and pictures is None  # the photo's pixels, as the model says
    changed = [
        n
        for n, face in enumerate(faces)
        if pictures is not None or not torch.equal(codes[n], face.code)
    ]
    fitted = [n for n in changed if moves and model.retouches(faces[n].code, codes[n])]
    decoded = [n for n in changed if n not in fitted]
    pairs: dict[int, tuple[Tensor, Tensor]] = {}
    if decoded:
        before = _unedited_pictures("decoded", model.decode, [faces[n] for n in decoded], run)
        if pictures is None:
            after = run("Decoding edited faces", model.decode, codes[decoded]).float().cpu()
        else:
            after = pictures[decoded]
            before = [resize(face, after.shape[-1]) for face in before]
        pairs |= dict(zip(decoded, zip(before, after, strict=True), strict=True))
    if fitted:
        own = [faces[n] for n in fitted]
        items = [torch.stack([face.crop for face in own]), torch.stack([face.code for face in own])]
        items.append(codes[fitted])
        if draft:
            items.append(torch.stack(_unedited_pictures("drawn", model.draw_unedited, own, run)))
        after = run("Editing faces", model.apply_edit, *items).float().cpu()
        pairs |= dict(zip(fitted, zip(items[0], after, strict=True), strict=True))
    sources = dict.fromkeys(decoded, Source.DECODED if pictures is None else Source.ARTIST)
    sources |= dict.fromkeys(fitted, Source.PHOTO)
    edits: list[FaceEdit | None] = [None] * len(faces)
    for n, pair in pairs.items():
        motion = model.motion(faces[n].code, codes[n]) if moves and not draft else None
        edits[n] = FaceEdit(*pair, sources[n], method, motion)
    return edits


def _unedited_pictures(
    kind: str, draw: Callable[[Tensor], Tensor], faces: Sequence[PhotoFace], run: RunModel
) -> list[Tensor]:
    """A picture `(3, S, S)` of each face's unedited code; faces keep theirs by its kind.

    Equal codes are drawn once: frames of a morph share the unedited one.
    """
    missing: dict[bytes, list[PhotoFace]] = {}
    for face in faces:
        if kind not in face.pictures:
            missing.setdefault(face.code.numpy().tobytes(), []).append(face)
    if missing:
        codes = torch.stack([same[0].code for same in missing.values()])
        drawn = run("Decoding unedited faces", draw, codes).float().cpu()
        for same, picture in zip(missing.values(), drawn, strict=True):
            for face in same:
                face.pictures[kind] = picture
    return [face.pictures[kind] for face in faces]


def _check_square(name: str, maps: Tensor, channels: int) -> None:
    if maps.ndim != 3 or maps.shape[0] != channels or maps.shape[1] != maps.shape[2]:
        raise FaceLatentsError(
            f"Paste Back: the {name} has shape {tuple(maps.shape)}; expected a square "
            f"({channels}, size, size). Take one face at a time."
        )
    if not bool(torch.isfinite(maps).all()):
        raise FaceLatentsError(
            f"Paste Back: the {name} has values that are not finite numbers. Use a smaller "
            "strength or check the code."
        )

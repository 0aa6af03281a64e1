"""What a preview shows of the faces of a run: each face alone, or whole photos; small or large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ....models.geometry.similarity import (
    compose_transforms,
    invert_transform,
    transform_points,
    transform_scale,
)
from ....models.paste.back import paste_back
from ....models.paste.draft import draft_mask, paste_draft
from ....models.paste.edit import FaceEdit
from ....models.paste.face import PhotoFace
from ....models.values import PhotoContext

LEAST_SIDE = 256  # pixels of a face, and of its drafts
MOST_SIDE = 768  # 7 MB a face: MOST_BYTES of the sessions holds 18 of them
PHOTO_SIDE = 1024  # pixels of the longer side of a whole photo


@dataclass(frozen=True)
class View:
    """What is to be seen.

    Attributes:
        photo: the whole photos in place of the faces.
        side: pixels of a face; no more than its photo has are given.
        before: as the faces came in, before the sliders.
        draft: roughly but at once, while a slider moves; faces then have LEAST_SIDE pixels.
    """

    photo: bool = False
    side: int = LEAST_SIDE
    before: bool = False
    draft: bool = False


FACES = View()


class Views:
    """The faces of a run in small photos that need not the large ones any more.

    Attributes:
        small: each face in a square of LEAST_SIDE pixels, or of the model's size if that is more.
        large: the same in as many pixels as the photos have, up to MOST_SIDE.
        photos: each face in its whole photo, made smaller.
    """

    def __init__(self, contexts: Sequence[PhotoContext]) -> None:
        whole = [PhotoFace(context) for context in contexts]
        self._least = max([LEAST_SIDE, *(context.size for context in contexts)])
        sides = [_side_in_photo(context) for context in contexts]
        self._most = max(self._least, min(MOST_SIDE, max(sides, default=0)))
        self.large = tuple(face.in_square(self._most) for face in whole)
        self.small = tuple(face.in_square(self._least) for face in whole)
        self.photos = _shrink_photos(whole)
        self._masks = tuple(draft_mask(face.context) for face in self.small)
        self._last = self._most, self.large

    def tensors(self) -> list[Tensor]:
        """All pictures that are held, each once."""
        faces = [*self.large, *self.small, *self.photos]
        return list({id(face.context.photo): face.context.photo for face in faces}.values())

    def faces(self, view: View) -> tuple[PhotoFace, ...]:
        """The faces to edit for a view."""
        if view.photo:
            return self.photos
        side = min(max(view.side, self._least), self._most)
        if view.draft or side == self._least:
            return self.small
        if self._last[0] != side:
            self._last = side, tuple(face.in_square(side) for face in self.large)
        return self._last[1]

    def put_back(
        self, view: View, faces: Sequence[PhotoFace], edits: Sequence[FaceEdit | None]
    ) -> Tensor:
        """The pictures of a view side by side, `(H, W, 3)` in [0, 1].

        Args:
            view: as given to `faces`.
            faces: of `faces`.
            edits: of `plan_edits` for them.
        """
        if view.photo:
            return _side_by_side(_paste_all(faces, edits))
        if view.draft:
            drawn = [
                paste_draft(face.context, edit, mask)
                for face, edit, mask in zip(faces, edits, self._masks, strict=True)
            ]
            return _side_by_side(drawn)
        pairs = zip(faces, edits, strict=True)
        return _side_by_side(
            [paste_back(face.context.photo, face.context, edit).clamp(0, 1) for face, edit in pairs]
        )


def _side_in_photo(context: PhotoContext) -> int:
    """Pixels of the photo along a side of the aligned crop."""
    scale = float(transform_scale(context.transform))
    return round(context.size / max(scale, 1e-6))


def _shrink_photos(faces: Sequence[PhotoFace]) -> tuple[PhotoFace, ...]:
    """The faces in their photos, these at most PHOTO_SIDE long; faces of one photo share it."""
    made: dict[str, Tensor] = {}
    shrunk = []
    for face in faces:
        context = face.context
        photo = context.photo[..., :3]
        scale = min(1.0, PHOTO_SIDE / max(photo.shape[:2]))
        if context.photo_key not in made:
            made[context.photo_key] = _shrink(photo, scale)
        shift = (scale - 1) / 2  # pixel centres lie at integers
        rows = [[scale, 0, shift], [0, scale, shift]]
        to_small = torch.tensor(rows, dtype=torch.float64)
        small = PhotoFace(
            replace(
                context,
                photo=made[context.photo_key],
                transform=compose_transforms(context.transform.cpu(), invert_transform(to_small)),
                landmarks=transform_points(to_small, context.landmarks.cpu()),
                alpha=None,
            )
        )
        small.crop = face.crop
        shrunk.append(small)
    return tuple(shrunk)


def _shrink(photo: Tensor, scale: float) -> Tensor:
    if scale == 1:
        return photo.clone()  # the batch that it is part of is not kept
    planes = photo.permute(2, 0, 1)[None].float()
    small = F.interpolate(
        planes, scale_factor=scale, mode="bilinear", antialias=True, recompute_scale_factor=False
    )
    return small[0].permute(1, 2, 0).contiguous()


def _paste_all(faces: Sequence[PhotoFace], edits: Sequence[FaceEdit | None]) -> list[Tensor]:
    """Each photo with all its faces; the same face once more (frames of a morph) gets another."""
    photos: list[Tensor] = []
    pasted: dict[tuple[str, int], int] = {}  # photo and how often its face came -> number
    seen: dict[tuple[str, int], int] = {}
    for face, edit in zip(faces, edits, strict=True):
        context = face.context
        key = context.photo_key, context.face_index
        seen[key] = seen.get(key, 0) + 1
        number = pasted.setdefault((context.photo_key, seen[key]), len(photos))
        if number == len(photos):
            photos.append(context.photo)
        photos[number] = paste_back(photos[number], context, edit)
    return [photo.clamp(0, 1) for photo in photos]


def _side_by_side(pictures: Sequence[Tensor]) -> Tensor:
    """Pictures `(h, w, 3)` in a row, lower ones with black below."""
    height = max(picture.shape[0] for picture in pictures)
    padded = [F.pad(one, (0, 0, 0, 0, 0, height - one.shape[0])) for one in pictures]
    return torch.cat(padded, dim=1).contiguous()

"""Faces to be edited as users edit them: the change is put back into the picture by Paste Back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.paste.back import paste_back
from ....models.paste.edit import plan_edits
from ....models.paste.face import PhotoFace
from ....models.values import PhotoContext

BATCH = 250
# What only some faces can have is tried on those: no woman in these data has a beard.
ONLY = {"beard": ("gender", "male")}


@dataclass(frozen=True, eq=False)
class Subjects:
    """Faces to edit, each crop being a photo of its own.

    Attributes:
        model: edits them.
        crops: `(N, 3, S, S)` in [0, 1].
        codes: `(N, *shape)` of the crops.
        decoded: `(N, 3, S, S)` of the codes.
        rows: N rows of the table.
    """

    model: FaceModel
    crops: Tensor
    codes: Tensor
    decoded: Tensor
    rows: Sequence[Mapping[str, str]]

    def __len__(self) -> int:
        return len(self.crops)

    def edited(self, index: Tensor, change: Tensor) -> Tensor:
        """What Paste Back's default method makes of the crops, `(len(index), 3, S, S)`."""
        if not len(index):
            return self.crops[:0]
        faces = [self.faces[i] for i in index.tolist()]
        edits = plan_edits(self.model, faces, self.codes[index] + change, run=run_in_parts)
        pictures = [
            paste_back(face.context.photo, face.context, edit).permute(2, 0, 1)
            for face, edit in zip(faces, edits, strict=True)
        ]
        return torch.stack(pictures)

    @cached_property
    def faces(self) -> list[PhotoFace]:
        """Each crop as the face of a photo."""
        faces = [PhotoFace(self._context(i)) for i in range(len(self))]
        for face, picture in zip(faces, self.decoded, strict=True):
            face.pictures["decoded"] = picture
        return faces

    def _context(self, i: int) -> PhotoContext:
        photo = self.crops[i].permute(1, 2, 0).contiguous()
        template = self.model.template
        placement = torch.eye(2, 3, dtype=torch.float64)
        return PhotoContext(
            photo, placement, template.size, template.pixels(), self.codes[i], str(i), 0
        )

    def tried(self, name: str) -> Tensor:
        """Which faces an attribute is edited on, `(N,)`."""
        if name not in ONLY:
            return torch.ones(len(self), dtype=torch.bool)
        column, value = ONLY[name]
        return torch.tensor([row[column] == value for row in self.rows], dtype=torch.bool)


def run_in_parts(what: str, function: Callable[..., Tensor], *items: Tensor) -> Tensor:
    """Apply a model's function to some items `(n, ...)` at a time; the results on the CPU."""
    parts = zip(*(item.split(BATCH) for item in items), strict=True)
    return torch.cat([function(*part).cpu() for part in parts])


def decode(model: FaceModel, codes: Tensor) -> Tensor:
    """Pictures of codes, some at a time, on the CPU."""
    return run_in_parts("decode", model.decode, codes)

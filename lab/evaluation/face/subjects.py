"""Faces to be edited as users edit them: the change is put back into the picture by Paste Back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.paste.back import paste_back
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
        codes = self.codes[index] + change
        own = self.model.retouches(self.codes[index[0]], codes[0])
        if own:
            before = self.crops[index]
            after = edit(self.model, before, self.codes[index], codes)
        else:
            before, after = self.decoded[index], decode(self.model, codes)
        pictures = []
        for i, code, old, new in zip(index.tolist(), codes, before, after, strict=True):
            context = self._context(i)
            motion = self.model.motion(self.codes[i], code)
            pasted = paste_back(context.photo, context, old, new, motion=motion, own=own)
            pictures.append(pasted.permute(2, 0, 1))
        return torch.stack(pictures)

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


def edit(model: FaceModel, crops: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Crops as an edit of their codes changes them, some at a time, on the CPU."""
    parts = zip(*(tensor.split(BATCH) for tensor in (crops, before, after)), strict=True)
    return torch.cat([model.edited_photos(*part).cpu() for part in parts])


def decode(model: FaceModel, codes: Tensor) -> Tensor:
    """Pictures of codes, some at a time, on the CPU."""
    return torch.cat([model.decode(part).cpu() for part in codes.split(BATCH)])

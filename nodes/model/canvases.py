"""What the nodes that paste faces have in common: their photos, and pictures of the faces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.values import FaceLatent, PhotoContext


class Canvases:
    """The output photos, and which of them each face goes into.

    Faces of one photo share an output; when the same face of a photo comes again (the next frame
    of a morph), it goes into the next output of that photo.

    Attributes:
        photos: `(N, H, W, 3 or 4)`, before any edit.
        places: number of the output photo of each face.
    """

    def __init__(self, contexts: Sequence[PhotoContext], node: str) -> None:
        sizes = {tuple(context.photo.shape[:2]) for context in contexts}
        if len(sizes) > 1:
            listed = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
            raise FaceLatentsError(
                f"{node}: the photos have different sizes ({listed}), but one IMAGE batch "
                "holds pictures of one size. Paste them one at a time (Select Face Latent), or "
                "resize the photos to one size before Encode Face."
            )
        self.places: list[int] = []
        sources: list[PhotoContext] = []  # one for each output
        outputs: dict[str, list[int]] = {}  # photo -> its outputs
        seen: Counter[tuple[str, int]] = Counter()  # how often each face came so far
        for context in contexts:
            face = context.photo_key, context.face_index
            own = outputs.setdefault(context.photo_key, [])
            if seen[face] == len(own):
                own.append(len(sources))
                sources.append(context)
            self.places.append(own[seen[face]])
            seen[face] += 1
        channels = 3 if all(context.alpha is None for context in contexts) else 4
        shape = (len(sources), *contexts[0].photo.shape[:2], channels)
        # one block from the start: joining photos at the end takes twice as much
        self.photos = torch.ones(shape, dtype=contexts[0].photo.dtype)
        for photo, context in zip(self.photos, sources, strict=True):
            photo[..., :3] = context.photo
            if context.alpha is not None:
                photo[..., 3] = context.alpha


def require_contexts(latent: FaceLatent, node: str) -> list[PhotoContext]:
    """The photo of every face.

    Raises:
        FaceLatentsError: a face belongs to none.
    """
    found = [context for context in latent.contexts if context is not None]
    if len(found) < len(latent):
        missing = latent.contexts.index(None) + 1
        raise FaceLatentsError(
            f"{node}: face {missing} of {len(latent)} belongs to no photo, so there is "
            "nowhere to put it. Only faces that began at Encode Face can be pasted; use Decode "
            "Face for the others (random faces, means of them, VAE latents)."
        )
    return found


def check_faces(pictures: Tensor, count: int) -> None:
    """Refuse the artist's own crops `(N, H, W, C)` that do not fit the faces."""
    if pictures.shape[1] != pictures.shape[2]:
        raise FaceLatentsError(
            f"Input 'face_image' is {pictures.shape[2]} x {pictures.shape[1]} pixels; the aligned "
            "faces are square. Use the output of Decode Face or Crop Face, or the 'aligned' "
            "output of Encode Face, and keep its shape."
        )
    if len(pictures) not in (1, count):
        raise FaceLatentsError(
            f"Input 'face_image' holds {len(pictures)} pictures for {count} faces. Connect one "
            "per face, in the same order."
        )


def as_faces(pictures: Tensor, numbers: Sequence[int]) -> Tensor:
    """The artist's own crops of these faces, `(n, 3, S, S)`."""
    chosen = pictures[numbers] if len(pictures) > 1 else pictures.expand(len(numbers), -1, -1, -1)
    if chosen.shape[-1] == 1:
        chosen = chosen.expand(-1, -1, -1, 3)
    return chosen[..., :3].permute(0, 3, 1, 2)

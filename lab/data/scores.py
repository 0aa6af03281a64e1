"""A teacher's scores of expressions (blendshapes) for the photos of a set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...models.errors import FaceLatentsError

LEAST_SPREAD = 0.005  # standard deviation below which a score is the same for all faces
_NONE = "_neutral"  # no expression, but how much there is none


def read_scores(folder: str | Path, photos: Sequence[str]) -> tuple[tuple[str, ...], Tensor]:
    """Names `(E,)` of scores that vary, and the scores `(N, E)` in [0, 1].

    Args:
        folder: of a set, with `landmarks*.npz`.
        photos: names of N photos of the set.

    Raises:
        FaceLatentsError: there are no scores, or none of a photo.
    """
    parts = [np.load(path) for path in sorted(Path(folder).glob("landmarks*.npz"))]
    if not parts:
        raise FaceLatentsError(
            f"{folder} holds no landmarks*.npz, where scores of expressions are."
        )
    rows = np.concatenate([part["blendshapes"] for part in parts])
    place = {str(n): i for i, n in enumerate(np.concatenate([part["names"] for part in parts]))}
    missing = [photo for photo in photos if photo not in place]
    if missing:
        raise FaceLatentsError(f"{folder} has no scores of {len(missing)} photos: {missing[0]} ...")
    names = [str(name) for name in parts[0]["blendshape_names"]]
    scores = torch.from_numpy(rows[[place[photo] for photo in photos]]).float() / 255
    varied = (scores.std(0) > LEAST_SPREAD).tolist()
    kept = [i for i, name in enumerate(names) if varied[i] and name != _NONE]
    return tuple(names[i] for i in kept), scores[:, kept]


def mirrored_names(names: Sequence[str]) -> list[int]:
    """Which score each is in a mirrored photo."""
    swap = {"Left": "Right", "Right": "Left"}

    def other(name: str) -> str:
        side = next((side for side in swap if name.endswith(side)), None)
        return name if side is None else name.removesuffix(side) + swap[side]

    return [list(names).index(other(name)) for name in names]

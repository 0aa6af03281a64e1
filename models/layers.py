"""Codes of several layers (w_plus): which layers an edit touches, and w directions in all of them.

Layer groups as Karras et al. 2019 ("A Style-Based Generator Architecture") mix styles: layers 0-3
draw pose and shape of the face, 4-7 features and hair style, 8 and up colours and texture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .errors import FaceLatentsError
from .space import LatentSpace
from .values import Direction

ALL = "all"
GROUPS = {"coarse": (0, 3), "middle": (4, 7), "fine": (8, None)}  # first and last layer
W, W_PLUS = "w", "w_plus"

_RANGE = re.compile(r"(\d{1,4})(?:(-)(\d{1,4})?)?")


def layer_count(space: LatentSpace) -> int | None:
    """How many layers a code of `space` has; None where its codes have no layers."""
    return space.shape[0] if space.name == W_PLUS and len(space.shape) == 2 else None


def parse_layers(text: str, count: int) -> tuple[int, ...]:
    """Layer numbers named by a text, ascending.

    Args:
        text: `all` (or nothing), `coarse` (0-3), `middle` (4-7), `fine` (8 and up), numbers and
            ranges, or several of these: `"0-3"`, `"8-"` (8 and up), `"coarse, 10"`.
        count: layers of a code; they are numbered from 0.

    Raises:
        FaceLatentsError: a word that is none of these, a layer the code does not have, a range
            that runs backwards.
    """
    words = text.lower().replace(",", " ").replace(";", " ").split()
    found: set[int] = set()
    for word in words or [ALL]:
        found.update(range(*_bounds(word, text, count)))
    return tuple(sorted(found))


def _bounds(word: str, text: str, count: int) -> tuple[int, int]:
    """First layer, and the one after the last, of one word."""
    own = f"this model has layers 0 to {count - 1}"
    if word == ALL:
        return 0, count
    if word in GROUPS:
        first, end = GROUPS[word]
        last = count - 1 if end is None else end
        if first >= count:
            raise FaceLatentsError(f"layers '{text}': {own}, of which none is '{word}'.")
        return first, min(last, count - 1) + 1
    match = _RANGE.fullmatch(word)
    if match is None:
        raise FaceLatentsError(
            f"layers '{text}': '{word}' is no layer. Write all, coarse (0-3), middle (4-7), fine "
            "(8 and up), or numbers and ranges such as '0-3' or '4-7, 10'."
        )
    first = int(match[1])
    last = first if match[2] is None else count - 1 if match[3] is None else int(match[3])
    if max(first, last) >= count:
        raise FaceLatentsError(f"layers '{text}': {own}, so there is no layer {max(first, last)}.")
    if last < first:
        raise FaceLatentsError(
            f"layers '{text}': '{word}' runs backwards. Write the lower number first."
        )
    return first, last + 1


def choose_layers(text: str, space: LatentSpace) -> tuple[int, ...] | None:
    """Layers of a code of `space` that a text names; None for all of them.

    Raises:
        FaceLatentsError: see `parse_layers`; or the codes have no layers and the text names
            some.
    """
    count = layer_count(space)
    if count is None:
        if text.strip().lower() in ("", ALL):
            return None
        raise FaceLatentsError(
            f"layers '{text}': codes of space {space.describe()} have no layers; only models of "
            "the StyleGAN2 kind do. Write all."
        )
    layers = parse_layers(text, count)
    return None if len(layers) == count else layers


def keep_layers(vector: Tensor, layers: Sequence[int] | None) -> Tensor:
    """Copy `vector` `(*, L, d)` with 0 outside `layers`; `vector` itself for None."""
    if layers is None:
        return vector
    kept = torch.zeros_like(vector)
    index = torch.tensor(list(layers), device=vector.device, dtype=torch.long)
    return kept.index_copy(-2, index, vector.index_select(-2, index))


def mix_layers(a: Tensor, b: Tensor, layers: Sequence[int] | None) -> Tensor:
    """Mix codes `(*, L, d)`: `layers` of `b`, the other layers of `a`; batches broadcast."""
    a, b = torch.broadcast_tensors(a, b)
    if layers is None:
        return b.clone()
    index = torch.tensor(list(layers), device=a.device, dtype=torch.long)
    return a.clone().index_copy(-2, index, b.index_select(-2, index))


def lift_direction(direction: Direction, space: LatentSpace) -> Direction:
    """Lift a direction of w to `space`, if that is the same model's w_plus.

    The same step in each layer. Any other direction is returned as it is.
    """
    w = direction.space
    same_model = w.model_id == space.model_id and w.shape == space.shape[1:]
    if w.name != W or layer_count(space) is None or not same_model:
        return direction
    vector = direction.vector.unsqueeze(-2)
    vector = vector.expand(*vector.shape[:-2], *space.shape).contiguous()
    return replace(direction, vector=vector, space=space, reading=None)

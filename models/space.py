"""The latent space a code lives in: what keeps codes of different models apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .errors import FaceLatentsError, SpaceMismatchError

SHOWN_DIGITS = 16  # of the model identity, in messages
_MOST_DIMS = 8
_MOST_NUMBERS = 2**31  # along one dimension


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """Name, shape and model identity of a latent space, with the code statistics where known.

    Two spaces are the same when name, shape and model identity agree (`same_as`);
    the statistics do not take part.

    Attributes:
        name: `"z"`, `"w"`, `"w_plus"` or `"vae"`.
        shape: shape of one code, without the batch dimension.
        model_id: hash of the checkpoint's tensors; `"vae:<channels>"` for a host VAE latent.
        mean: mean of the training codes, `(*shape)` float32 on the CPU, or None.
        std: standard deviation of the training codes, same shape, or None.
    """

    name: str
    shape: tuple[int, ...]
    model_id: str
    mean: Tensor | None = None
    std: Tensor | None = None

    def __post_init__(self) -> None:
        sizes = [n for n in self.shape if isinstance(n, int) and 0 < n < _MOST_NUMBERS]
        if not sizes or len(sizes) != len(self.shape) or len(sizes) > _MOST_DIMS:
            raise FaceLatentsError(
                f"The shape of latent space '{self.name}' is {list(self.shape)[:_MOST_DIMS]}; "
                f"expected 1 to {_MOST_DIMS} whole numbers from 1 up."
            )
        for label, statistic in (("mean", self.mean), ("std", self.std)):
            if statistic is not None and tuple(statistic.shape) != self.shape:
                raise FaceLatentsError(
                    f"The {label} of latent space '{self.name}' has shape "
                    f"{tuple(statistic.shape)}, but one code has shape {self.shape}."
                )

    @property
    def latent_dims(self) -> int:
        """Number of trailing dimensions that make one code."""
        return len(self.shape)

    def same_as(self, other: LatentSpace) -> bool:
        """True when codes of both spaces may be combined."""
        return (self.name, self.shape, self.model_id) == (other.name, other.shape, other.model_id)

    def describe(self) -> str:
        """One phrase for messages, e.g. `'z' (512) of model 0123456789abcdef`."""
        shape = " x ".join(str(n) for n in self.shape)
        return f"'{self.name}' ({shape}) of model {self.model_id[:SHOWN_DIGITS]}"


def layered_spaces(w_plus: LatentSpace, z_dim: int) -> dict[str, LatentSpace]:
    """The spaces of a network that maps z to w and takes w_plus, one w per layer.

    Args:
        w_plus: `(num_ws, w_dim)`; mean and std of w are its means over the layers.
        z_dim: numbers of a z, which is standard normal.

    Returns:
        "z" `(z_dim,)`, "w" `(w_dim,)` and "w_plus", by name.
    """
    model_id = w_plus.model_id
    mean, std = (None if s is None else s.mean(0) for s in (w_plus.mean, w_plus.std))
    return {
        "z": LatentSpace("z", (z_dim,), model_id, torch.zeros(z_dim), torch.ones(z_dim)),
        "w": LatentSpace("w", w_plus.shape[1:], model_id, mean, std),
        w_plus.name: w_plus,
    }


def require_same_space(a: LatentSpace, b: LatentSpace, what: str) -> None:
    """Refuse to combine codes of two spaces.

    Args:
        a, b: the two spaces.
        what: names both sides, e.g. `"Add Direction: the face latent and the direction"`.

    Raises:
        SpaceMismatchError: when `LatentSpace.same_as` is false; names both spaces.
    """
    if a.same_as(b):
        return
    if a.model_id != b.model_id:
        hint = "Encode, load or fit both with the same model."
    else:
        hint = "Both come from the same model, but one has to be converted to the other's space."
    raise SpaceMismatchError(
        f"{what} are in different latent spaces: {a.describe()} and {b.describe()}. {hint}"
    )

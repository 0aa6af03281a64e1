"""Where networks are trained."""

from __future__ import annotations

import torch

from ...models.errors import FaceLatentsError


def training_device(name: str | None) -> torch.device:
    """The device of that name; without one CUDA, if there is any.

    Raises:
        FaceLatentsError: there is no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (AssertionError, RuntimeError) as error:
        raise FaceLatentsError(
            f"Nothing can be trained on '{name}' here: {error}. Use device=cpu, or none at all."
        ) from error

"""Face models: networks, checkpoints, alignment, and the values that nodes exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import FaceLatentsError, NoFaceError, SpaceMismatchError, UnsupportedModelError
    from .face_model import (
        FaceModel,
        bundled_direction_names,
        bundled_face_model_path,
        load_face_model,
    )
    from .files.values import load_direction, load_latent, save_direction, save_latent
    from .space import LatentSpace, require_same_space
    from .values import Direction, FaceLatent, PhotoContext, join_latents

__all__ = [
    "Direction",
    "FaceLatent",
    "FaceLatentsError",
    "FaceModel",
    "LatentSpace",
    "NoFaceError",
    "PhotoContext",
    "SpaceMismatchError",
    "UnsupportedModelError",
    "bundled_direction_names",
    "bundled_face_model_path",
    "join_latents",
    "load_direction",
    "load_face_model",
    "load_latent",
    "require_same_space",
    "save_direction",
    "save_latent",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, so that the errors come without PyTorch."""
    if name in __all__:
        from . import errors, face_model, space, values
        from .files import values as io

        for module in (errors, space, values, io, face_model):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

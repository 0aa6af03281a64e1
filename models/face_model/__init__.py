"""Face models: what they offer, and their files."""

from ..files.model_directions import direction_names
from .expressions import Expressions
from .file import (
    bundled_digits_model_path,
    bundled_direction_names,
    bundled_face_model_path,
    load_face_model,
    save_face_model,
)
from .model import FaceModel

__all__ = [
    "Expressions",
    "FaceModel",
    "bundled_digits_model_path",
    "bundled_direction_names",
    "bundled_face_model_path",
    "direction_names",
    "load_face_model",
    "save_face_model",
]

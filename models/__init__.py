"""Face models: networks, checkpoints, alignment, and the values that nodes exchange."""

from .errors import FaceLatentsError, NoFaceError, SpaceMismatchError, UnsupportedModelError
from .face_model import FaceModel, bundled_direction_names, bundled_face_model_path, load_face_model
from .io import load_direction, load_latent, save_direction, save_latent
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

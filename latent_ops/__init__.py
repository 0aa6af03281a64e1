"""Latent vector arithmetic: pure functions on codes ``(*, *latent_shape)``, on torch alone.

Conventions throughout:

- ``latent_dims`` (keyword only, default 1) is the number of trailing dimensions that make one
  code: 1 for ``z`` and ``w``, 2 for ``w_plus``, 3 for VAE latents. Norms and angles are those of
  the flattened code. Batch dimensions in front broadcast, the latent shape never does. Functions
  that take a stack ``(N, *latent_shape)`` read ``latent_dims`` off its shape.
- Inputs are never changed, and results never share memory with them.
- Half precision is computed in float32 and float64 stays float64. Codes come back in the dtype of
  the input; measurements (distances, angles, coefficients) stay in float32 or float64.
- A number per code (strength, t, amount ...) is a float, or a tensor that broadcasts over the
  batch.
"""

from __future__ import annotations

from .arithmetic import MEAN_MODES, add, scale, subtract, weighted_mean
from .directions import condition, normalise
from .distances import METRICS, angle, cosine_distance, distance, euclidean, rms, whitened
from .interpolation import lerp, slerp
from .neighbours import duplicates, nearest, pairwise
from .paths import PATH_MODES, keyframe_frames, keyframe_positions, path, path_at
from .projection import coefficient, project, project_out, remove, set_to_value
from .truncation import truncate

__all__ = [
    "MEAN_MODES",
    "METRICS",
    "PATH_MODES",
    "add",
    "angle",
    "coefficient",
    "condition",
    "cosine_distance",
    "distance",
    "duplicates",
    "euclidean",
    "keyframe_frames",
    "keyframe_positions",
    "lerp",
    "nearest",
    "normalise",
    "pairwise",
    "path",
    "path_at",
    "project",
    "project_out",
    "remove",
    "rms",
    "scale",
    "set_to_value",
    "slerp",
    "subtract",
    "truncate",
    "weighted_mean",
    "whitened",
]

"""Latent vector arithmetic: pure functions on codes `(*, *latent_shape)`, on torch alone.

Conventions throughout:

- `latent_dims` (keyword only, default 1) is the number of trailing dimensions that make one
  code: 1 for `z` and `w`, 2 for `w_plus`, 3 for VAE latents. Norms and angles are those of
  the flattened code. Batch dimensions in front broadcast, the latent shape never does. Functions
  that take a stack `(N, *latent_shape)` read `latent_dims` off its shape.
- Inputs are never changed, and results never share memory with them.
- Half precision is computed in float32 and float64 stays float64. Codes come back in the dtype of
  the input; measurements (distances, angles, coefficients) stay in float32 or float64.
- A number per code (strength, t, amount ...) is a float, or a tensor that broadcasts over the
  batch.
- A basis is a stack `(k, *latent_shape)` of orthonormal vectors, k at most the number of
  components of a code; `mean` is the point about which codes are measured and turned.
"""

from __future__ import annotations

from .arithmetic import MEAN_MODES, add, scale, subtract, weighted_mean
from .completion import COMPLETIONS, Conditioning, complete_basis, conditioning
from .directions import condition, normalise
from .distances import METRICS, angle, cosine_distance, distance, euclidean, rms, whitened
from .easing import EASINGS, ease
from .fit import lda_direction, ledoit_wolf, mean_difference, ridge_direction
from .held_out import held_out_predictions, held_out_scores, learning_curve, stratified_folds
from .interpolation import lerp, slerp
from .logistic import logistic_direction
from .neighbours import duplicates, nearest, pairwise
from .over_time import fill_gaps, smooth
from .paths import PATH_MODES, keyframe_frames, keyframe_positions, path, path_at
from .principal import principal_directions, sefa_directions
from .projection import coefficient, project, project_out, remove, set_to_value
from .quasi_eigen import BASIS_METHODS, class_means, quasi_eigenvectors
from .rotation import rotate, rotate_chain
from .spectrum import decompose, reconstruct, spectral_denoise
from .spectrum_modes import SPECTRUM_MODES, truncate_spectrum
from .spectrum_readings import READINGS, classify, label_rank, strongest_vector
from .truncation import truncate

__all__ = [
    "BASIS_METHODS",
    "COMPLETIONS",
    "EASINGS",
    "MEAN_MODES",
    "METRICS",
    "PATH_MODES",
    "READINGS",
    "SPECTRUM_MODES",
    "Conditioning",
    "add",
    "angle",
    "class_means",
    "classify",
    "coefficient",
    "complete_basis",
    "condition",
    "conditioning",
    "cosine_distance",
    "decompose",
    "distance",
    "duplicates",
    "ease",
    "euclidean",
    "fill_gaps",
    "held_out_predictions",
    "held_out_scores",
    "keyframe_frames",
    "keyframe_positions",
    "label_rank",
    "lda_direction",
    "learning_curve",
    "ledoit_wolf",
    "lerp",
    "logistic_direction",
    "mean_difference",
    "nearest",
    "normalise",
    "pairwise",
    "path",
    "path_at",
    "principal_directions",
    "project",
    "project_out",
    "quasi_eigenvectors",
    "reconstruct",
    "remove",
    "ridge_direction",
    "rms",
    "rotate",
    "rotate_chain",
    "scale",
    "sefa_directions",
    "set_to_value",
    "slerp",
    "smooth",
    "spectral_denoise",
    "stratified_folds",
    "strongest_vector",
    "subtract",
    "truncate",
    "truncate_spectrum",
    "weighted_mean",
    "whitened",
]

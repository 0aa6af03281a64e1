"""How far apart two codes are, by five metrics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import angle_between_units, dot, flatten_codes, length, put_rows, unit_and_length
from ._validation import compute_dtype, require_choice, require_codes, require_match

METRICS = ("euclidean", "rms", "cosine", "angle", "whitened")


def euclidean(a: Tensor, b: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return the Euclidean distance `sqrt(sum_i (a_i - b_i)^2)`.

    Args:
        a: `(*, *latent_shape)`.
        b: `(*, *latent_shape)`; batches broadcast.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        `(*)`, one number per pair. Distances of half precision codes are float32, because float16
        ends at 65504 and has three digits.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree.

    Example:
        >>> euclidean(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    return distance(a, b, "euclidean", latent_dims=latent_dims)


def rms(a: Tensor, b: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return the root mean square difference per component, `euclidean / sqrt(D)`.

    Comparable between spaces of different size. Args, Returns, Raises: as `euclidean`.

    Example:
        >>> rms(torch.zeros(4), torch.full((4,), 3.0))
        tensor(3.)
    """
    return distance(a, b, "rms", latent_dims=latent_dims)


def cosine_distance(a: Tensor, b: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return `1 - cos(angle)`, 0 for parallel, 1 for perpendicular, 2 for opposite codes.

    Computed as `2 d^2 / (d^2 + s^2)` with d and s the lengths of the difference and the sum of
    the unit vectors, so that small distances keep their digits. A zero code is at 1 from every
    other code and at 0 from a zero code. Args, Returns, Raises: as `euclidean`.

    Example:
        >>> cosine_distance(torch.tensor([1.0, 0.0]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
        tensor([0., 1.])
    """
    return distance(a, b, "cosine", latent_dims=latent_dims)


def angle(a: Tensor, b: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return the angle between codes in radians, 0 to pi, as `2 atan2(|u - v|, |u + v|)`.

    A zero code is at pi/2 from every other code and at 0 from a zero code. Args, Returns, Raises:
    as `euclidean`.

    Example:
        >>> angle(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
        tensor(1.5708)
    """
    return distance(a, b, "angle", latent_dims=latent_dims)


def whitened(a: Tensor, b: Tensor, std: Tensor, *, latent_dims: int = 1) -> Tensor:
    """Return the Mahalanobis distance for a diagonal covariance, `|(a - b) / std|`.

    Args:
        a: `(*, *latent_shape)`.
        b: `(*, *latent_shape)`; batches broadcast.
        std: standard deviation of each component over the codes of the model, `latent_shape`,
            all positive.
        latent_dims: number of trailing dimensions that make one code.

    Returns, Raises: as `euclidean`; also ValueError if `std` is not positive throughout.

    Example:
        >>> whitened(torch.tensor([1.0, 0.0]), torch.tensor([7.0, 8.0]), torch.tensor([2.0, 2.0]))
        tensor(5.)
    """
    return distance(a, b, "whitened", std=std, latent_dims=latent_dims)


def distance(
    a: Tensor,
    b: Tensor,
    metric: str = "euclidean",
    std: Tensor | None = None,
    *,
    latent_dims: int = 1,
) -> Tensor:
    """Return the distance by a metric of `METRICS`.

    Args:
        a: `(*, *latent_shape)`.
        b: `(*, *latent_shape)`; batches broadcast.
        metric: `euclidean`, `rms`, `cosine`, `angle` or `whitened`.
        std: as in `whitened`; only that metric uses it.
        latent_dims: number of trailing dimensions that make one code.

    Returns, Raises: as `euclidean`; also ValueError if the metric is unknown, or `whitened`
        lacks a usable `std`.

    Example:
        >>> distance(torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0]), "rms")
        tensor(3.5355)
    """
    require_codes("a", a, latent_dims)
    require_match("a", a, "b", b, latent_dims)
    if metric == "cosine":
        return _cosine(a, b, latent_dims)
    x, y, spread = prepare(a, b, metric, std, latent_dims)
    return compare(x, y, metric, spread)


def _cosine(a: Tensor, b: Tensor, latent_dims: int) -> Tensor:
    """The cosine distance `(*)`: by the plain formula where that is exact, else by `compare`."""
    dtype = compute_dtype(a, b)
    x, y = torch.broadcast_tensors(*(flatten_codes(c, latent_dims, dtype) for c in (a, b)))
    norms = length(x) * length(y)
    known = norms > 0
    cosine = (dot(x, y) / torch.where(known, norms, torch.ones_like(norms))).squeeze(-1)
    # 1 - c has the digits of c only where c is small
    close = ~(known.squeeze(-1) & (cosine.abs() < 0.5))
    result = 1 - cosine
    if bool(close.any()):
        u, v = (unit_and_length(c[close])[0] for c in (x, y))
        result = torch.where(close, torch.ones_like(result), result)
        exact = compare(u, v, "cosine", None)
        result = put_rows(result[..., None], close, exact[..., None]).squeeze(-1)
    return result


def prepare(
    a: Tensor, b: Tensor, metric: str, std: Tensor | None, latent_dims: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return flat codes `(*, D)`, as unit vectors for the angular metrics, and the spread."""
    require_choice("metric", metric, METRICS)
    dtype = compute_dtype(a, b)
    spread = None
    if metric == "whitened":
        std = _require_std(a, std, latent_dims)
        dtype = compute_dtype(a, b, std)
        spread = flatten_codes(std, latent_dims, dtype)
    x, y = flatten_codes(a, latent_dims, dtype), flatten_codes(b, latent_dims, dtype)
    if metric in ("cosine", "angle"):
        return unit_and_length(x)[0], unit_and_length(y)[0], None
    return x, y, spread


def compare(x: Tensor, y: Tensor, metric: str, spread: Tensor | None) -> Tensor:
    """Return distances `(*)` between prepared codes `(*, D)`."""
    if metric == "angle":
        return angle_between_units(x, y).squeeze(-1)
    if metric == "cosine":
        d, s = length(x - y).square(), length(x + y).square()
        total = d + s
        return (2 * d / torch.where(total == 0, torch.ones_like(total), total)).squeeze(-1)
    # Subtract before dividing: the other way round loses digits where the mean is far from zero.
    difference = x - y if spread is None else (x - y) / spread
    result = length(difference).squeeze(-1)
    return result / math.sqrt(x.shape[-1]) if metric == "rms" else result


def _require_std(codes: Tensor, std: Tensor | None, latent_dims: int) -> Tensor:
    """Return `std` when it is a positive tensor of the shape of one code."""
    if std is None:
        raise ValueError(
            "The whitened distance needs std, the standard deviation of each component over the "
            "model's codes. This model may not state it: use euclidean or rms there."
        )
    require_codes("std", std, latent_dims)
    if std.ndim != latent_dims:
        raise ValueError(f"std must have the shape of one code, got {tuple(std.shape)}.")
    require_match("codes", codes, "std", std, latent_dims)
    bad = int((~(torch.isfinite(std) & (std > 0))).sum())
    if bad:
        raise ValueError(f"std must be positive and finite; {bad} of {std.numel()} values are not.")
    return std

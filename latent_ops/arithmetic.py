"""Vector arithmetic on codes: add, subtract, scale, and weighted means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ._validation import (
    batch_scalar,
    compute_dtype,
    require_choice,
    require_codes,
    require_match,
    require_stack,
)

MEAN_MODES = ("arithmetic", "lol")

# Weights whose sum is this small against their sizes cancel: dividing by it would only scale noise.
_CANCELLED = 1e-6


def add(
    codes: Tensor, direction: Tensor, strength: float | Tensor = 1.0, *, latent_dims: int = 1
) -> Tensor:
    """Move codes along a direction: `v + k n`.

    Args:
        codes: `(*, *latent_shape)`.
        direction: `(*, *latent_shape)`; batches broadcast.
        strength: k, a number or one per code (a tensor that broadcasts over the batch). Any finite
            value; negative moves the other way.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`.

    Raises:
        TypeError: if an argument is not a floating-point tensor (`strength`: nor a number).
        ValueError: if shapes or devices disagree, or `strength` is not finite.

    Notes:
        Where the strength is 0 the code comes back bit for bit, signed zeros included, and whatever
        the direction holds: 0 times infinity does not poison it. `+k` then `-k` gives back the
        code to the rounding of the larger of the two positions.

    Example:
        >>> add(torch.tensor([2.5, -1.3, 0.8, 4.1]), torch.tensor([0.0, 0.0, 0.5, 0.2]))
        tensor([ 2.5000, -1.3000,  1.3000,  4.3000])
    """
    require_codes("codes", codes, latent_dims)
    require_match("codes", codes, "direction", direction, latent_dims)
    dtype = compute_dtype(codes, direction)
    k = batch_scalar("strength", strength, codes, latent_dims).to(dtype)
    start, step = codes.to(dtype), direction.to(dtype)
    if not isinstance(strength, Tensor):
        if strength == 0:
            same: Tensor = torch.broadcast_tensors(start, step)[0]
            return same.to(codes.dtype, copy=True)
        return torch.add(start, step, alpha=float(strength)).to(codes.dtype)
    moved, still = torch.addcmul(start, k, step), k == 0
    if bool(still.any()):
        moved = torch.where(still, start, moved)
    return moved.to(codes.dtype)


def subtract(
    codes: Tensor, direction: Tensor, strength: float | Tensor = 1.0, *, latent_dims: int = 1
) -> Tensor:
    """Move codes against a direction: `v - k n`. The exact mirror of `add`.

    Args, Returns, Raises: as `add`.

    Example:
        >>> subtract(torch.tensor([2.0, 1.0]), torch.tensor([0.5, 0.0]), 2.0)
        tensor([1., 1.])
    """
    return add(codes, direction, -strength, latent_dims=latent_dims)


def scale(codes: Tensor, factor: float | Tensor, *, latent_dims: int = 1) -> Tensor:
    """Multiply codes (or directions) by a factor.

    Args:
        codes: `(*, *latent_shape)`.
        factor: a finite number, or one per code (a tensor that broadcasts over the batch).
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`; a factor of 1 gives them back bit for bit.

    Raises:
        TypeError: if `codes` is not a floating-point tensor.
        ValueError: if `factor` is not finite or does not broadcast over the batch.

    Example:
        >>> scale(torch.tensor([2.0, -1.0]), 0.5)
        tensor([ 1.0000, -0.5000])
    """
    require_codes("codes", codes, latent_dims)
    k = batch_scalar("factor", factor, codes, latent_dims)
    return (codes.to(compute_dtype(codes)) * k).to(codes.dtype)


def weighted_mean(
    codes: Tensor,
    weights: Tensor | Sequence[float] | None = None,
    *,
    mode: str = "arithmetic",
    mean: Tensor | None = None,
    latent_dims: int | None = None,
) -> Tensor:
    """Combine N codes into one.

    `arithmetic` is `sum_i w_i x_i / sum_i w_i`, the point in the middle. Of independent
    Gaussian codes it is shorter than any of them, by `1 / sqrt(N)` for equal weights.

    `lol` keeps the distribution: for independent `x_i ~ N(mu, S)` the result follows `N(mu, S)`
    again, `(1 - sum_i w_i / n) mu + sum_i w_i x_i / n` with `n = sqrt(sum_i w_i^2)`
    (Bodin et al. 2024, "Linear combinations of latents in generative models", arXiv 2408.08558).

    Args:
        codes: `(N, *latent_shape)`, everything after the first dimension is the code.
        weights: N finite numbers, negative ones allowed; equal weights when None.
        mode: `arithmetic` or `lol`.
        mean: `mu` of shape `latent_shape` for `lol`, zero when None. The arithmetic mean does
            not depend on it.
        latent_dims: optional, checked against the shape of `codes`.

    Returns:
        One code `latent_shape` in the dtype of `codes`.

    Raises:
        TypeError: if `codes` or `mean` is not a floating-point tensor.
        ValueError: if there are no codes, the number of weights is wrong, a weight is not finite,
            all are 0, or (arithmetic only) they add up to 0.

    Notes:
        `lol` assumes independent inputs: two copies of x at 0.5 and 0.5 give `sqrt(2) x`.

    Example:
        >>> weighted_mean(torch.tensor([[0.0, 2.0], [4.0, 2.0]]), [3, 1])
        tensor([1., 2.])
    """
    require_choice("mode", mode, MEAN_MODES)
    dims = require_stack("codes", codes, latent_dims)
    count = codes.shape[0]
    if count == 0:
        raise ValueError("codes must hold at least one code to average, got an empty stack.")
    w = _weights(weights, count)
    size = sum(abs(x) for x in w)
    if size == 0:
        raise ValueError("All weights are 0; at least one code must have a weight.")
    if mode == "arithmetic":
        total = math.fsum(w)
        if abs(total) <= _CANCELLED * size:
            raise ValueError(
                f"The weights add up to 0 ({w}), so they have no mean. Change one of them, or use "
                "mode='lol', which allows it."
            )
        divisor = total
    else:
        divisor = math.sqrt(math.fsum(x * x for x in w))

    dtype = compute_dtype(codes, *(() if mean is None else (mean,)))
    factors = torch.tensor([x / divisor for x in w], dtype=dtype, device=codes.device)
    result: Tensor = torch.tensordot(factors, codes.to(dtype), dims=1)
    if mode == "lol" and mean is not None:
        require_match("codes", codes, "mean", mean, dims)
        if mean.ndim != dims:
            raise ValueError(f"mean must be one code, got shape {tuple(mean.shape)}.")
        result = result + (1 - math.fsum(w) / divisor) * mean.to(dtype)
    return result.to(codes.dtype)


def _weights(weights: Tensor | Sequence[float] | None, count: int) -> list[float]:
    """Return the weights as N finite Python floats."""
    if weights is None:
        return [1.0] * count
    values = weights.tolist() if isinstance(weights, Tensor) else list(weights)
    if isinstance(weights, Tensor) and weights.ndim != 1:
        raise ValueError(
            f"weights must have shape ({count},), one per code; got {tuple(weights.shape)}."
        )
    if len(values) != count:
        raise ValueError(f"Expected {count} weights, one per code, got {len(values)}.")
    result = [float(x) for x in values]
    if not all(math.isfinite(x) for x in result):
        raise ValueError(f"weights must be finite numbers, got {result}.")
    return result

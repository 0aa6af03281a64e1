"""Argument checks shared by the latent operations. Messages show what was expected and got."""

from __future__ import annotations

import math
from itertools import zip_longest

import torch
from torch import Tensor


def require_codes(name: str, value: Tensor, latent_dims: int) -> Tensor:
    """Return `value` when it is a floating-point tensor of shape `(*, *latent_shape)`.

    Raises:
        TypeError: if `value` is no tensor, or holds integers, booleans or complex numbers.
        ValueError: if it has fewer than `latent_dims` dimensions or one code has no elements.
    """
    if isinstance(latent_dims, bool) or not isinstance(latent_dims, int) or latent_dims < 1:
        raise ValueError(f"latent_dims must be a whole number of at least 1, got {latent_dims!r}.")
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}.")
    if not value.is_floating_point():
        raise TypeError(
            f"{name} must hold floating-point numbers, got {value.dtype}. Convert it with .float()."
        )
    if value.ndim < latent_dims:
        raise ValueError(
            f"{name} must have at least {latent_dims} dimension(s), the last {latent_dims} making "
            f"up one code; got shape {tuple(value.shape)}."
        )
    if 0 in value.shape[value.ndim - latent_dims :]:
        raise ValueError(f"One code of {name} has no elements: shape {tuple(value.shape)}.")
    return value


def require_stack(name: str, value: Tensor, latent_dims: int | None = None) -> int:
    """Check that `value` is a stack of codes `(N, *latent_shape)`; return its latent dims.

    Everything after the first dimension is the code. `latent_dims` is optional here and, when
    given, has to agree.

    Raises:
        TypeError, ValueError: as `require_codes`, and when `latent_dims` disagrees.
    """
    if isinstance(value, Tensor) and value.ndim < 2:
        raise ValueError(
            f"{name} must be a stack of codes of shape (N, *latent_shape), got shape "
            f"{tuple(value.shape)}. Add a first dimension with .unsqueeze(0) for a single code."
        )
    found = value.ndim - 1 if isinstance(value, Tensor) else 1
    require_codes(name, value, found)
    if latent_dims is not None and latent_dims != found:
        raise ValueError(
            f"{name} must have shape (N, *latent_shape) with latent_dims={latent_dims}, that is "
            f"{latent_dims + 1} dimensions; got shape {tuple(value.shape)}."
        )
    return found


def require_match(name_a: str, a: Tensor, name_b: str, b: Tensor, latent_dims: int) -> None:
    """Check that two code tensors share latent shape and device, and that their batches broadcast.

    The latent shape itself is never broadcast: that would mix components silently.

    Raises:
        TypeError: if `b` is not a floating-point tensor.
        ValueError: if shapes or devices disagree.
    """
    require_codes(name_b, b, latent_dims)
    shape_a, shape_b = latent_shape(a, latent_dims), latent_shape(b, latent_dims)
    if shape_a != shape_b:
        raise ValueError(
            f"{name_a} and {name_b} must hold codes of one shape; one code of {name_a} has shape "
            f"{shape_a}, one of {name_b} has shape {shape_b} (latent_dims={latent_dims}, full "
            f"shapes {tuple(a.shape)} and {tuple(b.shape)})."
        )
    if a.device != b.device:
        raise ValueError(
            f"{name_a} is on {a.device} and {name_b} on {b.device}; move both to one device."
        )
    broadcast_batch((name_a, batch_shape(a, latent_dims)), (name_b, batch_shape(b, latent_dims)))


def broadcast_batch(*named_shapes: tuple[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Broadcast batch shapes, naming the ones that do not fit.

    Raises:
        ValueError: if they cannot be broadcast together.
    """
    # torch.broadcast_shapes imports a computer algebra system, half a second of the first edit
    result = []
    shapes = (reversed(shape) for _, shape in named_shapes)
    for sizes in zip_longest(*shapes, fillvalue=1):
        others = set(sizes) - {1}
        if len(others) > 1:
            listing = ", ".join(f"{name} has {shape}" for name, shape in named_shapes)
            raise ValueError(
                f"The batch shapes do not fit together: {listing}. Each pair of sizes must be "
                "equal, or one of them 1."
            )
        result.append(others.pop() if others else 1)
    return tuple(reversed(result))


def latent_shape(codes: Tensor, latent_dims: int) -> tuple[int, ...]:
    """Return the shape of one code."""
    return tuple(codes.shape[codes.ndim - latent_dims :])


def batch_shape(codes: Tensor, latent_dims: int) -> tuple[int, ...]:
    """Return the shape in front of the code."""
    return tuple(codes.shape[: codes.ndim - latent_dims])


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """Return the dtype to compute in: float32, or float64 when any argument is float64."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


def batch_scalar(name: str, value: float | Tensor, like: Tensor, latent_dims: int) -> Tensor:
    """Return `value` as `(*batch, 1, ..., 1)` with `like`'s device, in its compute dtype.

    Raises:
        TypeError: if `value` is neither a number nor a tensor of real numbers.
        ValueError: if a value is not finite, or its shape does not broadcast over the batch.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must hold real numbers, got {value.dtype}.")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name} must be finite, but the tensor holds NaN or infinity.")
        broadcast_batch(
            ("the codes' batch", batch_shape(like, latent_dims)), (name, tuple(value.shape))
        )
        scalar = value.to(device=like.device, dtype=compute_dtype(like))
        return scalar.reshape(*scalar.shape, *([1] * latent_dims))
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number or a tensor, got {type(value).__name__}.")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value}.")
    return torch.as_tensor(float(value), device=like.device, dtype=compute_dtype(like))


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Check that an option is one of `choices`.

    Raises:
        ValueError: naming the choices.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.")


def require_count(name: str, value: int, minimum: int) -> None:
    """Check that `value` is a whole number of at least `minimum`.

    Raises:
        ValueError: otherwise.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}.")

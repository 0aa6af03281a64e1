"""Codes of frames that follow each other: gaps filled, trembling taken out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._validation import compute_dtype, require_stack

_REACH = 3.0  # widths: farther frames would weigh less than 1.2% of the frame itself


def smooth(codes: Tensor, width: float) -> Tensor:
    """Take what trembles out of codes over time, without lag.

    Each code becomes what the parabola through time says that fits it and its neighbours best,
    those weighted by a Gaussian (local regression, Cleveland 1979; with equal weights it is the
    filter of Savitzky & Golay 1964). What moves evenly, or speeds up evenly, stays as it is, at
    the ends too.

    Args:
        codes: `(N, *latent_shape)`, one for each frame.
        width: standard deviation of the Gaussian in frames; 0 leaves the codes as they are.

    Returns:
        A new tensor of the shape and dtype of `codes`.

    Raises:
        TypeError: if `codes` is not a floating-point tensor.
        ValueError: if it is not a stack of codes, or `width` is below 0 or not finite.

    Example:
        >>> smooth(torch.tensor([[0.0], [1.0], [4.0], [9.0]]), 1.5).round().flatten()
        tensor([0., 1., 4., 9.])
        >>> smooth(torch.tensor([[0.0], [0.0], [1.0], [0.0], [0.0]]), 1.5).max() < 0.6
        tensor(True)
    """
    require_stack("codes", codes)
    if not math.isfinite(width) or width < 0:
        raise ValueError(f"width must be a finite number of at least 0, got {width}.")
    count = len(codes)
    reach = max(2, math.ceil(_REACH * width))
    if width == 0 or count < 3:  # a parabola goes through two
        return codes.clone()
    steps = torch.arange(-reach, reach + 1, dtype=torch.float64, device=codes.device)
    frames = torch.arange(count, device=codes.device)[:, None] + steps.long()
    near = (-0.5 * (steps / width).square()).exp()
    weights = near * ((frames >= 0) & (frames < count))  # (N, 2 reach + 1)
    powers = (steps / reach)[:, None] ** torch.arange(3, device=codes.device)
    normal = torch.einsum("nk,ki,kj->nij", weights, powers, powers)
    first = torch.zeros(count, 3, dtype=torch.float64, device=codes.device)
    first[:, 0] = 1  # the parabola's value at the frame itself
    kernel = weights * (torch.linalg.solve(normal, first) @ powers.T)
    flat = codes.flatten(1).to(compute_dtype(codes))
    frames = frames.clamp(0, count - 1)
    # frame by frame of the window: all at once would hold the codes so many times over
    result = sum(kernel[:, k, None].to(flat) * flat[frames[:, k]] for k in range(len(steps)))
    assert isinstance(result, Tensor)
    return result.reshape(codes.shape).to(codes.dtype)


def fill_gaps(codes: Tensor, known: Tensor) -> Tensor:
    """Interpolate the codes of frames where none is known, in a straight line through time.

    Args:
        codes: `(N, *latent_shape)`, one for each frame.
        known: `(N,)` bool, at least one True. Codes where it is False are not read.

    Returns:
        A new tensor of the shape and dtype of `codes`, equal to it where it is known. Before the
        first known code and after the last one, that code.

    Raises:
        TypeError: if `codes` is not a floating-point tensor, or `known` not a boolean one.
        ValueError: if the shapes do not fit, or no code is known.

    Example:
        >>> codes = torch.tensor([[0.0], [9.0], [4.0], [9.0]])
        >>> fill_gaps(codes, torch.tensor([True, False, True, False])).flatten()
        tensor([0., 2., 4., 4.])
    """
    require_stack("codes", codes)
    if not isinstance(known, Tensor) or known.dtype != torch.bool:
        raise TypeError("known must be a tensor of booleans.")
    if tuple(known.shape) != (len(codes),) or not bool(known.any()):
        raise ValueError(
            f"known must have shape ({len(codes)},), a boolean for each code, and be True for at "
            f"least one; got shape {tuple(known.shape)} with {int(known.sum())} True."
        )
    at = known.nonzero().flatten()
    frames = torch.arange(len(codes), device=codes.device)
    after = torch.searchsorted(at, frames).clamp(max=len(at) - 1)
    before = (torch.searchsorted(at, frames, right=True) - 1).clamp(min=0)
    left, right = at[before], at[after]
    dtype = compute_dtype(codes)
    share = (frames - left).to(dtype) / (right - left).clamp(min=1)
    share = share.reshape(-1, *(1,) * (codes.ndim - 1))
    filled = torch.lerp(codes[left].to(dtype), codes[right].to(dtype), share).to(codes.dtype)
    return torch.where(known.reshape(share.shape), codes, filled)

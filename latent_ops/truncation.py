"""The truncation trick: trade variety for typicality by moving codes towards the mean."""

from __future__ import annotations

import torch
from torch import Tensor

from ._validation import batch_scalar, compute_dtype, require_codes, require_match


def truncate(
    codes: Tensor,
    psi: float | Tensor,
    mean: Tensor | None = None,
    *,
    cutoff: int | None = None,
    latent_dims: int = 1,
) -> Tensor:
    """Move codes towards the mean: `mean + psi (v - mean)`.

    The truncation trick of StyleGAN (Karras et al. 2019, arXiv 1812.04948, appendix B).

    Args:
        codes: `(*, *latent_shape)`.
        psi: `truncation_psi`, a number or one per code. 1 keeps the code, 0 gives the mean,
            values above 1 exaggerate, negative ones give the opposite of the code.
        mean: `w_avg`, `(*, *latent_shape)`; zero when None.
        cutoff: for `w_plus` codes `(*, num_ws, w_dim)` (`latent_dims` of at least 2):
            truncate only the first `cutoff` layers, 0 to `num_ws`. All layers when None.
        latent_dims: number of trailing dimensions that make one code.

    Returns:
        New codes in the dtype of `codes`; `psi = 1` gives them back bit for bit, `psi = 0`
        gives the mean (in that dtype) exactly.

    Raises:
        TypeError: if `codes` or `mean` is not a floating-point tensor.
        ValueError: if shapes disagree, `psi` is not finite, or `cutoff` does not fit the code.

    Example:
        >>> truncate(torch.tensor([3.0, 5.0]), 0.5, torch.tensor([1.0, 1.0]))
        tensor([2., 3.])
    """
    require_codes("codes", codes, latent_dims)
    if mean is None:
        centre = codes.new_zeros(())
    else:
        require_match("codes", codes, "mean", mean, latent_dims)
        centre = mean
    dtype = compute_dtype(codes, centre)
    amount = batch_scalar("psi", psi, codes, latent_dims).to(dtype)
    start, centre = codes.to(dtype), centre.to(dtype)
    moved = centre + amount * (start - centre)
    moved = torch.where(amount == 0, centre, moved)
    moved = torch.where(amount == 1, start, moved)
    if cutoff is not None:
        moved = torch.where(_first_layers(codes, cutoff, latent_dims), moved, start)
    return moved.to(codes.dtype)


def _first_layers(codes: Tensor, cutoff: int, latent_dims: int) -> Tensor:
    """Return a mask, true for the first `cutoff` layers, that broadcasts over the codes."""
    if latent_dims < 2:
        raise ValueError(
            "cutoff counts the layers of w_plus codes (num_ws, w_dim), which take latent_dims=2; "
            f"got latent_dims={latent_dims} and codes of shape {tuple(codes.shape)}."
        )
    layers = codes.shape[codes.ndim - latent_dims]
    if isinstance(cutoff, bool) or not isinstance(cutoff, int) or not 0 <= cutoff <= layers:
        raise ValueError(
            f"cutoff must be a whole number from 0 to {layers}, the number of layers; got "
            f"{cutoff!r}."
        )
    mask = torch.arange(layers, device=codes.device) < cutoff
    return mask.reshape(layers, *([1] * (latent_dims - 1)))

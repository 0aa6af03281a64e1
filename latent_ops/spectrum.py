"""Latent spectral decomposition: coefficients of codes in an orthonormal basis, and back.

After Toledo-Marin & Glazier 2023, "Using deep LSD to build operators in GANs latent space with
meaning in real space" (PLOS ONE 18(6) e0287736). The basis comes from `quasi_eigenvectors` and
`complete_basis`; its first vectors stand for the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from ._basis import basis_rows
from ._geometry import flatten_codes, length, unflatten_codes, unit_and_length
from ._validation import compute_dtype, latent_shape, require_codes, require_match
from .spectrum_modes import kept_indices, truncate_spectrum


def decompose(codes: Tensor, basis: Tensor, mean: Tensor | None = None) -> Tensor:
    """Measure codes along every vector of an orthonormal basis: `c_i = <z - mean, e_i>`.

    Args:
        codes: z, `(*, *latent_shape)`. NaN and infinity stay in the code that holds them.
        basis: e_1 .. e_k, orthonormal, `(k, *latent_shape)`; everything after its first
            dimension is the code.
        mean: the code whose coefficients are 0, `(*, *latent_shape)`; the zero code when None.

    Returns:
        Coefficients `(*, k)`, float32 or wider, in the length units of the codes.

    Raises:
        TypeError: if an argument is not a floating-point tensor.
        ValueError: if shapes or devices disagree, or a basis vector does not have length 1.

    Example:
        >>> decompose(torch.tensor([3.0, 5.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        tensor([5., 3.])
    """
    offset, rows = _offset_and_rows(codes, basis, mean)
    return offset @ rows.T


def reconstruct(
    coefficients: Tensor,
    basis: Tensor,
    mean: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Put codes together from their coefficients: `z = mean + sum_i c_i e_i`.

    Undoes `decompose` when the basis is complete (k is the number of components of a code).
    With fewer vectors it returns the nearest code within their span.

    Args:
        coefficients: c, `(*, k)`.
        basis: as in `decompose`.
        mean: as in `decompose`.
        dtype: of the result; that of `coefficients` when None.

    Returns:
        Codes `(*, *latent_shape)`.

    Raises:
        TypeError, ValueError: as `decompose`; also ValueError if the number of coefficients
            is not that of the basis vectors.

    Example:
        >>> reconstruct(torch.tensor([5.0, 3.0]), torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        tensor([3., 5.])
    """
    require_codes("coefficients", coefficients, 1)
    compute = _dtype_of(basis, coefficients, mean)
    rows = basis_rows(basis, compute)
    if coefficients.shape[-1] != rows.shape[0]:
        raise ValueError(
            f"There are {coefficients.shape[-1]} coefficients per code, but the basis has "
            f"{rows.shape[0]} vectors. Use the basis that the codes were decomposed with."
        )
    if coefficients.device != basis.device:
        raise ValueError(
            f"coefficients is on {coefficients.device} and basis on {basis.device}; move both to "
            "one device."
        )
    result = unflatten_codes(coefficients.to(compute) @ rows, basis.shape[1:])
    if mean is not None:
        require_match("coefficients", result, "mean", mean, basis.ndim - 1)
        result = result + mean.to(compute)
    return result.to(coefficients.dtype if dtype is None else dtype)


def spectral_denoise(
    codes: Tensor,
    basis: Tensor,
    mode: str = "top_k",
    k: int | None = None,
    labels: int | None = None,
    energy: float | None = None,
    restore_norm: bool = True,
    mean: Tensor | None = None,
) -> Tensor:
    """Keep the part of codes that carries their label: decompose, truncate, reconstruct.

    Args:
        codes: `(*, *latent_shape)`.
        basis: as in `decompose`. What lies outside its span is dropped in any mode.
        mode, k, labels, energy: what to keep, as in `truncate_spectrum`.
        restore_norm: give the result the code's own distance from `mean`. Without it codes come
            nearer to the mean, where generators draw an average. What was kept is stretched; in
            the mode "one_label" the label alone takes the length of all that was dropped, the
            other labels above all, and the rest stays as it is.
        mean: as in `decompose`.

    Returns:
        New codes in the dtype of `codes`. A code of which nothing is kept, such as the mean
        itself, becomes the mean; one whose chosen label is exactly 0 stays shorter.

    Raises:
        TypeError, ValueError: as `decompose` and `truncate_spectrum`.

    Example:
        >>> spectral_denoise(torch.tensor([3.0, 4.0]), torch.eye(2), k=1)
        tensor([0., 5.])
    """
    offset, rows = _offset_and_rows(codes, basis, mean)
    coefficients = offset @ rows.T
    if mode == "energy":
        indices = None
        kept = truncate_spectrum(coefficients, mode, energy=energy)
    else:
        indices = kept_indices(coefficients, mode, k, labels)
        kept = coefficients.gather(-1, indices)
    if restore_norm:
        kept = _restore_norm(kept, length(offset), mode)
    result = kept @ rows if indices is None else _sum_of_rows(kept, indices, rows)
    if mean is not None:
        result = result + flatten_codes(mean, basis.ndim - 1, result.dtype)
    return unflatten_codes(result, basis.shape[1:]).to(codes.dtype)


def _restore_norm(kept: Tensor, norm: Tensor, mode: str) -> Tensor:
    """Return kept coefficients `(*, m)` that have the length `norm` `(*, 1)`."""
    if mode != "one_label":
        return unit_and_length(kept)[0] * norm
    label, rest = kept.split([1, kept.shape[-1] - 1], dim=-1)  # the label comes first
    other = length(rest) if rest.shape[-1] else torch.zeros_like(norm)
    # the square root of a difference of squares, at both ends of the number range
    room = (norm - other).clamp(min=0).sqrt() * (norm + other).sqrt()
    return torch.cat([label.sign() * room, rest], -1)


def _sum_of_rows(weights: Tensor, indices: Tensor, rows: Tensor) -> Tensor:
    """Return `sum_j weights_j rows[indices_j]`, `(*, D)`, of weights and indices `(*, m)`."""
    size = rows.shape[0]
    if indices.shape[-1] * 8 > size or rows.device.type not in ("cpu", "cuda"):
        dense = weights.new_zeros(*weights.shape[:-1], size).scatter(-1, indices, weights)
        return dense @ rows
    # A few rows per code: ten times as fast as a product with a matrix of zeros.
    flat = embedding_bag(
        indices.reshape(-1, indices.shape[-1]),
        rows,
        per_sample_weights=weights.reshape(-1, indices.shape[-1]),
        mode="sum",
    )
    return flat.reshape(*weights.shape[:-1], rows.shape[1])


def _offset_and_rows(codes: Tensor, basis: Tensor, mean: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return flat codes from the mean `(*, D)` and basis rows `(k, D)` in one dtype."""
    dtype = _dtype_of(basis, codes, mean)
    rows = basis_rows(basis, dtype)
    dims = basis.ndim - 1
    require_codes("codes", codes, dims)
    require_match("codes", codes.new_empty(latent_shape(codes, dims)), "basis", basis, dims)
    offset = flatten_codes(codes, dims, dtype)
    if mean is not None:
        require_match("codes", codes, "mean", mean, dims)
        offset = offset - flatten_codes(mean, dims, dtype)
    return offset, rows


def _dtype_of(basis: Tensor, codes: Tensor, mean: Tensor | None) -> torch.dtype:
    require_codes("codes", codes, 1)
    require_codes("basis", basis, 1)
    return compute_dtype(codes, basis, *([] if mean is None else [require_codes("mean", mean, 1)]))

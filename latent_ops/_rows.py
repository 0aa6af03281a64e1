"""Codes as rows of float64 numbers on the CPU, for fitting; and fitted vectors as codes again."""

from __future__ import annotations

import torch
from torch import Tensor

from ._geometry import flatten_codes
from ._validation import compute_dtype, require_match, require_stack

_SAME_MEANS = (
    "The two groups have the same mean, so there is no direction between them. Give other codes."
)


def group_rows(negative: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of two groups of codes of one shape."""
    first, second = code_rows("negative", negative), code_rows("positive", positive)
    require_match("negative", negative[:1], "positive", positive[:1], positive.ndim - 1)
    return first, second


def code_rows(name: str, codes: Tensor) -> Tensor:
    """Codes as `(N, d)` float64 on the CPU."""
    dims = require_stack(name, codes)
    if codes.shape[0] == 0:
        raise ValueError(f"{name} holds no codes; at least one is needed.")
    rows = flatten_codes(codes.detach().cpu(), dims, torch.float64)
    finite = torch.isfinite(rows).all(1)
    if not bool(finite.all()):
        number = int((~finite).nonzero()[0, 0])
        raise ValueError(f"Code {number} of {name} holds NaN or infinity; leave it out.")
    return rows


def difference_of(first: Tensor, second: Tensor) -> Tensor:
    """Difference of the means of rows; ValueError where there is none."""
    difference = second.mean(0) - first.mean(0)
    if not bool(difference.any()):
        raise ValueError(_SAME_MEANS)
    return difference


def in_span(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Coordinates of rows `(N, d)` in an orthonormal basis `(r, d)` of their span, if smaller.

    Solutions of rotation-invariant problems lie in the span, so nothing is lost.
    """
    if rows.shape[0] >= rows.shape[1]:
        return rows, None
    basis = torch.linalg.qr(rows.T).Q.T
    return rows @ basis.T, basis


def out_of_span(vector: Tensor, basis: Tensor | None) -> Tensor:
    """The vector whose coordinates `in_span` gave."""
    return vector if basis is None else vector @ basis


def as_code(vector: Tensor, like: Tensor) -> Tensor:
    """The flat float64 vector as one code; rounded twice, so that half follows float32."""
    return vector.to(compute_dtype(like)).reshape(like.shape[1:]).to(like)

"""Which coefficients of a latent spectrum to keep."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ._geometry import unit_and_length
from ._validation import compute_dtype, require_choice, require_codes, require_count

SPECTRUM_MODES = ("top_k", "labels", "one_label", "energy")

# Neighbours compared by their maximum in the search for the largest values.
_GROUP = 4


def truncate_spectrum(
    coefficients: Tensor,
    mode: str = "top_k",
    k: int | None = None,
    labels: int | None = None,
    energy: float | None = None,
) -> Tensor:
    """Keep some coefficients of each code, sign included, and set the others to 0.

    Args:
        coefficients: `(*, n)`. NaN counts as the largest, so a damaged code stays visible.
        mode: "top_k" keeps the `k` largest by magnitude; "labels" the first `labels`;
            "one_label" the largest of the first `labels` (by signed value: the label the code is
            nearest to) and the `k - 1` largest by magnitude outside them; "energy" the fewest
            that hold at least the share `energy` of the squared norm. Of equally large
            coefficients the one with the lower index is kept.
        k: how many, 1 to n ("top_k"), 1 to n - labels + 1 ("one_label").
        labels: number of label vectors, 1 to n ("labels", "one_label").
        energy: share in (0, 1] ("energy").

    Returns:
        New coefficients `(*, n)` in the dtype of `coefficients`.

    Raises:
        TypeError: if `coefficients` is not a floating-point tensor.
        ValueError: if the mode is unknown, or the number it needs is missing or out of range.

    Example:
        >>> truncate_spectrum(torch.tensor([1.0, -3.0, 2.0]), k=2)
        tensor([ 0., -3.,  2.])
    """
    require_codes("coefficients", coefficients, 1)
    if mode == "energy":
        return coefficients.masked_fill(_beyond_energy(coefficients.abs(), energy), 0)
    return scatter_kept(coefficients, kept_indices(coefficients, mode, k, labels))


def kept_indices(
    coefficients: Tensor, mode: str, k: int | None = None, labels: int | None = None
) -> Tensor:
    """Return which coefficients `(*, n)` to keep as indices `(*, m)`, in no particular order.

    In the mode "one_label" the label comes first. For all modes of `truncate_spectrum` but
    "energy", where their number differs by code.
    """
    require_choice("mode", mode, SPECTRUM_MODES)
    size = coefficients.shape[-1]
    if mode == "top_k":
        return _strongest(coefficients.abs(), _within("k", k, size))
    count = _within("labels", labels, size)
    if mode == "labels":
        every = torch.arange(count, device=coefficients.device)
        return every.expand(*coefficients.shape[:-1], count)
    others = _within("k", k, size - count + 1, f" (one label and {size - count} others)") - 1
    label = coefficients[..., :count].argmax(-1, keepdim=True)
    rest = _strongest(coefficients[..., count:].abs(), others)
    return torch.cat([label, count + rest], -1)


def scatter_kept(coefficients: Tensor, indices: Tensor) -> Tensor:
    """Return coefficients `(*, n)` at indices `(*, m)`, and 0 elsewhere."""
    kept = coefficients.gather(-1, indices)
    return torch.zeros_like(coefficients).scatter(-1, indices, kept)


def _strongest(values: Tensor, k: int) -> Tensor:
    """Return the indices `(*, k)` of the k largest values `(*, n)`, in no particular order.

    Of equal values the lower index is chosen, which `torch.topk` does not promise. NaN is larger
    than any number.
    """
    size = values.shape[-1]
    rows = values.detach().reshape(math.prod(values.shape[:-1]), size)
    # One more than needed tells whether equal values straddle the edge, which is rare.
    indices = _largest(rows, min(k + 1, size))
    if 0 < k < size:
        edge = rows.gather(-1, indices[:, k - 1 :])
        tied = edge[:, 0] == edge[:, 1]
        if bool(tied.any()):
            order = rows[tied].sort(dim=-1, descending=True, stable=True).indices
            indices[tied] = order[:, : k + 1]
    return indices[:, :k].reshape(*values.shape[:-1], k)


def _largest(rows: Tensor, k: int) -> Tensor:
    """Return the indices `(N, k)` of the k largest values of rows `(N, n)`, largest first.

    The k largest lie in the k groups with the largest maxima. Looking only there takes half the
    time of `torch.topk` on the whole row.
    """
    groups = rows.shape[-1] // _GROUP
    if groups < 3 * k:
        return rows.topk(k, dim=-1).indices
    best = rows[:, : groups * _GROUP].unflatten(-1, (_GROUP, groups)).amax(1).topk(k, dim=-1)
    position = torch.arange(rows.shape[-1], device=rows.device)
    members = position[: groups * _GROUP : groups, None]
    ungrouped = position[groups * _GROUP :].expand(rows.shape[0], -1)
    candidates = torch.cat([(best.indices[:, None] + members).flatten(1), ungrouped], -1)
    found = rows.gather(-1, candidates).topk(k, dim=-1).indices
    return candidates.gather(-1, found)


def _beyond_energy(magnitudes: Tensor, energy: float | None) -> Tensor:
    """Return where magnitudes `(*, n)` are not needed to hold a share of the squared norm."""
    if isinstance(energy, bool) or not isinstance(energy, (int, float)) or not 0 < energy <= 1:
        raise ValueError(f"energy must be a share above 0 and at most 1, got {energy!r}.")
    unit, _ = unit_and_length(magnitudes.detach().to(compute_dtype(magnitudes)))
    # Smallest first: small squares summed on top of large ones would be lost to rounding.
    order = unit.argsort(dim=-1, descending=True, stable=True).flip(-1)
    tail = unit.gather(-1, order).square().cumsum(-1)
    drop_sorted = tail <= (1 - energy) * tail[..., -1:]
    drop_sorted[..., -1] = False
    drop = torch.empty_like(drop_sorted).scatter_(-1, order, drop_sorted)
    return drop & ~magnitudes.isnan()


def _within(name: str, value: int | None, largest: int, what: str = "") -> int:
    if value is None:
        raise ValueError(f"This mode needs {name}, a whole number from 1 to {largest}.")
    require_count(name, value, 1)
    if value > largest:
        raise ValueError(
            f"{name} is {value}, but the basis allows at most {largest}{what}. Lower {name} or "
            "use a larger basis."
        )
    return value

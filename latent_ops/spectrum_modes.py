"""Which coefficients of a latent spectrum to keep."""

from __future__ import annotations

import torch
from torch import Tensor

from ._geometry import unit_and_length
from ._validation import compute_dtype, require_choice, require_codes, require_count

SPECTRUM_MODES = ("top_k", "labels", "one_label", "energy")


def truncate_spectrum(
    coefficients: Tensor,
    mode: str = "top_k",
    k: int | None = None,
    labels: int | None = None,
    energy: float | None = None,
) -> Tensor:
    """Keep some coefficients of each code, sign included, and set the others to 0.

    Args:
        coefficients: ``(*, n)``. A NaN is never dropped, so a damaged code stays visible.
        mode: "top_k" keeps the ``k`` largest by magnitude; "labels" the first ``labels``;
            "one_label" the largest of the first ``labels`` (by signed value: the label the code is
            nearest to) and the ``k - 1`` largest by magnitude outside them; "energy" the fewest
            that hold at least the share ``energy`` of the squared norm. Of equally large
            coefficients the one with the lower index is kept.
        k: how many, 1 to n ("top_k"), 1 to n - labels + 1 ("one_label").
        labels: number of label vectors, 1 to n ("labels", "one_label").
        energy: share in (0, 1] ("energy").

    Returns:
        New coefficients ``(*, n)`` in the dtype of ``coefficients``.

    Raises:
        TypeError: if ``coefficients`` is not a floating-point tensor.
        ValueError: if the mode is unknown, or the number it needs is missing or out of range.
    """
    require_codes("coefficients", coefficients, 1)
    require_choice("mode", mode, SPECTRUM_MODES)
    size = coefficients.shape[-1]
    if mode == "top_k":
        return _without(coefficients, _smaller_than_top(coefficients.abs(), _within("k", k, size)))
    if mode == "energy":
        return _without(coefficients, _beyond_energy(coefficients.abs(), energy))
    count = _within("labels", labels, size)
    if mode == "labels":
        drop = torch.arange(size, device=coefficients.device) >= count
        return _without(coefficients, drop & ~coefficients.isnan())
    others = _within("k", k, size - count + 1, f", one label and {size - count} others") - 1
    label, rest = coefficients[..., :count], coefficients[..., count:]
    return torch.cat(
        [
            _without(label, _smaller_than_top(label, 1)),
            _without(rest, _smaller_than_top(rest.abs(), others)),
        ],
        -1,
    )


def _without(coefficients: Tensor, drop: Tensor) -> Tensor:
    return coefficients.masked_fill(drop, 0)


def _smaller_than_top(values: Tensor, k: int) -> Tensor:
    """Return where values ``(*, n)`` are not among the k largest, the first of equal ones winning.

    NaN compares as False throughout, so it is not marked.
    """
    values = values.detach()
    size = values.shape[-1]
    if k >= size:
        return torch.zeros_like(values, dtype=torch.bool)
    if k == 0:
        return ~values.isnan()
    # The (k+1)-th largest tells whether equal values straddle the edge, which is rare.
    top = values.topk(k + 1, dim=-1).values
    edge = top[..., k - 1 : k]
    drop = values < edge
    if bool((top[..., k : k + 1] == edge).any()):
        equal = values == edge
        room = k - (values > edge).sum(-1, keepdim=True)
        drop |= equal & (equal.cumsum(-1) > room)
    return drop


def _beyond_energy(magnitudes: Tensor, energy: float | None) -> Tensor:
    """Return where magnitudes ``(*, n)`` are not needed to hold a share of the squared norm."""
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

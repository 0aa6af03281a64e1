"""Reading a label off the coefficients of a latent spectrum.

The three functions answer different questions and must not be mixed: `classify` chooses
among the labels only; `strongest_vector` chooses among all vectors, as the paper's public
code does, and an index beyond the labels is what the paper calls gibberish; `label_rank`
says how far down the true label comes, whose cumulative curve the paper shows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._validation import broadcast_batch, require_choice, require_codes, require_count

READINGS = ("signed", "magnitude")


def classify(coefficients: Tensor, labels: int, by: str = "signed") -> Tensor:
    """Return the label whose coefficient is largest.

    Args:
        coefficients: `(*, n)`, those of the label vectors first.
        labels: K, number of label vectors, 1 to n; the other coefficients are ignored.
        by: "signed" (a strongly negative coefficient speaks against the label) or "magnitude".

    Returns:
        Indices `(*)`, int64, 0 to K - 1; the lowest of equally large ones.

    Raises:
        TypeError: if `coefficients` is not a floating-point tensor.
        ValueError: if it holds NaN, or an option is out of range.

    Example:
        >>> classify(torch.tensor([1.0, -3.0, 5.0]), labels=2)
        tensor(0)
    """
    values = _readable(coefficients, by)
    require_count("labels", labels, 1)
    if labels > values.shape[-1]:
        raise ValueError(
            f"labels is {labels}, but there are only {values.shape[-1]} coefficients per code."
        )
    return _first_largest(values[..., :labels])


def strongest_vector(coefficients: Tensor, by: str = "magnitude") -> Tensor:
    """Return the index of the largest coefficient among all, label or not (the paper's reading).

    Args:
        coefficients: `(*, n)`.
        by: "magnitude" (the paper's) or "signed".

    Returns:
        Indices `(*)`, int64, 0 to n - 1; the lowest of equally large ones. With K label vectors,
        an index of K or more is no label.

    Raises:
        TypeError, ValueError: as `classify`.

    Example:
        >>> strongest_vector(torch.tensor([1.0, -3.0, 2.0]))
        tensor(1)
    """
    return _first_largest(_readable(coefficients, by))


def label_rank(coefficients: Tensor, label: Tensor, by: str = "magnitude") -> Tensor:
    """Return the place of a known label's coefficient among all coefficients of its code.

    Args:
        coefficients: `(*, n)`.
        label: index of the true label of each code, `(*)`, whole numbers from 0 to n - 1;
            batches broadcast.
        by: "magnitude" (the paper's) or "signed".

    Returns:
        Ranks `(*)`, int64, 1 to n. 1 exactly where `strongest_vector` returns the label.

    Raises:
        TypeError: if `coefficients` is not a floating-point tensor or `label` not an integer
            one.
        ValueError: as `classify`, and if a label has no coefficient.

    Example:
        >>> label_rank(torch.tensor([1.0, -3.0, 2.0]), torch.tensor(2))
        tensor(2)
    """
    values = _readable(coefficients, by)
    if not isinstance(label, Tensor) or label.dtype not in (
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
    ):
        found = label.dtype if isinstance(label, Tensor) else type(label).__name__
        raise TypeError(f"label must be a tensor of whole numbers, got {found}.")
    size = values.shape[-1]
    index = label.to(device=values.device, dtype=torch.int64)
    if bool(((index < 0) | (index >= size)).any()):
        raise ValueError(f"A label must be from 0 to {size - 1}, got {label.unique().tolist()}.")
    batch = broadcast_batch(
        ("coefficients", tuple(values.shape[:-1])), ("label", tuple(index.shape))
    )
    values, index = values.expand(*batch, size), index.expand(batch)[..., None]
    own = values.gather(-1, index)
    before = torch.arange(size, device=values.device) < index
    return 1 + ((values > own) | (before & (values == own))).sum(-1)


def _readable(coefficients: Tensor, by: str) -> Tensor:
    require_codes("coefficients", coefficients, 1)
    require_choice("by", by, READINGS)
    if bool(coefficients.isnan().any()):
        raise ValueError("The coefficients hold NaN, which has no label; the code is damaged.")
    values = coefficients.detach()
    return values.abs() if by == "magnitude" else values


def _first_largest(values: Tensor) -> Tensor:
    return values.argmax(-1)

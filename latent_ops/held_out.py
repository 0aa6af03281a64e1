"""How well a fitted direction tells codes it has not seen: cross-validation, learning curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from . import seeds
from ._geometry import flatten_codes
from ._validation import compute_dtype, require_count, require_stack

# (codes (n, *latent_shape), labels or scores (n,)) -> direction (*latent_shape)
Fit = Callable[[Tensor, Tensor], Tensor]


def stratified_folds(labels: Tensor, folds: int, seed: int = 0) -> Tensor:
    """Deal items out to folds, evenly within each label.

    Args:
        labels: `(N,)`, whole numbers or booleans.
        folds: number of folds, at least 2 and at most the size of the smallest label's group.
        seed: of the order in which items are dealt.

    Returns:
        Fold of each item `(N,)`, int64, 0 to `folds - 1`.

    Raises:
        TypeError: if labels are real numbers.
        ValueError: if a label has fewer items than there are folds.

    Example:
        >>> stratified_folds(torch.tensor([0, 0, 0, 0, 1, 1]), 2).bincount()
        tensor([3, 3])
    """
    if labels.is_floating_point() or labels.is_complex() or labels.ndim != 1:
        raise TypeError(
            f"labels must be whole numbers of shape (N,), got {labels.dtype} of shape "
            f"{tuple(labels.shape)}."
        )
    require_count("folds", folds, 2)
    generator = seeds.generator(seed)
    result = torch.empty(len(labels), dtype=torch.int64)
    start = 0  # going on where the last label stopped keeps the folds equally large
    for label in labels.cpu().unique():
        members = (labels.cpu() == label).nonzero()[:, 0]
        if len(members) < folds:
            raise ValueError(
                f"{folds} folds need at least {folds} items of each label; label {int(label)} "
                f"has {len(members)}."
            )
        order = torch.randperm(len(members), generator=generator)
        result[members[order]] = (torch.arange(len(members)) + start) % folds
        start = (start + len(members)) % folds
    return result


def held_out_scores(codes: Tensor, labels: Tensor, fit: Fit, fold_of: Tensor) -> Tensor:
    """Score each code along a direction that was fitted without its fold.

    Everything is done again for every fold: `fit` sees the other folds only, and so does the
    calibration that puts the mean of the fitted codes without the attribute at -1 and of those
    with it at +1. A positive score is a vote for the attribute; 0 means that the fitted direction
    does not even part the codes it was fitted to.

    Args:
        codes: `(N, *latent_shape)`.
        labels: `(N,)` bool, True for codes with the attribute.
        fit: as `Fit`, given codes and labels.
        fold_of: `(N,)` from `stratified_folds`.

    Returns:
        `(N,)` float32, or float64 for float64 codes.

    Raises:
        TypeError, ValueError: if codes are not floating point, or counts differ.

    Example:
        >>> codes = torch.tensor([[1.0], [2.0], [5.0], [6.0]])
        >>> labels = torch.tensor([False, False, True, True])
        >>> def fit(codes, labels):
        ...     return codes[labels].mean(0) - codes[~labels].mean(0)
        >>> held_out_scores(codes, labels, fit, torch.tensor([0, 1, 0, 1]))
        tensor([-1.5000, -0.5000,  0.5000,  1.5000])
    """
    _require_counts(codes, labels, fold_of)

    def scores(train: Tensor, test: Tensor) -> Tensor:
        return _class_scores(codes, labels, fit, train, test)

    return _over_folds(codes, fold_of, scores)


def held_out_predictions(codes: Tensor, values: Tensor, fit: Fit, fold_of: Tensor) -> Tensor:
    """Predict the value of each code by a line along a direction fitted without its fold.

    Args:
        codes: `(N, *latent_shape)`.
        values: `(N,)` numbers; True and False count as 1 and 0.
        fit: as `Fit`, given codes and values.
        fold_of: `(N,)` int64, the fold of each code.

    Returns:
        Predictions in the unit of `values`, `(N,)` float32, or float64 for float64 codes.

    Raises:
        TypeError, ValueError: as `held_out_scores`.

    Example:
        >>> codes = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
        >>> def fit(codes, values):
        ...     return values @ codes
        >>> held_out_predictions(codes, 10 * codes[:, 0], fit, torch.tensor([0, 1, 0, 1]))
        tensor([10., 20., 30., 40.])
    """
    _require_counts(codes, values, fold_of)

    def predictions(train: Tensor, test: Tensor) -> Tensor:
        y = values.cpu()[train].double()
        direction = fit(codes[train.to(codes.device)], values[train.to(values.device)])
        along, wanted = _along(codes, direction, train), _along(codes, direction, test)
        centred = along - along.mean()
        spread = float(centred.square().sum())
        slope = float(centred @ (y - y.mean())) / spread if spread > 0 else 0.0
        return y.mean() + slope * (wanted - along.mean())

    return _over_folds(codes, fold_of, predictions)


def learning_curve(
    codes: Tensor,
    labels: Tensor,
    fit: Fit,
    fold_of: Tensor,
    sizes: Sequence[int],
    seed: int = 0,
) -> Tensor:
    """Held-out scores from fits to only so many codes of each label.

    Args:
        codes, labels, fit, fold_of: as in `held_out_scores`.
        sizes: numbers of codes per label, S of them; a label with fewer outside a fold gives all
            it has. Larger fits contain the codes of smaller ones.
        seed: of the order in which codes are taken.

    Returns:
        `(S, N)`, one row per size, as `held_out_scores`.

    Raises:
        TypeError, ValueError: as `held_out_scores`; also ValueError for a size below 1.

    Example:
        >>> codes = torch.tensor([[1.0], [2.0], [5.0], [6.0]])
        >>> labels = torch.tensor([False, False, True, True])
        >>> def fit(codes, labels):
        ...     return codes[labels].mean(0) - codes[~labels].mean(0)
        >>> learning_curve(codes, labels, fit, torch.tensor([0, 1, 0, 1]), [1])
        tensor([[-1.5000, -0.5000,  0.5000,  1.5000]])
    """
    _require_counts(codes, labels, fold_of)
    for size in sizes:
        require_count("a size", size, 1)
    order = torch.randperm(len(codes), generator=seeds.generator(seed))
    wanted = labels.cpu()[order]

    def scores(train: Tensor, test: Tensor) -> Tensor:
        rows = []
        for size in sizes:
            chosen = torch.zeros_like(train)
            for label in (False, True):
                chosen[order[train[order] & (wanted == label)][:size]] = True
            rows.append(_class_scores(codes, labels, fit, chosen, test))
        return torch.stack(rows)

    if not sizes:
        return codes.new_zeros((0, len(codes)), dtype=compute_dtype(codes))
    return _over_folds(codes, fold_of, scores)


def _class_scores(codes: Tensor, labels: Tensor, fit: Fit, train: Tensor, test: Tensor) -> Tensor:
    direction = fit(codes[train.to(codes.device)], labels[train.to(labels.device)])
    along = _along(codes, direction, train)
    seen = labels.cpu()[train]
    low, high = along[~seen].mean(), along[seen].mean()
    scores = _along(codes, direction, test)
    if not bool(high > low):
        return torch.zeros_like(scores)
    return 2 * (scores - low) / (high - low) - 1


def _over_folds(
    codes: Tensor, fold_of: Tensor, function: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Put results `(*, n)` of each fold's items together as `(*, N)`."""
    folds = fold_of.cpu()
    parts, places = [], []
    for fold in folds.unique():
        test = folds == fold
        parts.append(function(~test, test))
        places.append(test.nonzero()[:, 0])
    joined = torch.cat(parts, -1)
    result = torch.empty_like(joined)
    result[..., torch.cat(places)] = joined
    return result.to(device=codes.device, dtype=compute_dtype(codes))


def _along(codes: Tensor, direction: Tensor, chosen: Tensor) -> Tensor:
    dims = codes.ndim - 1
    rows = flatten_codes(codes.detach().cpu()[chosen], dims, torch.float64)
    return rows @ flatten_codes(direction.detach().cpu(), dims, torch.float64)


def _require_counts(codes: Tensor, targets: Tensor, fold_of: Tensor) -> None:
    require_stack("codes", codes)
    for name, given in (("labels or values", targets), ("fold_of", fold_of)):
        if tuple(given.shape) != (len(codes),):
            raise ValueError(
                f"{name} must have shape ({len(codes)},), one for each code; got "
                f"{tuple(given.shape)}."
            )
    if len(fold_of.unique()) < 2:
        raise ValueError("Cross-validation needs at least 2 folds.")

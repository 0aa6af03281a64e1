"""A fit that can be done again for every fold: method, view of the codes, what stays still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ... import latent_ops
from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..values import Direction
from .view import FitView, view_of

LOGISTIC, LDA, MEAN_DIFFERENCE = FIT_METHODS = ("logistic boundary", "LDA", "mean difference")
EVERY = "all"  # in keep_still

_PENALTY = 0.1  # of the logistic boundary, per squared length of the features
_RIDGE = 1.0  # of picture features, likewise
_ALIKE = 0.5  # cosine from which "all" does not keep a direction still

Decode = Callable[[Tensor], Tensor]
_Fit = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        method: one of `FIT_METHODS`.
        keep_still: names of the model's directions the result is made independent of; `EVERY`
            stands for all of them but those it does much the same as.
        folds: of the cross-validation; fewer where a group is smaller.
        seed: of the folds.
    """

    method: str = LOGISTIC
    keep_still: tuple[str, ...] = ()
    folds: int = 10
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FitPlan:
    """What every fold does again, and what all of them share.

    Attributes:
        fit: (rows, labels or scores) to a direction of rows, length 1.
        rows: the photos as the view of codes has them, `(N, R)`.
        direction: fitted to all photos, `(*shape)`, length 1.
        kept_still: directions it is independent of.
        left_out: directions of "all" that it is not independent of.
        decode: codes to pictures.
    """

    fit: _Fit
    rows: Tensor
    direction: Tensor
    kept_still: tuple[str, ...]
    left_out: tuple[str, ...]
    decode: Decode


def plan_fit(
    model: FaceModel, codes: Tensor, values: Tensor, settings: FitSettings, decode: Decode
) -> FitPlan:
    """Fit to all photos, and keep what every fold needs.

    Args:
        model: its directions, its space and how it mirrors.
        codes: `(N, *shape)` float64.
        values: `(N,)`, labels (bool) or scores.
        settings: how to fit.
        decode: codes to pictures.

    Raises:
        FaceLatentsError: an unknown method or direction, or nothing to fit.
    """
    method = _method(settings.method, values)
    with_pictures = settings.method != MEAN_DIFFERENCE
    view = view_of(model, decode, with_pictures)
    rows = view.rows(codes)
    plain = _fit_conditioned(view, method, None)
    try:
        direction = plain(rows, values)
        others = _others(model, settings.keep_still, direction[: view.size])
        wanted = model.directions if EVERY in settings.keep_still else ()
        left_out = tuple(other for other in wanted if other not in others)
        fit = plain
        if others:
            stack = torch.cat([_stack(model, model.directions[n]) for n in others])
            fit = _fit_conditioned(view, method, stack.flatten(1))
            direction = fit(rows, values)
    except FaceLatentsError:
        raise
    except ValueError as error:
        raise FaceLatentsError(f"No direction could be fitted: {error}") from error
    found = direction[: view.size].unflatten(0, model.space.shape)
    return FitPlan(fit, rows, found, others, left_out, decode)


def _fit_conditioned(view: FitView, method: _Fit, others: Tensor | None) -> _Fit:
    """(rows, labels or scores) to a direction of length 1, independent of the others.

    It is one of rows, whose numbers after those of the code are 0.
    """

    def fit(rows: Tensor, values: Tensor) -> Tensor:
        found = latent_ops.normalise(view.fit(rows, values, method, _boundary).flatten())
        if others is not None:
            found = latent_ops.condition(found, others.to(found))
        return torch.cat([found, found.new_zeros(rows.shape[1] - view.size)])

    return fit


def _method(name: str, values: Tensor) -> _Fit:
    """(features, values) to a direction of the features."""
    if name not in FIT_METHODS:
        raise FaceLatentsError(f"method must be one of {', '.join(FIT_METHODS)}; got {name!r}.")
    if values.dtype != torch.bool:
        if name == MEAN_DIFFERENCE:
            return lambda x, y: torch.einsum("n,n...->...", y - y.mean(), x)
        return latent_ops.ridge_direction
    if name == MEAN_DIFFERENCE:
        return lambda x, y: latent_ops.mean_difference(x[~y], x[y])
    if name == LDA:
        return lambda x, y: latent_ops.lda_direction(x[~y], x[y])

    return _boundary


def _boundary(x: Tensor, y: Tensor) -> Tensor:
    """The logistic boundary of labelled features, ridge regression of scored ones."""
    size = max(float((x - x.mean(0)).flatten(1).square().sum(1).mean()), 1e-12)
    if y.dtype == torch.bool:
        return latent_ops.logistic_direction(x[~y], x[y], _PENALTY * size)
    return latent_ops.ridge_direction(x, y, _RIDGE * size)


def require_directions(model: FaceModel, names: Sequence[str]) -> None:
    """Check the names of directions to keep still.

    Raises:
        FaceLatentsError: one is neither a direction of the model nor `EVERY`.
    """
    unknown = [name for name in names if name != EVERY and name not in model.directions]
    if unknown:
        raise FaceLatentsError(
            f"keep_still names {', '.join(unknown)}, which model '{model.name}' does not have. Its "
            f"directions: {', '.join(model.directions) or 'none'}. Or write {EVERY}."
        )


def _others(model: FaceModel, names: Sequence[str], direction: Tensor) -> tuple[str, ...]:
    """Directions to keep still, by name."""
    require_directions(model, names)
    if EVERY not in names:
        return tuple(dict.fromkeys(names))
    overlaps = overlaps_of(model, direction)
    return tuple(n for n in model.directions if n in names or abs(overlaps[n]) < _ALIKE)


def overlaps_of(model: FaceModel, direction: Tensor) -> dict[str, float]:
    """Cosine of a direction `(*shape)` with each of the model's, the largest one of a batch."""
    result = {}
    for name, other in model.directions.items():
        rows = _stack(model, other).flatten(1).double()
        cosines = rows @ direction.flatten().double() / rows.norm(dim=1).clamp(min=1e-30)
        result[name] = float(cosines[cosines.abs().argmax()] / direction.norm())
    return result


def _stack(model: FaceModel, direction: Direction) -> Tensor:
    vector = direction.vector.detach().cpu().double()
    return vector if vector.ndim > model.space.latent_dims else vector[None]

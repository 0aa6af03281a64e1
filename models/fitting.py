"""Fitting a direction to photos: two groups of codes, or codes with scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import latent_ops
from .errors import FaceLatentsError
from .face_model import FaceModel
from .fit_report import LOPSIDED, FitReport, balanced_accuracy, still_rising
from .fit_view import FitView, view_of
from .intervals import balanced_count, correlation_interval, wilson_interval
from .safe_range import safe_range
from .values import Direction

LOGISTIC, LDA, MEAN_DIFFERENCE = FIT_METHODS = ("logistic boundary", "LDA", "mean difference")
EVERY = "all"  # in keep_still

_PENALTY = 0.1  # of the logistic boundary, per squared length of the features
_RIDGE = 1.0  # of picture features, likewise
_CURVE = (5, 10, 20, 40, 80, 160, 320)  # photos per group
_DUPLICATE = 0.1  # of the median distance
_ALIKE = 0.5  # cosine from which "all" does not keep a direction still
_RANGE_FACES = 48

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


def fit_direction(
    model: FaceModel,
    negative: Tensor,
    positive: Tensor,
    name: str,
    settings: FitSettings | None = None,
    decode: Decode | None = None,
) -> tuple[Direction, FitReport]:
    """Fit the direction that leads from one group of faces to another.

    Args:
        model: whose codes these are.
        negative: ``(N, *shape)``, faces without the attribute.
        positive: ``(M, *shape)``, faces with it.
        name: of the attribute.
        settings: the defaults when None.
        decode: codes to pictures, where not by `model.decode` itself.

    Returns:
        The direction, whose strength 1 is one standard deviation of its score over the given
        faces, and how well it works on faces that were held out.

    Raises:
        FaceLatentsError: codes that do not fit the model, a name in `keep_still` that it does not
            have, or groups between which there is no direction.
    """
    codes = torch.cat([_checked(model, negative), _checked(model, positive)])
    labels = torch.arange(len(codes)) >= len(negative)
    kept, warnings = _without_copies(codes, labels)
    codes, labels = codes[kept], labels[kept]
    without, with_ = int((~labels).sum()), int(labels.sum())
    if max(without, with_) > LOPSIDED * min(without, with_):
        warnings.append(
            f"The groups are very unequal ({without} and {with_} photos); the smaller one decides "
            "how good the result is."
        )
    chosen = settings or FitSettings()
    plan = _plan(model, codes, labels, chosen, decode or model.decode)
    report = _held_out_groups(plan, labels, chosen)
    return _finish(model, plan, codes, name, report, (without, with_), warnings, chosen)


def fit_scores(
    model: FaceModel,
    codes: Tensor,
    scores: Tensor,
    name: str,
    settings: FitSettings | None = None,
    decode: Decode | None = None,
) -> tuple[Direction, FitReport]:
    """Fit the direction along which a score rises.

    LDA and the logistic boundary become ridge regression, whose penalty follows the same shrinkage
    as LDA's; the mean difference becomes the covariance of codes and scores.

    Args:
        model, name, settings, decode: as :func:`fit_direction`.
        codes: ``(N, *shape)``.
        scores: ``(N,)``.

    Raises:
        FaceLatentsError: as :func:`fit_direction`; also scores that do not vary.
    """
    codes = _checked(model, codes)
    scores = scores.detach().cpu().double()
    if tuple(scores.shape) != (len(codes),) or not bool(torch.isfinite(scores).all()):
        raise FaceLatentsError(
            f"{len(codes)} faces need as many scores, all of them numbers; got "
            f"{tuple(scores.shape)}."
        )
    if len(scores) < 2 or float(scores.std()) == 0:
        raise FaceLatentsError(
            "All scores are equal, so there is nothing to fit. Score the photos differently."
        )
    chosen = settings or FitSettings()
    plan = _plan(model, codes, scores, chosen, decode or model.decode)
    report = _held_out_scores(plan, scores, chosen)
    return _finish(model, plan, codes, name, report, (len(codes), 0), [], chosen)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Everything that every fold does again, and what all of them share."""

    fit: _Fit
    rows: Tensor  # of the photos, as the view of codes has them
    direction: Tensor  # fitted to all photos, length 1
    kept_still: tuple[str, ...]
    left_out: tuple[str, ...]
    decode: Decode


@dataclass(frozen=True, eq=False)
class _HeldOut:
    figure: float | None
    interval: tuple[float, float]
    folds: int
    scores: Tensor
    targets: Tensor
    curve: Mapping[int, float]
    rising: bool


def _plan(
    model: FaceModel, codes: Tensor, values: Tensor, settings: FitSettings, decode: Decode
) -> _Plan:
    method = _method(settings.method, values)
    with_pictures = settings.method != MEAN_DIFFERENCE
    view = view_of(model, decode, with_pictures)
    rows = view.rows(codes)
    plain = _fitted(view, method, None)
    try:
        direction = plain(rows, values)
        others = _others(model, settings.keep_still, direction[: view.size])
        wanted = model.directions if EVERY in settings.keep_still else ()
        left_out = tuple(other for other in wanted if other not in others)
        fit = plain
        if others:
            stack = torch.cat([_stack(model, model.directions[n]) for n in others])
            fit = _fitted(view, method, stack.flatten(1))
            direction = fit(rows, values)
    except FaceLatentsError:
        raise
    except ValueError as error:
        raise FaceLatentsError(f"No direction could be fitted: {error}") from error
    found = direction[: view.size].unflatten(0, model.space.shape)
    return _Plan(fit, rows, found, others, left_out, decode)


def _fitted(view: FitView, method: _Fit, others: Tensor | None) -> _Fit:
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


def _held_out_groups(plan: _Plan, labels: Tensor, settings: FitSettings) -> _HeldOut:
    without, with_ = int((~labels).sum()), int(labels.sum())
    folds = min(settings.folds, without, with_)
    if folds < 2:
        return _HeldOut(None, (0.0, 1.0), 0, torch.zeros(0), labels, {}, False)
    fold_of = latent_ops.stratified_folds(labels, folds, settings.seed)
    scores = latent_ops.held_out_scores(plan.rows, labels, plan.fit, fold_of)
    accuracy = balanced_accuracy(scores, labels)
    # every fold is fitted to at least this many photos of each group
    most = min(without, with_) - -(-min(without, with_) // folds)
    sizes = [size for size in _CURVE if size <= 0.75 * most]
    if most >= 2 * _CURVE[0] and most // 2 not in sizes:
        sizes = sorted({*sizes, most // 2})
    rows = latent_ops.learning_curve(plan.rows, labels, plan.fit, fold_of, sizes, settings.seed)
    curve = {n: balanced_accuracy(row, labels) for n, row in zip(sizes, rows, strict=True)}
    rising = False
    if most // 2 in sizes:
        rising = still_rising(rows[sizes.index(most // 2)], scores, labels)
    return _HeldOut(
        accuracy,
        wilson_interval(accuracy, balanced_count(without, with_)),
        folds,
        scores,
        labels,
        {**curve, most: accuracy},
        rising,
    )


def _held_out_scores(plan: _Plan, scores: Tensor, settings: FitSettings) -> _HeldOut:
    folds = min(settings.folds, len(scores) // 2)
    if folds < 2:
        return _HeldOut(None, (-1.0, 1.0), 0, torch.zeros(0), scores, {}, False)
    together = torch.zeros(len(scores), dtype=torch.int64)
    fold_of = latent_ops.stratified_folds(together, folds, settings.seed)
    try:
        predicted = latent_ops.held_out_predictions(plan.rows, scores, plan.fit, fold_of).double()
    except ValueError as error:
        raise FaceLatentsError(
            f"The scores vary too little to hold photos back: {error} Score more photos, or more "
            "differently."
        ) from error
    varies = float(predicted.std()) > 0
    figure = float(torch.corrcoef(torch.stack([predicted, scores]))[0, 1]) if varies else 0.0
    figure = min(1.0, max(-1.0, figure))
    interval = correlation_interval(figure, len(scores))
    return _HeldOut(figure, interval, folds, predicted, scores, {}, False)


def _finish(
    model: FaceModel,
    plan: _Plan,
    codes: Tensor,
    name: str,
    held_out: _HeldOut,
    counts: tuple[int, int],
    warnings: Sequence[str],
    settings: FitSettings,
) -> tuple[Direction, FitReport]:
    """Bring the direction to its unit, find its safe range, and write down what is known."""
    along = codes.flatten(1) @ plan.direction.flatten()
    deviation = float(along.std()) if len(along) > 1 else 1.0
    vector = (plan.direction * (deviation or 1.0)).float()
    to_scores = held_out.targets.dtype != torch.bool
    faces = codes[torch.linspace(0, len(codes) - 1, min(_RANGE_FACES, len(codes))).long()].float()
    report = FitReport(
        name=name,
        counts=counts,
        to_scores=to_scores,
        accuracy=held_out.figure,
        interval=held_out.interval,
        folds=held_out.folds,
        held_out=held_out.scores,
        targets=held_out.targets,
        curve=held_out.curve,
        rising=held_out.rising,
        overlaps=_overlaps(model, plan.direction),
        kept_still=plan.kept_still,
        left_out=plan.left_out,
        warnings=tuple(warnings),
    )
    figure = "correlation" if to_scores else "accuracy"
    fitted = "scores of " if to_scores else ""
    how = settings.method if not to_scores or settings.method == MEAN_DIFFERENCE else "ridge"
    still = f", keeping {', '.join(plan.kept_still)}" if plan.kept_still else ""
    photos = str(counts[0]) if to_scores else f"{counts[0]} + {counts[1]}"
    direction = Direction(
        vector=vector,
        space=model.space,
        name=name,
        unit=f"one standard deviation of {name} over the {sum(counts)} faces it was fitted to",
        safe_range=safe_range(lambda part: plan.decode(part).cpu(), faces, vector),
        accuracy=None if held_out.figure is None else round(held_out.figure, 3),
        method=f"{how} fitted to {fitted}{photos} photos{still}; accuracy is the held-out {figure}",
    )
    return direction, report


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
    overlaps = _overlaps(model, direction)
    return tuple(n for n in model.directions if n in names or abs(overlaps[n]) < _ALIKE)


def _overlaps(model: FaceModel, direction: Tensor) -> dict[str, float]:
    """Cosine with each of the model's directions, the largest one of a batch."""
    result = {}
    for name, other in model.directions.items():
        rows = _stack(model, other).flatten(1).double()
        cosines = rows @ direction.flatten().double() / rows.norm(dim=1).clamp(min=1e-30)
        result[name] = float(cosines[cosines.abs().argmax()] / direction.norm())
    return result


def _stack(model: FaceModel, direction: Direction) -> Tensor:
    vector = direction.vector.detach().cpu().double()
    return vector if vector.ndim > model.space.latent_dims else vector[None]


def _checked(model: FaceModel, codes: Tensor) -> Tensor:
    """Codes as float64 on the CPU."""
    if tuple(codes.shape[1:]) != model.space.shape or not len(codes):
        raise FaceLatentsError(
            f"Fitting needs codes of shape (faces, {', '.join(map(str, model.space.shape))}) of "
            f"model '{model.name}'; got {tuple(codes.shape)}."
        )
    return codes.detach().cpu().double()


def _without_copies(codes: Tensor, labels: Tensor) -> tuple[Tensor, list[str]]:
    """Which codes to use: of the same photo twice in a group only the first; and warnings."""
    flat = codes.flatten(1)
    distances = latent_ops.pairwise(flat)
    typical = float(distances.flatten().median()) if len(codes) > 2 else 0.0
    kept, both, warnings = torch.ones(len(codes), dtype=torch.bool), 0, []
    close = (distances <= _DUPLICATE * typical).triu(1).nonzero().tolist()
    for first, second in close:
        if labels[first] == labels[second]:
            kept[second] = False
        else:
            both += 1
    if both:
        warnings.append(
            f"{both} photo(s) are in both groups. They pull the direction to nothing: take them "
            "out of one of them."
        )
    copies = int((~kept).sum())
    if copies:
        warnings.append(f"{copies} photo(s) are there more than once; each was used once.")
    return kept, warnings

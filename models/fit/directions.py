"""Fitting a direction to photos: two groups of codes, or codes with scores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import FaceLatentsError
from ..face_model import FaceModel
from ..threads import one_thread
from ..values import Direction
from .copies import without_copies
from .held_out import HeldOut, hold_out_groups, hold_out_scores
from .plan import MEAN_DIFFERENCE, Decode, FitPlan, FitSettings, overlaps_of, plan_fit
from .report import LOPSIDED, FitReport
from .safe_range import safe_range

_RANGE_FACES = 48  # that the safe range is tried on


@one_thread()
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
        negative: `(N, *shape)`, faces without the attribute.
        positive: `(M, *shape)`, faces with it.
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
    codes = torch.cat([_check_codes(model, negative), _check_codes(model, positive)])
    labels = torch.arange(len(codes)) >= len(negative)
    kept, warnings = without_copies(codes, labels)
    codes, labels = codes[kept], labels[kept]
    without, with_ = int((~labels).sum()), int(labels.sum())
    if max(without, with_) > LOPSIDED * min(without, with_):
        warnings.append(
            f"The groups are very unequal ({without} and {with_} photos); the smaller one decides "
            "how good the result is."
        )
    chosen = settings or FitSettings()
    plan = plan_fit(model, codes, labels, chosen, decode or model.decode)
    report = hold_out_groups(plan, labels, chosen)
    return _finish(model, plan, codes, name, report, (without, with_), warnings, chosen)


@one_thread()
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
        model, name, settings, decode: as `fit_direction`.
        codes: `(N, *shape)`.
        scores: `(N,)`.

    Raises:
        FaceLatentsError: as `fit_direction`; also scores that do not vary.
    """
    codes = _check_codes(model, codes)
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
    plan = plan_fit(model, codes, scores, chosen, decode or model.decode)
    report = hold_out_scores(plan, scores, chosen)
    return _finish(model, plan, codes, name, report, (len(codes), 0), [], chosen)


def _finish(
    model: FaceModel,
    plan: FitPlan,
    codes: Tensor,
    name: str,
    held_out: HeldOut,
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
        overlaps=overlaps_of(model, plan.direction),
        kept_still=plan.kept_still,
        left_out=plan.left_out,
        warnings=tuple(warnings),
    )
    figure = "correlation" if to_scores else "accuracy"
    fitted = "scores of " if to_scores else ""
    how = settings.method if not to_scores or settings.method == MEAN_DIFFERENCE else "ridge"
    still = f", keeping {', '.join(plan.kept_still)}" if plan.kept_still else ""
    photos = str(counts[0]) if to_scores else f"{counts[0]} + {counts[1]}"
    quick = model.capabilities.quick_decode  # hundreds of pictures, of which only light counts
    decode = plan.decode if quick is None else lambda part: quick(part.to(model.device))
    direction = Direction(
        vector=vector,
        space=model.space,
        name=name,
        unit=f"one standard deviation of {name} over the {sum(counts)} faces it was fitted to",
        safe_range=safe_range(lambda part: decode(part).cpu(), faces, vector),
        accuracy=None if held_out.figure is None else round(held_out.figure, 3),
        method=f"{how} fitted to {fitted}{photos} photos{still}; accuracy is the held-out {figure}",
    )
    return direction, report


def _check_codes(model: FaceModel, codes: Tensor) -> Tensor:
    """Codes as float64 on the CPU."""
    if tuple(codes.shape[1:]) != model.space.shape or not len(codes):
        raise FaceLatentsError(
            f"Fitting needs codes of shape (faces, {', '.join(map(str, model.space.shape))}) of "
            f"model '{model.name}'; got {tuple(codes.shape)}."
        )
    return codes.detach().cpu().double()

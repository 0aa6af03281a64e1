"""What the Fit Direction nodes share: their settings, running a fit, and showing its result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ....models.charts import THEMES, to_image
from ....models.face_model import FaceModel
from ....models.fit.chart import fit_chart
from ....models.fit.directions import fit_direction, fit_scores
from ....models.fit.plan import EVERY, FIT_METHODS, FitSettings, require_directions
from ....models.fit.report import FitReport
from ....models.values import Direction
from ... import host, validate, widgets
from ...compute import decode_codes
from ...draw import save_preview

RETURN_TYPES = (widgets.FACE_DIRECTION, "STRING", "IMAGE")
RETURN_NAMES = ("direction", "report", "chart")
OUTPUT_TOOLTIPS = (
    "The direction, for Add Direction, Attribute Sliders (extra inputs) and Save Direction.",
    "How well it works on photos it has not seen, what it overlaps with, warnings and advice.",
    "How held-out photos score, and how the accuracy grows with the number of photos.",
)
MOST_FOLDS = 50


def setting_inputs() -> dict[str, widgets.InputSpec]:
    """The inputs that say how to fit."""
    return {
        "name": widgets.text("my direction", "What the direction is called."),
        "method": widgets.choice(
            FIT_METHODS,
            "logistic boundary: across the line that parts the groups best. LDA: with shrinkage, "
            "better for very few photos. mean difference: from one group's mean to the other's.",
        ),
        "keep_still": widgets.text(
            "",
            "Directions of the model that must not change along, separated by commas, such as "
            f"age, glasses. '{EVERY}' keeps all of them but those this one does much the same as.",
        ),
    }


def advanced_inputs() -> dict[str, widgets.InputSpec]:
    """The inputs that few need."""
    return {
        "folds": widgets.integer(
            10,
            2,
            MOST_FOLDS,
            "Cross-validation: the photos are split so many ways, each part is held out once.",
            advanced=True,
        ),
        "seed": widgets.integer(0, 0, 0x7FFFFFFF, "Which split of the photos.", advanced=True),
        "theme": widgets.theme(),
    }


def settings_of(
    model: FaceModel, method: object, keep_still: object, folds: object, seed: object
) -> FitSettings:
    """Settings as the fit takes them.

    Raises:
        FaceLatentsError: an unknown method or direction.
    """
    typed = (part.strip() for part in str(keep_still).replace("\n", ",").split(","))
    names = tuple(name for name in typed if name)
    require_directions(model, names)  # before photos are read, which takes time
    return FitSettings(
        validate.one_of(method, FIT_METHODS, "method"),
        names,
        validate.whole(folds, "folds", 2, MOST_FOLDS),
        validate.whole(seed, "seed", 0),
    )


def fitted_groups(
    model: FaceModel,
    without: Tensor,
    with_: Tensor,
    name: object,
    settings: FitSettings,
    theme: str,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit two groups of codes and return what the node shows and hands on."""
    host.check_interrupt()
    direction, report = fit_direction(
        model, without, with_, _name(name), settings, lambda codes: _decode(model, codes)
    )
    return _shown(direction, report, theme, notes)


def fitted_scores(
    model: FaceModel,
    codes: Tensor,
    scores: Sequence[float],
    name: object,
    settings: FitSettings,
    theme: str,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Fit scores and return what the node shows and hands on."""
    host.check_interrupt()
    direction, report = fit_scores(
        model,
        codes,
        torch.tensor(scores, dtype=torch.float64),
        _name(name),
        settings,
        lambda part: _decode(model, part),
    )
    return _shown(direction, report, theme, notes)


def _decode(model: FaceModel, codes: Tensor) -> Tensor:
    return decode_codes(model, codes.float(), "Trying the direction")


def _name(name: object) -> str:
    return str(name).strip() or "my direction"


def _shown(
    direction: Direction, report: FitReport, theme: str, notes: Sequence[str]
) -> dict[str, Any]:
    low, high = direction.safe_range
    lines = [
        report.text(),
        f"strength 1: {direction.unit}",
        f"looks natural from {low:g} to {high:g}",
        *notes,
    ]
    text = "\n".join(lines)
    chart = fit_chart(report, validate.one_of(theme, THEMES, "theme"))
    ui: dict[str, Any] = {"text": [text]}
    picture = torch.zeros(64, 64, 3)
    if chart is not None:
        picture = to_image(chart)
        ui["images"] = [save_preview(picture, "face_latents_fit")]
    image = picture.unsqueeze(0).to(host.intermediate_device())
    return {"ui": ui, "result": (direction, text, image)}

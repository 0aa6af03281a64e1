"""What the Fit Direction nodes share: their settings, running a fit, and showing its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ....models.face_model import FaceModel
from ....models.fit.chart import fit_chart
from ....models.fit.directions import fit_direction, fit_scores
from ....models.fit.plan import EVERY, FIT_METHODS, FitSettings, require_directions
from ....models.fit.report import FitReport
from ....models.values import Direction
from ... import host, validate, widgets
from ...compute import decode_codes
from ...draw import Chart, preview, stack_charts

MOST_FOLDS = 50

SETTINGS = {
    "name": widgets.direction_name(),
    "method": widgets.choice(
        FIT_METHODS,
        "logistic boundary: across the line that parts the groups best. LDA: with shrinkage, "
        "better for very few photos. mean difference: from one group's mean to the other's.",
    ),
    "keep_still": widgets.text(
        "",
        "Directions of the model that must not change along, separated by commas, such as age, "
        f"glasses. '{EVERY}' keeps all of them but those this one does much the same as.",
    ),
}


class FitNode(Chart):
    """A node that fits a direction to groups of faces."""

    OUTPUTS = {
        "direction": (
            widgets.FACE_DIRECTION,
            "The direction, for Add Direction, Attribute Sliders (extra inputs) and Save "
            "Direction.",
        ),
        "report": (
            "STRING",
            "How well it works on photos it has not seen, what it overlaps with, warnings and "
            "advice.",
        ),
        "chart": (
            "IMAGE",
            "How held-out photos score, and how the accuracy grows with the number of photos.",
        ),
    }
    OPTIONAL = {
        "folds": widgets.integer(
            (10, 2, MOST_FOLDS),
            "Cross-validation: the photos are split so many ways, each part is held out once.",
            advanced=True,
        ),
        "seed": widgets.seed("Which split of the photos.", advanced=True),
        "theme": widgets.theme(),
    }


class Fit:
    """One fit, as the inputs that all Fit Direction nodes share describe it.

    Args:
        model: whose codes are fitted.
        name: of the new direction.
        method: one of FIT_METHODS.
        keep_still: names of directions, separated by commas.
        folds: of the cross-validation.
        seed: of its split.
        theme: of the chart.

    Raises:
        FaceLatentsError: an unknown direction.
    """

    def __init__(
        self,
        model: FaceModel,
        name: str,
        method: str,
        keep_still: str,
        folds: int,
        seed: int,
        theme: str,
    ) -> None:
        names = tuple(validate.names_in(keep_still))
        require_directions(model, names)  # before photos are read, which takes time
        self.model, self.theme = model, theme
        self.name = name.strip() or widgets.MY_DIRECTION
        self.settings = FitSettings(method, names, folds, seed)

    def groups(self, without: Tensor, with_: Tensor, notes: Sequence[str] = ()) -> dict[str, Any]:
        """Fit two groups of codes `(N, *shape)`; returns what the node shows and hands on."""
        return self._run(fit_direction, without, with_, notes)

    def scores(
        self, codes: Tensor, scores: Sequence[float], notes: Sequence[str]
    ) -> dict[str, Any]:
        """Fit the score of each code; returns what the node shows and hands on."""
        return self._run(fit_scores, codes, torch.tensor(scores, dtype=torch.float64), notes)

    def _run(
        self,
        fit: Callable[..., tuple[Direction, FitReport]],
        first: Tensor,
        second: Tensor,
        notes: Sequence[str],
    ) -> dict[str, Any]:
        with host.Progress(0, f"Fitting '{self.name}' and trying it on photos held out"):
            direction, report = fit(
                self.model, first, second, self.name, self.settings, self._decode
            )
        low, high = direction.safe_range
        lines = [
            report.text(),
            f"strength 1: {direction.unit}",
            f"looks natural from {low:g} to {high:g}",
            *notes,
        ]
        text = "\n".join(lines)
        chart = fit_chart(report, self.theme)
        if chart is None:
            blank = torch.zeros(1, 64, 64, 3, device=host.intermediate_device())
            return {"ui": {"text": [text]}, "result": (direction, text, blank)}
        image = stack_charts(chart)
        ui = preview(image, "face_latents_fit", text)
        return {"ui": ui, "result": (direction, text, image)}

    def _decode(self, codes: Tensor) -> Tensor:
        return decode_codes(self.model, codes.float(), "Trying the direction")

"""The chart of a fit: how held-out photos score, and what more photos would bring."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..charts import line_chart, scatter_chart
from .report import FitReport

_BINS = 24
_REACH = 4.0  # scores are drawn from -4 to 4


def fit_chart(report: FitReport, theme: str = "dark") -> Image.Image | None:
    """Histogram of held-out scores above the learning curve; for scores, predictions.

    Args:
        report: of the fit.
        theme: `dark` or `light`.

    Returns:
        An RGB picture 768 wide, or None where nothing could be held out.
    """
    if report.accuracy is None:
        return None
    low, high = report.interval
    if report.to_scores:
        figure = f"{report.accuracy:.2f} ({low:.2f} to {high:.2f})"
        title = f"{report.name}: held-out correlation {figure}"
        given = report.targets.double()
        points = np.stack([given.numpy(), report.held_out.double().numpy()], 1)
        groups = ["given (across), predicted (up)"] * len(points)
        return scatter_chart(points, title, groups=groups, theme=theme)
    title = f"{report.name}: held-out accuracy {report.accuracy:.1%} ({low:.0%} to {high:.0%})"
    charts = [
        line_chart(
            {"without": _outline(report, False), "with": _outline(report, True)},
            title,
            "score of photos that were held out (votes 'with' above 0)",
            "photos",
            theme=theme,
        )
    ]
    if len(report.curve) > 1:
        sizes = list(report.curve)
        curves = {
            "accuracy": (sizes, [100 * value for value in report.curve.values()]),
            "chance": ([sizes[0], sizes[-1]], [50.0, 50.0]),
        }
        charts.append(
            line_chart(
                curves, "What more photos bring", "photos per group", "accuracy (%)", theme=theme
            )
        )
    return _below_each_other(charts)


def _outline(report: FitReport, label: bool) -> tuple[list[float], list[float]]:
    """Photos of a group by score: middles of the bins, and how many fall into each."""
    scores = report.held_out[report.targets == label].double().clamp(-_REACH, _REACH).numpy()
    counts, edges = np.histogram(scores, _BINS, (-_REACH, _REACH))
    return ((edges[:-1] + edges[1:]) / 2).tolist(), counts.astype(float).tolist()


def _below_each_other(charts: list[Image.Image]) -> Image.Image:
    width = max(chart.width for chart in charts)
    joined = Image.new("RGB", (width, sum(chart.height for chart in charts)))
    top = 0
    for chart in charts:
        joined.paste(chart, (0, top))
        top += chart.height
    return joined

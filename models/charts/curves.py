"""Curves, and maps of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .axes import LABEL, SIZE, Axes, finite_numbers, pad_limits
from .style import fit_text, font_of, text_size, tile


def line_chart(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    title: str,
    x_label: str = "",
    y_label: str = "",
    *,
    theme: str = "dark",
    size: tuple[int, int] = SIZE,
) -> Image.Image:
    """Curves over a common axis, told apart by colour and by the shape of their marks.

    Args:
        series: name -> (x values, y values), equally many, at least one; drawn in the order given.
        title: written above; may be empty.
        x_label: name of the horizontal axis.
        y_label: name of the vertical axis.
        theme: `dark` or `light`.
        size: (width, height) in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: no series, empty ones, counts that differ, values that are not finite.
    """
    if not series:
        raise ValueError("a line chart needs at least one series.")
    curves = {}
    for name, (xs, ys) in series.items():
        curves[name] = finite_numbers(xs, f"x of '{name}'"), finite_numbers(ys, f"y of '{name}'")
        if curves[name][0].shape != curves[name][1].shape:
            raise ValueError(f"'{name}' has {len(xs)} x values and {len(ys)} y values.")
    axes = Axes(title, theme, size)
    if len(curves) > 1:
        axes.legend(list(curves))
    axes.reserve_bottom(x_label)
    all_x = np.concatenate([x for x, _ in curves.values()])
    all_y = np.concatenate([y for _, y in curves.values()])
    axes.value_axis(*pad_limits(float(all_y.min()), float(all_y.max())), y_label)
    axes.bottom_axis(*pad_limits(float(all_x.min()), float(all_x.max()), 0.02), x_label)
    axes.draw.line((axes.left, axes.bottom, axes.right, axes.bottom), axes.theme.quiet, axes.px(1))
    for index, curve in enumerate(curves.values()):
        points = [(axes.x(x), axes.y(y)) for x, y in zip(*(v.tolist() for v in curve), strict=True)]
        if len(points) > 1:
            axes.draw.line(points, axes.colour(index), axes.px(2.5), joint="curve")
        every = max(1, len(points) // 12)  # marks of a long curve would hide it
        for x, y in points[::every]:
            axes.mark(x, y, index, axes.px(5))
    return axes.finish()


def scatter_chart(
    points: Tensor | NDArray[np.floating] | Sequence[Sequence[float]],
    title: str,
    *,
    thumbnails: Sequence[Tensor | None] | None = None,
    groups: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
    theme: str = "dark",
    size: tuple[int, int] = SIZE,
) -> Image.Image:
    """A map of points, both axes in the same scale, so that distances can be compared.

    Args:
        points: `(N, 2)`, N >= 1.
        title: written above; may be empty.
        thumbnails: N pictures `(3, H, W)` in [0, 1] drawn instead of marks; None for a mark.
        groups: N names; each group has its colour, mark and entry in the legend.
        labels: N names written next to the points, left out where they would overlap.
        theme: `dark` or `light`.
        size: (width, height) in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: not `(N, 2)`, values that are not finite, or counts that differ.
    """
    places = finite_numbers(points, "points")
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"points must have shape (N, 2); got {places.shape}.")
    for name, given in (("thumbnails", thumbnails), ("groups", groups), ("labels", labels)):
        if given is not None and len(given) != len(places):
            raise ValueError(f"{len(places)} points need as many {name}; got {len(given)}.")
    names = list(dict.fromkeys(groups or ()))
    axes = Axes(title, theme, size)
    if names:
        axes.legend(names)
    axes.reserve_bottom("")
    side = _thumbnail_side(axes, len(places)) if thumbnails is not None else axes.px(12)
    _equal_scales(axes, places, side)
    for index, (x, y) in enumerate(places.tolist()):
        group = names.index(groups[index]) if groups is not None else 0
        thumbnail = None if thumbnails is None else thumbnails[index]
        if thumbnail is None:
            axes.mark(axes.x(x), axes.y(y), group, axes.px(7))
        else:
            colour = axes.colour(group) if names else axes.theme.grid
            _thumbnail(axes, tile(thumbnail, (side, side)), axes.x(x), axes.y(y), colour)
    if labels is not None:
        distances = [
            axes.px(8) if thumbnails is None or thumbnails[index] is None else side / 2 + axes.px(3)
            for index in range(len(places))
        ]
        _point_labels(axes, labels, places, distances)
    return axes.finish()


def _thumbnail_side(axes: Axes, count: int) -> int:
    area = (axes.right - axes.left) * (axes.bottom - axes.top)
    return int(min(max(math.sqrt(area * 0.4 / count), axes.px(36)), axes.px(104)))


def _thumbnail(
    axes: Axes, picture: Image.Image, x: float, y: float, colour: tuple[int, int, int]
) -> None:
    """A framed picture with its middle at (x, y)."""
    half, edge = picture.width / 2, axes.px(3)
    around = (x - half - edge, y - half - edge, x + half + edge, y + half + edge)
    axes.draw.rectangle(around, colour)
    axes.image.paste(picture, (round(x - half), round(y - half)))


def _equal_scales(axes: Axes, places: NDArray[np.float64], side: int) -> None:
    """Limits that show every point whole, with one unit equally long along both axes."""
    (x_low, y_low), (x_high, y_high) = places.min(0).tolist(), places.max(0).tolist()
    width = axes.right - axes.left - axes.px(60) - side * 1.2
    height = axes.bottom - axes.top - side * 1.2
    scale = max((x_high - x_low) / width, (y_high - y_low) / height)
    scale = scale if scale > 0 else 1.0 / min(width, height)
    half_y = scale * (axes.bottom - axes.top) / 2
    middle_x, middle_y = (x_low + x_high) / 2, (y_low + y_high) / 2
    axes.value_axis(middle_y - half_y, middle_y + half_y)
    half_x = scale * (axes.right - axes.left) / 2
    axes.bottom_axis(middle_x - half_x, middle_x + half_x, grid=True)


def _point_labels(
    axes: Axes, labels: Sequence[str], places: NDArray[np.float64], distances: Sequence[float]
) -> None:
    """Each name below (at the bottom: above) its point, unless another name is there."""
    size = axes.px(LABEL * 0.9)
    taken: list[tuple[float, float, float, float]] = []
    for label, (px, py), distance in zip(labels, places.tolist(), distances, strict=True):
        words, _ = fit_text(label, size, axes.px(160))
        width, height = text_size(words, size)
        left = min(max(axes.x(px) - width / 2, axes.left), axes.right - width)
        top = axes.y(py) + distance
        if top + height > axes.bottom:
            top = axes.y(py) - distance - height
        right, bottom = left + width, top + height
        if any(left < r and x < right and top < b and y < bottom for x, y, r, b in taken):
            continue
        taken.append((left, top, right, bottom))
        axes.draw.text(
            (left, top), words, axes.theme.ink, font_of(size),
            stroke_width=axes.px(2), stroke_fill=axes.theme.background,
        )  # fmt: skip

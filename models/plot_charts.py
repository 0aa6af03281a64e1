"""Bars, lines and maps of points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from .plot_axes import LABEL, Axes, padded
from .plot_style import fitted, text_size, tile

SIZE = (768, 480)


def bar_chart(
    values: Sequence[float],
    labels: Sequence[str],
    title: str,
    *,
    highlight: Sequence[int] = (),
    theme: str = "dark",
    size: tuple[int, int] = SIZE,
) -> Image.Image:
    """Signed bars from zero.

    Args:
        values: N >= 1 numbers.
        labels: one name per bar; written level where they fit, else upright. With many bars the
            highlighted ones keep their names (tied to their bars by lines) and only some others do.
        title: written above; may be empty.
        highlight: positions of bars to colour; the others are grey. Empty: all are coloured.
        theme: ``dark`` or ``light``.
        size: (width, height) in pixels.

    Returns:
        An RGB picture; the same input gives the same pixels.

    Raises:
        ValueError: nothing to draw, values that are not finite, or counts that differ.
    """
    numbers = _finite(values, "values")
    if numbers.ndim != 1 or len(numbers) != len(labels):
        raise ValueError(f"{len(numbers)} bars need as many labels; got {len(labels)}.")
    marked = _positions(highlight, len(numbers))
    axes = Axes(title, theme, size)
    names = _BarNames(axes, labels, marked)
    axes.bottom -= names.height
    low, high = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    room = (high - low) * 0.04 or 1.0
    axes.value_axis(low - room * (low < 0), high + room * (high > 0 or low == 0))
    step = (axes.right - axes.left) / len(numbers)
    centres = [axes.left + (index + 0.5) * step for index in range(len(numbers))]
    zero = axes.y(0.0)
    for index, (x, value) in enumerate(zip(centres, numbers.tolist(), strict=True)):
        colour = axes.colour(0) if not marked or index in marked else axes.theme.quiet
        half = max(step * 0.4, 0.5)
        top, bottom = sorted((axes.y(value), zero))
        axes.draw.rectangle((x - half, top, x + half, max(top, bottom)), colour)
    axes.draw.line((axes.left, zero, axes.right, zero), axes.theme.ink, axes.px(1.5))
    names.draw(centres)
    return axes.finished()


class _BarNames:
    """The names under the bars: which fit, and whether level or upright."""

    def __init__(self, axes: Axes, labels: Sequence[str], marked: frozenset[int]) -> None:
        self.axes, self.marked = axes, marked
        self.size = axes.px(LABEL)
        width = axes.right - axes.left - axes.px(70)  # about what the value axis leaves
        self.labels = [fitted(label, self.size, axes.px(185))[0] for label in labels]
        self.first = sorted(marked) or list(range(len(labels)))
        level = sum(text_size(self.labels[i], self.size)[0] + self.size * 0.7 for i in self.first)
        self.upright = level > width
        longest = max((text_size(self.labels[i], self.size)[0] for i in self.first), default=0)
        line = text_size("", self.size)[1]
        self.tied = bool(marked) and len(marked) < len(labels)  # names may leave their bars
        self.height = (longest if self.upright else line) + axes.px(24 if self.tied else 8)

    def draw(self, centres: Sequence[float]) -> None:
        axes, placed = self.axes, []  # (middle, half width) of names drawn so far
        top = axes.bottom + axes.px(18 if self.tied else 6)
        wanted = [centres[i] for i in self.first]
        spread = _spread(wanted, [self._extent(i) for i in self.first], axes.left, axes.right)
        if spread is None:  # more highlighted names than fit: every second, third, ...
            others = self.first
        else:
            others = [i for i in range(len(centres)) if i not in set(self.first)]
            for index, x in zip(self.first, spread, strict=True):
                self._name(index, x, top, axes.theme.ink)
                placed.append((x, self._extent(index) / 2))
                if self.tied:
                    ends = (centres[index], axes.bottom + axes.px(2), x, top - axes.px(2))
                    axes.draw.line(ends, axes.colour(0), axes.px(1.5))
        every = _round_stride(len(centres), self._room(others, centres))
        for index in others[::every] if spread is None else [i for i in others if i % every == 0]:
            half = self._extent(index) / 2
            x = centres[index]
            if all(abs(x - middle) >= half + other for middle, other in placed):
                self._name(index, x, top, axes.theme.quiet)
                placed.append((x, half))

    def _room(self, others: Sequence[int], centres: Sequence[float]) -> float:
        """Bars that the widest of the names needs."""
        step = (self.axes.right - self.axes.left) / len(centres)
        return max((self._extent(index) for index in others), default=0.0) / step

    def _extent(self, index: int) -> float:
        if self.upright:
            return self.size * 1.1
        return text_size(self.labels[index], self.size)[0] + self.size * 0.5

    def _name(self, index: int, x: float, top: float, colour: tuple[int, int, int]) -> None:
        if self.upright:
            self.axes.upright(x, top, self.labels[index], self.size, colour)
        else:
            self.axes.text((x, top), self.labels[index], self.size, colour, "ma")


def _round_stride(count: int, room: float) -> int:
    """Every how manyth name is drawn: the first of 1, 2, 5, 10, ... that leaves enough room."""
    power = 1
    while power <= count:
        for factor in (1, 2, 5):
            if factor * power >= room:
                return factor * power
        power *= 10
    return count


def _spread(
    centres: Sequence[float], widths: Sequence[float], low: float, high: float
) -> list[float] | None:
    """Middles nearest to `centres` (ascending) without overlap, or None where they do not fit."""
    if sum(widths) > high - low:
        return None
    places: list[float] = []
    edge = low
    for centre, width in zip(centres, widths, strict=True):
        places.append(max(centre, edge + width / 2))
        edge = places[-1] + width / 2
    edge = high
    for index in range(len(places) - 1, -1, -1):
        places[index] = min(places[index], edge - widths[index] / 2)
        edge = places[index] - widths[index] / 2
    return places


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
        theme: ``dark`` or ``light``.
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
        curves[name] = _finite(xs, f"x of '{name}'"), _finite(ys, f"y of '{name}'")
        if curves[name][0].shape != curves[name][1].shape:
            raise ValueError(f"'{name}' has {len(xs)} x values and {len(ys)} y values.")
    axes = Axes(title, theme, size)
    if len(curves) > 1:
        axes.legend(list(curves))
    axes.reserve_bottom(x_label)
    all_x = np.concatenate([x for x, _ in curves.values()])
    all_y = np.concatenate([y for _, y in curves.values()])
    axes.value_axis(*padded(float(all_y.min()), float(all_y.max())), y_label)
    axes.bottom_axis(*padded(float(all_x.min()), float(all_x.max()), 0.02), x_label)
    axes.draw.line((axes.left, axes.bottom, axes.right, axes.bottom), axes.theme.quiet, axes.px(1))
    for index, curve in enumerate(curves.values()):
        points = [(axes.x(x), axes.y(y)) for x, y in zip(*(v.tolist() for v in curve), strict=True)]
        if len(points) > 1:
            axes.draw.line(points, axes.colour(index), axes.px(2.5), joint="curve")
        every = max(1, len(points) // 12)  # marks of a long curve would hide it
        for x, y in points[::every]:
            axes.mark(x, y, index, axes.px(5))
    return axes.finished()


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
        points: ``(N, 2)``, N >= 1.
        title: written above; may be empty.
        thumbnails: N pictures ``(3, H, W)`` in [0, 1] drawn instead of marks; None for a mark.
        groups: N names; each group has its colour, mark and entry in the legend.
        labels: N names written next to the points, left out where they would overlap.
        theme: ``dark`` or ``light``.
        size: (width, height) in pixels.

    Returns:
        An RGB picture.

    Raises:
        ValueError: not ``(N, 2)``, values that are not finite, or counts that differ.
    """
    places = _finite(points, "points")
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
    taken: list[tuple[float, float, float, float]] = []
    for index, (px, py) in enumerate(places.tolist()):
        x, y = axes.x(px), axes.y(py)
        group = names.index(groups[index]) if groups is not None else 0
        thumbnail = None if thumbnails is None else thumbnails[index]
        if thumbnail is None:
            axes.mark(x, y, group, axes.px(7))
        else:
            half, edge = side / 2, axes.px(3)
            around = (x - half - edge, y - half - edge, x + half + edge, y + half + edge)
            axes.draw.rectangle(around, axes.colour(group) if names else axes.theme.grid)
            axes.image.paste(tile(thumbnail, (side, side)), (round(x - half), round(y - half)))
        if labels is not None:
            distance = axes.px(9) if thumbnail is None else side / 2 + axes.px(3)
            _point_label(axes, labels[index], x, y, distance, taken)
    return axes.finished()


def _thumbnail_side(axes: Axes, count: int) -> int:
    area = (axes.right - axes.left) * (axes.bottom - axes.top)
    return int(min(max(math.sqrt(area * 0.4 / count), axes.px(36)), axes.px(104)))


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


def _point_label(
    axes: Axes,
    label: str,
    x: float,
    y: float,
    distance: float,
    taken: list[tuple[float, float, float, float]],
) -> None:
    """The name below (at the bottom: above) the point (x, y), unless another name is there."""
    size = axes.px(LABEL * 0.9)
    words, _ = fitted(label, size, axes.px(160))
    width, height = text_size(words, size)
    left = min(max(x - width / 2, 0), axes.image.width - width)
    top = y + distance
    if top + height > axes.bottom:
        top = y - distance - height
    box = (left, top, left + width, top + height)
    if any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in taken
    ):
        return
    taken.append(box)
    axes.draw.rectangle(box, axes.theme.background)
    axes.text((left, top), words, size, axes.theme.ink)


def _finite(values: object, name: str) -> NDArray[np.float64]:
    array = np.asarray(
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values,
        dtype=np.float64,
    )
    if array.size == 0:
        raise ValueError(f"{name}: there is nothing to draw.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers (no NaN, no infinity).")
    return array


def _positions(highlight: Sequence[int], count: int) -> frozenset[int]:
    wrong = [index for index in highlight if not 0 <= int(index) < count]
    if wrong:
        raise ValueError(f"highlight must name bars 0 to {count - 1}; got {wrong}.")
    return frozenset(int(index) for index in highlight)

"""Bar charts: signed bars, and names that find room below them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from .axes import LABEL, SIZE, Axes, finite_numbers
from .style import Colour, fit_text, text_size


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
        theme: `dark` or `light`.
        size: (width, height) in pixels.

    Returns:
        An RGB picture; the same input gives the same pixels.

    Raises:
        ValueError: nothing to draw, values that are not finite, or counts that differ.
    """
    numbers = finite_numbers(values, "values")
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
    return axes.finish()


class _BarNames:
    """The names under the bars: which fit, and whether level or upright."""

    def __init__(self, axes: Axes, labels: Sequence[str], marked: frozenset[int]) -> None:
        self.axes, self.marked = axes, marked
        self.size = axes.px(LABEL)
        width = axes.right - axes.left - axes.px(70)  # about what the value axis leaves
        self.labels = [fit_text(label, self.size, axes.px(185))[0] for label in labels]
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

    def _name(self, index: int, x: float, top: float, colour: Colour) -> None:
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


def _positions(highlight: Sequence[int], count: int) -> frozenset[int]:
    wrong = [index for index in highlight if not 0 <= int(index) < count]
    if wrong:
        raise ValueError(f"highlight must name bars 0 to {count - 1}; got {wrong}.")
    return frozenset(int(index) for index in highlight)

"""The frame of a chart: title, legend, ticks, grid, and marks that differ in colour and shape."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from .style import Colour, fit_text, font_of, scientific, text_size, theme_of, upright_text

SIZE = (768, 480)  # of a chart, in pixels
FINER = 2  # drawn so many times larger, then reduced: smooth slanted lines and dots
TITLE, LABEL = 27, 21  # text sizes in a chart of 768 x 480, 14 and 11 when shown 400 wide
MARGIN = 16
MARKS = ("circle", "square", "triangle", "diamond", "cross", "plus", "down")

Limits = tuple[float, float]


def finite_numbers(values: object, name: str) -> NDArray[np.float64]:
    """`values` as float64; ValueError, naming them, where there are none or some are not finite."""
    array = np.asarray(
        values.detach().cpu().double().numpy() if isinstance(values, Tensor) else values,
        dtype=np.float64,
    )
    if array.size == 0:
        raise ValueError(f"{name}: there is nothing to draw.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers (no NaN, no infinity).")
    return array


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, about `count`, that lie within low and high (low < high)."""
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(value: float, ticks: Sequence[float]) -> str:
    """`value` with as many decimals as tell neighbouring ticks apart."""
    if value == 0:
        return "0"
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(value)
    largest = max(abs(ticks[0]), abs(ticks[-1]))
    if step < 1e-4 or largest >= 1e6:
        return scientific(value, max(0, math.floor(math.log10(largest / step))) + 1)
    # Steps of 2.5 need one decimal more than steps of 2.
    decimals = next(d for d in range(7) if abs(round(step, d) - step) < 1e-3 * step or d == 6)
    return f"{value:.{decimals}f}"


def pad_limits(low: float, high: float, share: float = 0.05) -> Limits:
    """Limits with some room; a range of its own where all values are equal."""
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-30):
        room = abs(high) * 0.5 or 1.0
        return low - room, high + room
    room = (high - low) * share
    return low - room, high + room


class Axes:
    """A chart under construction; all positions are in its own fine pixels."""

    def __init__(self, title: str, theme: str, size: tuple[int, int]) -> None:
        if min(size) < 64:
            raise ValueError(f"a chart needs at least 64 x 64 pixels; got {size[0]} x {size[1]}.")
        self.theme = theme_of(theme)
        self.unit = FINER * min(size[0] / 768, size[1] / 480)
        self.image = Image.new("RGB", (size[0] * FINER, size[1] * FINER), self.theme.background)
        self.draw = ImageDraw.Draw(self.image)
        self.left = self.top = self.px(MARGIN)
        self.right = self.image.width - self.px(MARGIN)
        self.bottom = self.image.height - self.px(MARGIN)
        self.x_limits: Limits = (0.0, 1.0)
        self.y_limits: Limits = (0.0, 1.0)
        if title:
            words, text = fit_text(title, self.px(TITLE), self.right - self.left, self.px(LABEL))
            self.text((self.left, self.top), words, text, self.theme.ink)
            self.top += self.px(TITLE * 1.5)

    def px(self, size: float) -> int:
        return max(1, round(size * self.unit))

    def text(
        self, at: tuple[float, float], words: str, size: int, colour: Colour, anchor: str = "la"
    ) -> None:
        self.draw.text(at, words, colour, font_of(size), anchor=anchor)

    def upright(self, x: float, top: float, words: str, size: int, colour: Colour) -> None:
        """Text that reads upwards and ends at `top`, its middle at x."""
        turned = upright_text(words, size)
        self.image.paste(colour, (round(x - turned.width / 2), round(top)), turned)

    def legend(self, names: Sequence[str], rows: int = 2) -> None:
        """Marks and names below the title, as many as fit `rows` lines."""
        size, gap = self.px(LABEL), self.px(14)
        x, y, line = self.left, self.top, 1
        for index, name in enumerate(names):
            words, _ = fit_text(name, size, (self.right - self.left) * 0.45)
            width = gap * 2 + text_size(words, size)[0]
            if x + width > self.right and x > self.left:
                if line == rows:
                    rest = f"+ {len(names) - index} more"
                    x = min(x, self.right - text_size(rest, size)[0])
                    self.text((x, y), rest, size, self.theme.quiet)
                    break
                x, y, line = self.left, y + self.px(LABEL * 1.4), line + 1
            self.mark(x + gap // 2, y + size * 0.62, index, self.px(7))
            self.text((x + gap * 1.4, y), words, size, self.theme.ink)
            x += width + gap
        self.top = y + self.px(LABEL * 1.6)

    def value_axis(self, low: float, high: float, label: str = "") -> None:
        """Limits, grid and tick labels of the vertical axis; call after the bottom is settled."""
        self.y_limits = (low, high)
        size = self.px(LABEL)
        if label:
            name, _ = fit_text(label, size, self.bottom - self.top)
            self.upright(self.left + size * 0.6, self.top, name, size, self.theme.quiet)
            self.left += self.px(LABEL * 1.5)
        ticks = nice_ticks(low, high)
        words = [tick_text(tick, ticks) for tick in ticks]
        self.left += max((text_size(word, size)[0] for word in words), default=0) + self.px(8)
        for tick, word in zip(ticks, words, strict=True):
            y = self.y(tick)
            colour = self.theme.quiet if tick == 0 else self.theme.grid
            self.draw.line((self.left, y, self.right, y), colour, self.px(1))
            self.text((self.left - self.px(8), y), word, size, self.theme.quiet, "rm")

    def reserve_bottom(self, label: str) -> None:
        """Room for `bottom_axis`, taken before the vertical axis is drawn."""
        self.bottom -= self.px(LABEL * 1.5) * (2 if label else 1)

    def bottom_axis(self, low: float, high: float, label: str = "", grid: bool = False) -> None:
        """Limits, tick labels and name of the horizontal axis."""
        self.x_limits = (low, high)
        size = self.px(LABEL)
        ticks = nice_ticks(low, high, 6)
        for tick in ticks:
            x = self.x(tick)
            if grid:
                self.draw.line((x, self.top, x, self.bottom), self.theme.grid, self.px(1))
            word = tick_text(tick, ticks)
            half = text_size(word, size)[0] / 2
            x = min(max(x, half), self.image.width - half)
            self.text((x, self.bottom + self.px(6)), word, size, self.theme.quiet, "ma")
        if label:
            words, _ = fit_text(label, size, self.right - self.left)
            middle = (self.left + self.right) / 2
            at = middle, self.bottom + self.px(LABEL * 1.6)
            self.text(at, words, size, self.theme.quiet, "ma")

    def x(self, value: float) -> float:
        low, high = self.x_limits
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_limits
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def colour(self, index: int) -> Colour:
        return self.theme.series[index % len(self.theme.series)]

    def mark(self, x: float, y: float, index: int, radius: float) -> None:
        """The sign of series `index`: colour and shape both differ."""
        colour = self.colour(index)
        # Another shape each time the colours start again, and from one colour to the next.
        kind = MARKS[(index + index // len(self.theme.series)) % len(MARKS)]
        r = radius
        if kind == "circle":
            self.draw.ellipse((x - r, y - r, x + r, y + r), colour)
        elif kind == "square":
            self.draw.rectangle((x - r * 0.9, y - r * 0.9, x + r * 0.9, y + r * 0.9), colour)
        elif kind in ("cross", "plus"):
            d = r if kind == "plus" else r * 0.75
            ends = ((d, 0), (0, d)) if kind == "plus" else ((d, d), (d, -d))
            for a, b in ends:
                self.draw.line((x - a, y - b, x + a, y + b), colour, max(1, round(r * 0.6)))
        else:
            points = {
                "triangle": ((0, -r * 1.15), (r, r * 0.8), (-r, r * 0.8)),
                "down": ((0, r * 1.15), (r, -r * 0.8), (-r, -r * 0.8)),
                "diamond": ((0, -r * 1.2), (r * 1.2, 0), (0, r * 1.2), (-r * 1.2, 0)),
            }[kind]
            self.draw.polygon([(x + a, y + b) for a, b in points], colour)

    def finish(self) -> Image.Image:
        return self.image.reduce(FINER)

"""Charts: marks lie where the numbers say, names are there, nothing odd stops them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from face_latents.models import charts as plotting
from face_latents.models.charts.axes import nice_ticks, tick_text
from face_latents.models.charts.bars import _spread
from face_latents.models.charts.style import (
    DARK,
    LIGHT,
    SEQUENTIAL,
    fit_text,
    short_number,
    text_size,
)
from hypothesis import given
from hypothesis import strategies as st

THEMES = {"dark": DARK, "light": LIGHT}
themes = pytest.mark.parametrize("theme", plotting.THEMES)
finite = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 6))


def pixels(picture) -> np.ndarray:
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def near(picture, colour, slack: int = 3) -> np.ndarray:
    """Where the picture has a colour, (H, W) bool."""
    return (np.abs(pixels(picture) - np.array(colour)) <= slack).all(-1)


def faces(count: int, size: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(5))


def everything(theme: str) -> list:
    names = ["a", "b", "c"]
    return [
        plotting.bar_chart([1.0, -2.0, 0.5], names, "bars", highlight=[1], theme=theme),
        plotting.line_chart({"x": ([0, 1], [2, 3]), "y": ([0, 1], [1, 5])}, "lines", theme=theme),
        plotting.scatter_chart([[0, 1], [2, 3], [1, 1]], "map", groups=names, theme=theme),
        plotting.matrix_chart(np.eye(3), names, names, "table", theme=theme),
        plotting.picture_grid([faces(3)], ["row"], names, "grid", theme=theme),
    ]


@themes
def test_themes_have_their_background_and_repeat_exactly(theme):
    for first, second in zip(everything(theme), everything(theme), strict=True):
        assert first.tobytes() == second.tobytes()
        assert first.getpixel((1, 1)) == THEMES[theme].background


def test_an_unknown_theme_is_refused():
    with pytest.raises(ValueError, match="'dark', 'light'; got 'pink'"):
        plotting.bar_chart([1.0], ["a"], "", theme="pink")


def test_to_image_is_the_hosts_image():
    picture = plotting.picture_grid([faces(2)], [], [])
    image = plotting.to_image(picture)
    assert image.dtype == torch.float32
    assert image.shape == (picture.height, picture.width, 3)
    np.testing.assert_array_equal((image * 255).round().numpy(), np.asarray(picture))


# --- bars ----------------------------------------------------------------------------------------


@themes
def test_bars_are_as_long_as_their_values(theme):
    chart = plotting.bar_chart([2.0, -1.0, 4.0], ["", "", ""], "", theme=theme)
    bars = near(chart, THEMES[theme].series[0])
    columns = np.flatnonzero(bars.any(0))
    edges = np.flatnonzero(np.diff(columns) > 3)
    parts = np.split(columns, edges + 1)
    assert len(parts) == 3
    lengths = [np.ptp(np.flatnonzero(bars[:, part].any(1))) + 1 for part in parts]
    assert lengths[2] == pytest.approx(2 * lengths[0], abs=5)
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=5)
    tops = [np.flatnonzero(bars[:, part].any(1)).min() for part in parts]
    assert tops[1] > tops[0] > tops[2]


def test_only_highlighted_bars_are_coloured():
    chart = plotting.bar_chart([1.0] * 4, list("abcd"), "", highlight=[2])
    coloured = np.flatnonzero(near(chart, DARK.series[0]).any(0))
    grey = near(chart, DARK.quiet)
    assert coloured.min() > chart.width / 2
    assert grey[:, : chart.width // 2].any()


def test_names_of_highlighted_bars_are_written_among_many():
    plain = plotting.bar_chart([1.0] * 100, [""] * 100, "", highlight=range(10))
    names = [f"label {i}" if i < 10 else "" for i in range(100)]
    chart = plotting.bar_chart([1.0] * 100, names, "", highlight=range(10))
    below = slice(420, None)  # of the zero line, where there are no names
    assert near(chart, DARK.ink, 40)[below].sum() > 600
    assert near(plain, DARK.ink, 40)[below].sum() == 0


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [1e-12, 3e-12], [1e9, -1e9], [-5.0]])
def test_bars_of_odd_values(values):
    chart = plotting.bar_chart(values, ["name"] * len(values), "t")
    assert chart.size == (768, 480)
    assert near(chart, DARK.series[0]).any() == any(values)


@pytest.mark.parametrize(
    ("values", "labels", "highlight", "message"),
    [
        ([], [], (), "nothing to draw"),
        ([1.0], ["a", "b"], (), "1 bars need as many labels; got 2"),
        ([float("nan")], ["a"], (), "finite"),
        ([1.0], ["a"], [3], r"bars 0 to 0; got \[3\]"),
    ],
)
def test_bars_refuse(values, labels, highlight, message):
    with pytest.raises(ValueError, match=message):
        plotting.bar_chart(values, labels, "", highlight=highlight)


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(1, 60)), min_size=1, max_size=12))
def test_spread_names_do_not_overlap_and_stay_inside(items):
    centres = sorted(centre for centre, _ in items)
    widths = [width for _, width in items]
    places = _spread(centres, widths, 0.0, 1000.0)
    assert places is not None
    left = [x - w / 2 for x, w in zip(places, widths, strict=True)]
    right = [x + w / 2 for x, w in zip(places, widths, strict=True)]
    assert min(left) >= -1e-6
    assert max(right) <= 1000 + 1e-6
    assert all(a <= b + 1e-6 for a, b in zip(right[:-1], left[1:], strict=True))
    assert _spread(centres, [1001.0 / len(centres)] * len(centres), 0.0, 1000.0) is None


# --- curves and maps -----------------------------------------------------------------------------


def test_a_rising_line_rises():
    chart = plotting.line_chart({"a": ([0, 1, 2], [0, 10, 20])}, "")
    curve = near(chart, DARK.series[0])
    columns = np.flatnonzero(curve.any(0))
    first, last = curve[:, columns[:12]].any(1), curve[:, columns[-12:]].any(1)
    assert np.flatnonzero(first).min() > np.flatnonzero(last).max()


def test_each_series_has_its_colour():
    series = {str(i): ([0, 1], [i, i + 1]) for i in range(7)}
    for theme, colours in THEMES.items():
        chart = plotting.line_chart(series, "", theme=theme)
        assert all(near(chart, colour).sum() > 50 for colour in colours.series)


@pytest.mark.parametrize(
    "series",
    [
        {"a": ([1], [1])},
        {"a": ([1, 1], [2, 2])},
        {f"a long name of series {i}": ([0], [i]) for i in range(40)},
    ],
)
def test_lines_of_odd_series(series):
    assert plotting.line_chart(series, "t", "x", "y").size == (768, 480)


def test_lines_refuse():
    with pytest.raises(ValueError, match="at least one series"):
        plotting.line_chart({}, "")
    with pytest.raises(ValueError, match="'a' has 2 x values and 1 y values"):
        plotting.line_chart({"a": ([1, 2], [1])}, "")
    with pytest.raises(ValueError, match="y of 'a' must be finite"):
        plotting.line_chart({"a": ([1, 2], [1, float("inf")])}, "")


def test_a_map_keeps_distances_comparable():
    chart = plotting.scatter_chart([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], "")
    dots = near(chart, DARK.series[0])
    columns, rows = np.flatnonzero(dots.any(0)), np.flatnonzero(dots.any(1))
    across, up = np.ptp(columns), np.ptp(rows)
    assert across == pytest.approx(up, abs=3)


def test_thumbnails_and_groups_are_on_the_map():
    red = torch.zeros(3, 8, 8)
    red[0] = 1
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    chart = plotting.scatter_chart(
        points, "t", thumbnails=[red, None], groups=["a", "b"], labels=["one", "two"]
    )
    assert near(chart, (255, 0, 0)).sum() > 800
    assert near(chart, DARK.series[0]).any()  # the frame
    assert near(chart, DARK.series[1]).any()  # the mark


@pytest.mark.parametrize(
    "points", [[[3.0, 3.0]], [[1.0, 1.0]] * 5, [[0, 0], [1e-9, 0]], [[1e8, 0], [0, 1e8]]]
)
def test_maps_of_odd_points(points):
    chart = plotting.scatter_chart(points, "", thumbnails=list(faces(len(points))))
    assert chart.size == (768, 480)


def test_maps_refuse():
    with pytest.raises(ValueError, match=r"shape \(N, 2\); got \(3,\)"):
        plotting.scatter_chart([1.0, 2.0, 3.0], "")
    with pytest.raises(ValueError, match="2 points need as many groups; got 1"):
        plotting.scatter_chart([[0, 0], [1, 1]], "", groups=["a"])
    with pytest.raises(ValueError, match="finite"):
        plotting.scatter_chart([[0, float("nan")]], "")


@given(finite, finite)
def test_ticks_are_round_and_inside(a, b):
    low, high = min(a, b), max(a, b)
    if high - low < 1e-3:
        high = low + 1.0
    ticks = nice_ticks(low, high)
    slack = (high - low) * 1e-6
    assert 2 <= len(ticks) <= 7
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    words = [tick_text(tick, ticks) for tick in ticks]
    assert len(set(words)) == len(words)
    for tick, word in zip(ticks, words, strict=True):
        assert float(word) == pytest.approx(tick, abs=(high - low) * 0.05)


# --- tables --------------------------------------------------------------------------------------


@themes
def test_signs_have_their_colours_and_zero_is_neutral(theme):
    low, zero, high = THEMES[theme].diverging
    chart = plotting.matrix_chart([[-1.0, 0.0, 1.0]], ["r"], ["a", "b", "c"], "", theme=theme)
    middles = [np.flatnonzero(near(chart, c, 0).any(0)).mean() for c in (low, zero, high)]
    assert middles == sorted(middles)


def test_sequential_colours_rise():
    chart = plotting.matrix_chart([[0.0, 5.0]], ["r"], ["a", "b"], "", diverging=False)
    ends = SEQUENTIAL[0], SEQUENTIAL[-1]
    dark, bright = (np.flatnonzero(near(chart, colour, 0).any(0)) for colour in ends)
    assert dark.max() < bright.min()


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (40, 3), (100, 100), (3, 400)])
def test_tables_of_any_shape_fit(shape):
    values = np.random.default_rng(0).normal(size=shape)
    rows, columns = ([f"name {i}" for i in range(n)] for n in shape)
    chart = plotting.matrix_chart(values, rows, columns, "a title")
    assert chart.width <= 1024
    assert chart.height <= 1068


def test_an_unknown_cell_is_empty():
    chart = plotting.matrix_chart([[float("nan"), 2.0]], ["r"], ["a", "b"], "")
    assert near(chart, DARK.diverging[2], 0).any()
    assert plotting.matrix_chart([[float("nan")]], ["r"], ["a"], "", diverging=False).width > 0


def test_pictures_stand_at_the_edges():
    red = torch.zeros(3, 4, 4)
    red[0] = 1
    names, left, top = ["1", "2"], [red, None], [None, red]
    chart = plotting.matrix_chart(
        np.zeros((2, 2)), names, names, "", row_pictures=left, column_pictures=top
    )
    shown = near(chart, (255, 0, 0))
    assert shown[:, : chart.width // 3].any()
    assert shown[: chart.height // 3].any()


def test_tables_refuse():
    with pytest.raises(ValueError, match=r"shape \(rows, columns\); got \(2,\)"):
        plotting.matrix_chart([1.0, 2.0], ["a"], ["b"], "")
    with pytest.raises(ValueError, match="needs 1 row labels; got 2"):
        plotting.matrix_chart([[1.0]], ["a", "b"], ["c"], "")
    with pytest.raises(ValueError, match="finite"):
        plotting.matrix_chart([[float("inf")]], ["a"], ["b"], "")


def test_contact_sheets_show_pictures_unscaled():
    rows = list(faces(5, 32).split(3))
    sheet = pixels(plotting.picture_grid(rows, ["a", "b"], ["1", "2", "3"], "title", cell=32))
    wanted = (rows[1][1] * 255).round().permute(1, 2, 0).numpy().astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (32, 32, 3))[:, :, 0]
    hits = np.argwhere((windows == wanted).all(axis=(2, 3, 4)))
    assert len(hits) == 1


def test_contact_sheets_clamp_and_scale():
    sheet = plotting.picture_grid([torch.full((1, 3, 8, 16), 2.0)], [], [], cell=64)
    white = near(sheet, (255, 255, 255), 0)
    assert np.ptp(np.flatnonzero(white.any(0))) == 63
    assert np.ptp(np.flatnonzero(white.any(1))) == 31


def test_contact_sheets_refuse():
    with pytest.raises(ValueError, match="at least one picture"):
        plotting.picture_grid([], [], [])
    with pytest.raises(ValueError, match="needs 2 column labels, or none; got 1"):
        plotting.picture_grid([faces(2)], [], ["a"])
    with pytest.raises(ValueError, match=r"shape \(3, H, W\); got \(1, 4, 4\)"):
        plotting.picture_grid([torch.zeros(1, 1, 4, 4)], [], [])


# --- text ----------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.integers(4, 40), st.integers(0, 300))
def test_fitted_text_fits(text, size, width):
    words, used = fit_text(text, size, width, 4)
    assert words == "" or text_size(words, used)[0] <= width


@given(st.floats(-1e9, 1e9, allow_nan=False))
def test_short_numbers_are_short_and_close(value):
    text = short_number(value)
    assert len(text) <= 7
    if abs(value) >= 5e-4:
        assert float(text) == pytest.approx(value, rel=0.06, abs=0.0051)
    else:
        assert float(text) == pytest.approx(value, rel=0.5)

"""Charts as pictures, drawn with Pillow alone: readable when a node shows them 400 pixels wide.

Every chart comes in a dark and a light theme, in colours (and, for series, marks) that colour-blind
eyes tell apart, and gives the same pixels for the same input.
"""

from .plot_bars import bar_chart
from .plot_charts import line_chart, scatter_chart
from .plot_style import THEMES, to_image
from .plot_tables import matrix_chart, picture_grid

__all__ = [
    "THEMES",
    "bar_chart",
    "line_chart",
    "matrix_chart",
    "picture_grid",
    "scatter_chart",
    "to_image",
]

"""Charts as pictures, drawn with Pillow alone: readable when a node shows them 400 pixels wide.

Every chart comes in a dark and a light theme, in colours (and, for series, marks) that colour-blind
eyes tell apart, and gives the same pixels for the same input.
"""

from .bars import bar_chart
from .curves import line_chart, scatter_chart
from .style import THEMES, to_image
from .tables import matrix_chart, picture_grid

__all__ = [
    "THEMES",
    "bar_chart",
    "line_chart",
    "matrix_chart",
    "picture_grid",
    "scatter_chart",
    "to_image",
]

"""Menu categories and the declarations of node inputs, each with its tooltip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models.charts import THEMES

_ROOT = "face latents"
MODEL = f"{_ROOT}/model"
EDIT = f"{_ROOT}/edit"
DIRECTION = f"{_ROOT}/direction"
MIX = f"{_ROOT}/mix"
MEASURE = f"{_ROOT}/measure"
FILES = f"{_ROOT}/files"
VAE = f"{_ROOT}/vae latent"
SPECTRUM = f"{_ROOT}/spectrum"

InputSpec = tuple[Any, dict[str, Any]]
InputTypes = dict[str, dict[str, InputSpec]]

FACE_MODEL = "FACE_MODEL"
FACE_LATENT = "FACE_LATENT"
FACE_DIRECTION = "FACE_DIRECTION"
LATENT_BASIS = "LATENT_BASIS"


def wire(kind: str, tooltip: str) -> InputSpec:
    """An input that only takes a link."""
    return kind, {"tooltip": tooltip}


def slider(default: float, low: float, high: float, step: float, tooltip: str) -> InputSpec:
    """A FLOAT to drag."""
    return "FLOAT", {
        "default": default,
        "min": low,
        "max": high,
        "step": step,
        "round": 0.001,
        "display": "slider",
        "tooltip": tooltip,
    }


def number(default: float, low: float, high: float, step: float, tooltip: str) -> InputSpec:
    """A FLOAT to type."""
    return "FLOAT", {
        "default": default,
        "min": low,
        "max": high,
        "step": step,
        "round": 0.001,
        "tooltip": tooltip,
    }


def integer(default: int, low: int, high: int, tooltip: str, **more: Any) -> InputSpec:
    """An INT to type."""
    return "INT", {"default": default, "min": low, "max": high, "tooltip": tooltip, **more}


def switch(default: bool, tooltip: str, on: str = "yes", off: str = "no") -> InputSpec:
    """A BOOLEAN with a word for each state."""
    return "BOOLEAN", {"default": default, "label_on": on, "label_off": off, "tooltip": tooltip}


def text(default: str, tooltip: str, multiline: bool = False, **more: Any) -> InputSpec:
    """A STRING to type."""
    return "STRING", {"default": default, "multiline": multiline, "tooltip": tooltip, **more}


def filename_prefix(default: str) -> InputSpec:
    """The name of a file to save, see `folders.save_numbered`."""
    return text(
        default,
        "Name of the file; folder/name makes a sub-folder, %year%-%month%-%day% is filled in. A "
        "number is added.",
    )


def choice(options: Sequence[str], tooltip: str, default: str | None = None) -> InputSpec:
    """A list to choose from; `default` is the first entry unless given."""
    settings: dict[str, Any] = {"tooltip": tooltip}
    if options:
        settings["default"] = options[0] if default is None else default
    return list(options), settings


def theme() -> InputSpec:
    """The colours of a chart."""
    return choice(THEMES, "dark: light on dark, as the canvas. light: for a page or a print.")


def layers(tooltip: str, default: str = "all") -> InputSpec:
    """Which layers of a code, see `models.layers.parse_layers`."""
    return text(default, tooltip)


def strength(tooltip: str, default: float = 1.0) -> InputSpec:
    """How far to go along a direction, in the direction's own unit."""
    return slider(default, -10.0, 10.0, 0.05, tooltip)

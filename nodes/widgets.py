"""Menu categories, and the inputs of nodes: what the canvas draws and what a node accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .. import latent_ops
from ..models.charts import THEMES
from ..models.finder.faces import MIN_SCORE
from . import validate

_ROOT = "face latents"
MODEL = f"{_ROOT}/model"
EDIT = f"{_ROOT}/edit"
DIRECTION = f"{_ROOT}/direction"
MIX = f"{_ROOT}/mix"
MEASURE = f"{_ROOT}/measure"
FILES = f"{_ROOT}/files"
VAE = f"{_ROOT}/vae latent"
SPECTRUM = f"{_ROOT}/spectrum"

InputTypes = dict[str, dict[str, tuple[Any, dict[str, Any]]]]
Check = Callable[[Any, str], Any]  # value, name of the input -> value as the node takes it

FACE_MODEL = "FACE_MODEL"
FACE_LATENT = "FACE_LATENT"
FACE_DIRECTION = "FACE_DIRECTION"
LATENT_BASIS = "LATENT_BASIS"

MOST_FRAMES = 4096  # of an animation; its codes stay in memory
MY_DIRECTION = "my direction"  # where no name was typed
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF  # ComfyUI's own


@dataclass(frozen=True)
class Input:
    """One input of a node.

    Attributes:
        kind: the type of its wire, the options of a list, or a function that lists them when the
            canvas asks.
        settings: what ComfyUI reads besides: default, limits, tooltip.
        check: the value as the node takes it; raises FaceLatentsError for any other.
    """

    kind: str | list[str] | Callable[[], list[str]]
    settings: Mapping[str, Any]
    check: Check

    def declare(self) -> tuple[Any, dict[str, Any]]:
        """The entry of `INPUT_TYPES`."""
        if not callable(self.kind):
            return self.kind, dict(self.settings)
        options = self.kind()
        return options, {**self.settings, **({"default": options[0]} if options else {})}


Inputs = dict[str, Input]
Outputs = dict[str, tuple[str, str]]  # name -> type, tooltip


def _accept(value: Any, name: str) -> Any:
    return value


_WIRES: dict[str, Check] = {
    FACE_MODEL: validate.face_model,
    FACE_LATENT: validate.face_latent,
    FACE_DIRECTION: validate.direction,
    LATENT_BASIS: validate.latent_basis,
    "IMAGE": validate.image,
}


def wire(kind: str, tooltip: str) -> Input:
    """An input that only takes a link."""
    return Input(kind, {"tooltip": tooltip}, _WIRES.get(kind, _accept))


def number(span: tuple[float, float, float, float], tooltip: str, **more: Any) -> Input:
    """A FLOAT to type; `span` is its default, least and greatest value, and step."""
    settings = dict(zip(("default", "min", "max", "step"), span, strict=True))
    return Input("FLOAT", {**settings, "round": 0.001, "tooltip": tooltip, **more}, validate.finite)


def slider(span: tuple[float, float, float, float], tooltip: str) -> Input:
    """A FLOAT to drag, see :func:`number`."""
    return number(span, tooltip, display="slider")


def integer(span: tuple[int, int, int], tooltip: str, **more: Any) -> Input:
    """An INT to type; `span` is its default, least and greatest value."""
    default, low, high = span
    settings = {"default": default, "min": low, "max": high, "tooltip": tooltip, **more}
    return Input("INT", settings, partial(validate.whole, low=low, high=high))


def switch(default: bool, tooltip: str, on: str = "yes", off: str = "no") -> Input:
    """A BOOLEAN with a word for each state."""
    settings = {"default": default, "label_on": on, "label_off": off, "tooltip": tooltip}
    return Input("BOOLEAN", settings, lambda value, name: bool(value))


def text(default: str, tooltip: str, multiline: bool = False, **more: Any) -> Input:
    """A STRING to type."""
    settings = {"default": default, "multiline": multiline, "tooltip": tooltip, **more}
    return Input("STRING", settings, validate.text)


def choice(options: Sequence[str], tooltip: str, default: str | None = None) -> Input:
    """A list to choose from; `default` is the first entry unless given."""
    settings = {"tooltip": tooltip, "default": options[0] if default is None else default}
    return Input(list(options), settings, lambda value, name: validate.one_of(value, options, name))


def listing(options: Callable[[], list[str]], tooltip: str) -> Input:
    """A list that is made anew whenever the canvas asks; the node says what a wrong name lacks."""
    return Input(options, {"tooltip": tooltip}, _accept)


def output_faces(tooltip: str) -> Outputs:
    """Faces, and nothing else."""
    return {"face_latent": (FACE_LATENT, tooltip)}


def output_direction(tooltip: str) -> Outputs:
    """A direction, and nothing else."""
    return {"direction": (FACE_DIRECTION, tooltip)}


# --- inputs that several nodes have ------------------------------------------------------------


def face_model(purpose: str = "the faces were encoded with") -> Input:
    """The model, and what for."""
    return wire(FACE_MODEL, f"The model {purpose} (Load Face Model).")


def face_latent(tooltip: str) -> Input:
    """Faces as codes."""
    return wire(FACE_LATENT, tooltip)


def faces(tooltip: str) -> Input:
    """Faces that are compared or summed up: photos in which none was found are left out."""
    return replace(face_latent(tooltip), check=validate.faces_only)


def direction(tooltip: str) -> Input:
    """A direction, or a batch of them."""
    return wire(FACE_DIRECTION, tooltip)


def directions(names: Iterable[str], tooltip: str) -> Inputs:
    """Further directions, each optional."""
    return {name: direction(tooltip) for name in names}


def basis() -> Input:
    """The basis to decompose codes with."""
    return wire(LATENT_BASIS, "A basis of the same model (Load Basis, or a built one).")


def direction_name() -> Input:
    """What a new direction is called."""
    return text(MY_DIRECTION, "What the direction is called.")


def strength(tooltip: str, default: float = 1.0) -> Input:
    """How far to go along a direction, in the direction's own unit."""
    return slider((default, -10.0, 10.0, 0.05), tooltip)


def layers(tooltip: str, default: str = "all") -> Input:
    """Which layers of a code, see `models.layers.parse_layers`."""
    return text(default, tooltip)


def frames(tooltip: str) -> Input:
    """How long an animation is."""
    return integer((24, 1, MOST_FRAMES), tooltip)


def easing() -> Input:
    """How the speed of an animation changes."""
    return choice(
        latent_ops.EASINGS,
        "Speed from each point to the next. linear: constant. ease_in: starts slowly. ease_out: "
        "ends slowly. ease_in_out: both. hold: stays, then jumps.",
    )


def min_score(advice: str = "") -> Input:
    """From which score on the finder's finds are faces."""
    return slider((MIN_SCORE, 0.05, 0.99, 0.01), f"How sure the face finder must be.{advice}")


def seed(tooltip: str, high: int = 0x7FFFFFFF, **more: Any) -> Input:
    """Which random numbers; by wire a larger one may come than the widget takes."""
    typed = integer((0, 0, high), tooltip, **more)
    return Input("INT", typed.settings, partial(validate.whole, low=0))


def filename_prefix(default: str, place: str = "") -> Input:
    """The name of a file to save, see `files.names.save_numbered`."""
    return text(
        default,
        f"Name of the file{place}; folder/name makes a sub-folder, %year%-%month%-%day% is filled "
        "in. A number is added.",
    )


def theme() -> Input:
    """The colours of a chart."""
    return choice(THEMES, "dark: light on dark, as the canvas. light: for a page or a print.")

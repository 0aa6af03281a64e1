"""From slider positions to new codes: the one function behind the queue and the live preview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ... import latent_ops
from ...models.errors import FaceLatentsError
from .. import validate
from .panel import FILE, MOST_SLIDERS, Panel

FARTHEST = 100.0  # units of a direction; faces fall apart long before
LONGEST_TEXT = 64 * 1024
LONGEST_NAME = 300

# Directions more alike than this (cosine) mean the same attribute: holding one still while the
# other moves would leave a direction that means neither.
ALIKE = 0.7


@dataclass(frozen=True, eq=False)
class Positions:
    """Slider positions that were checked against a panel.

    Attributes:
        strengths: by slider name, in units of its direction; zeros are kept.
        unknown: names that the panel does not have, with their strengths.
        keep_others: make each moved direction independent of the others.
    """

    strengths: Mapping[str, float]
    unknown: Mapping[str, float]
    keep_others: bool


def parse_strengths(text: str) -> dict[str, float]:
    """Read the node's JSON, `{"smile": 1.5, "age": -1}`; an empty text means no change.

    Raises:
        FaceLatentsError: it is not such an object; the message shows what one looks like.
    """
    if len(text) > LONGEST_TEXT:
        raise _mistake(f"a text of {len(text)} characters")
    if not text.strip():
        return {}
    try:
        # Whole numbers of any length would be slow to read as such.
        value = json.loads(text, parse_int=float, object_pairs_hook=_refuse_repeats)
    except (ValueError, RecursionError) as error:
        raise _mistake(f"a text that cannot be read ({error})") from error
    return check_strengths(value)


def check_strengths(value: object) -> dict[str, float]:
    """A mapping of names to finite numbers that are not absurdly large.

    Raises:
        FaceLatentsError: it is anything else.
    """
    if not isinstance(value, Mapping):
        raise _mistake(f"a {type(value).__name__}")
    if len(value) > MOST_SLIDERS:
        raise _mistake(f"{len(value)} entries; {MOST_SLIDERS} are possible")
    return {_check_name(name): _check_number(name, number) for name, number in value.items()}


def place(panel: Panel, strengths: Mapping[str, float], keep_others: bool) -> Positions:
    """Sort strengths into those that have a slider and those that have none."""
    known = {name: strengths[name] for name in panel.sliders if name in strengths}
    unknown = {name: value for name, value in strengths.items() if name not in panel.sliders}
    return Positions(known, unknown, keep_others)


def move(panel: Panel, codes: Tensor, positions: Positions) -> Tensor:
    """Move codes along the directions of a panel.

    Args:
        panel: the directions.
        codes: `(B, *shape)` of the panel's space.
        positions: how far.

    Returns:
        `(B, *shape)` in the dtype of the codes; the very same codes where every slider is at 0.

    Raises:
        FaceLatentsError: nothing of a direction is left when the others are kept still.
    """
    result = codes
    dims = panel.space.latent_dims
    # In the order of the names: the last bit must not depend on the order of the panel.
    for name in sorted(positions.strengths):
        strength = positions.strengths[name]
        if strength == 0:
            continue
        vector = panel.sliders[name].direction.vector
        if positions.keep_others:
            vector = _independent(panel, name, kept_still(panel, positions, name))
        with validate.explain_errors("Attribute Sliders"):
            result = latent_ops.add(result, vector.to(codes.device), strength, latent_dims=dims)
    return result


def kept_still(panel: Panel, positions: Positions, moved: str) -> list[str]:
    """The sliders that stay as they are while `moved` moves.

    All of the model's and those on wires; of the user's files only those that the strengths name
    (the canvas names all it shows), so that a file added later does not change an old workflow.
    Left out are sliders that mean the same as `moved` (see ALIKE).
    """
    axis = _unit(panel, moved)
    return [
        name
        for name, slider in panel.sliders.items()
        if name != moved
        and (slider.source != FILE or name in positions.strengths)
        and abs(float(axis @ _unit(panel, name))) < ALIKE
    ]


def describe(panel: Panel, positions: Positions) -> str:
    """What was moved, what is out of its natural range, and what is missing."""
    lines = []
    for name, strength in positions.strengths.items():
        low, high = panel.sliders[name].direction.safe_range
        if strength != 0:
            natural = "" if low <= strength <= high else f"; looks natural from {low:g} to {high:g}"
            lines.append(f"{name}: {strength:+g}{natural}")
    lines = lines or ["all sliders at 0: the faces are unchanged"]
    if positions.keep_others and any(positions.strengths.values()):
        lines.append("the other sliders are kept still")
    return "\n".join([*lines, *warnings(panel, positions)])


def warnings(panel: Panel, positions: Positions) -> list[str]:
    """One sentence for each direction that is missing or cannot be used."""
    missing = [
        f"There is no direction '{name}' (at {value:+g}) for this model: it was left out."
        for name, value in positions.unknown.items()
    ]
    return [*missing, *panel.problems]


def _independent(panel: Panel, name: str, others: list[str]) -> Tensor:
    key = name, frozenset(others)
    vector = panel.conditioned.get(key)
    if vector is None:
        source = panel.sliders[name].direction.vector
        stack = [panel.sliders[other].direction.vector.to(source) for other in others]
        with validate.explain_errors(f"Attribute Sliders, keeping the others still: '{name}'"):
            vector = latent_ops.condition(
                source,
                torch.stack(stack) if stack else source.new_zeros((0, *source.shape)),
                latent_dims=panel.space.latent_dims,
            )
        panel.conditioned[key] = vector
    return vector


def _unit(panel: Panel, name: str) -> Tensor:
    vector = panel.sliders[name].direction.vector.detach().to("cpu", torch.float64).flatten()
    unit: Tensor = vector / vector.norm().clamp(min=torch.finfo(torch.float64).tiny)
    return unit


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found


def _check_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > LONGEST_NAME:
        raise _mistake("a name that is empty or too long")
    return name


def _check_number(name: object, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _mistake(f"{_shorten(value)} for '{name}', which is no number")
    if not abs(value) <= FARTHEST:  # false for NaN as well
        raise _mistake(f"{_shorten(value)} for '{name}', outside {-FARTHEST:g} to {FARTHEST:g}")
    return float(value)


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _mistake(got: str) -> FaceLatentsError:
    return FaceLatentsError(
        'Attribute Sliders: the strengths have to be JSON like {"smile": 1.5, "age": -1}, one '
        f"number for each direction; they hold {got}. Reset the sliders or correct the text."
    )

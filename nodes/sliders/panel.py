"""Which sliders a model has: its own directions, those on wires, and the user's files."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from ...models.errors import FaceLatentsError
from ...models.face_model import FaceModel
from ...models.files.model_directions import direction_facts
from ...models.files.tensors import read_header
from ...models.files.thumbnails import thumbnail_path
from ...models.files.values import load_direction
from ...models.layers import lift_direction
from ...models.space import LatentSpace, require_same_space
from ...models.values import Direction
from .. import validate
from ..files.model_folder import DIRECTIONS, find_model_file, list_direction_files
from ..files.names import SUFFIX, is_file_name, stamp
from ..model import load as load_model

logger = logging.getLogger(__name__)

MODEL, WIRE, FILE = "model", "wire", "file"  # where a slider's direction comes from
MOST_SLIDERS = 256
_COUNTED = re.compile(r"_\d{5,}_$")  # the number Save Direction adds


@dataclass(frozen=True, eq=False)
class Slider:
    """One direction, a single vector, and where it comes from: MODEL, WIRE or FILE."""

    direction: Direction
    source: str


@dataclass(frozen=True, eq=False)
class Panel:
    """The sliders of one model.

    Attributes:
        sliders: by the name that workflows save: the model's own, those on wires, the user's files.
        space: the space of all of them.
        problems: files that could not be used, one sentence each.
        conditioned: directions made independent of others, kept by `move`.
    """

    sliders: Mapping[str, Slider]
    space: LatentSpace
    problems: tuple[str, ...] = ()
    conditioned: dict[tuple[str, frozenset[str]], Tensor] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """What the canvas needs to draw the sliders, in their order."""
        rows = Rows()
        for name, slider in self.sliders.items():
            found = slider.direction
            rows.add(name, found.name, found.unit, found.safe_range, slider.source, found.group)
        return list(rows.by_name.values())


class Rows:
    """The rows of a panel, as the canvas reads them.

    Attributes:
        by_name: rows by the name that workflows save.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, Any]] = {}

    def add(
        self,
        name: str,
        own_name: str,
        unit: str,
        safe_range: tuple[float, float],
        source: str,
        group: str,
        thumbnail: str = "",
    ) -> None:
        """Append a row.

        Args:
            name: its name in workflows.
            own_name: the name of its direction, which a user's file is shown under. Where it is
                taken, the file's name is added.
            unit: what strength 1 means.
            safe_range: where it looks natural.
            source: MODEL, WIRE or FILE.
            group: where it is looked for; "" for nowhere in particular.
            thumbnail: what `find_thumbnail` calls its picture; "" where it has none.
        """
        label = name
        if source == FILE:
            label = own_name
            if _spaced(label) in (row["label"] for row in self.by_name.values()):
                label = f"{own_name} ({_COUNTED.sub('', name.rsplit('/', 1)[-1])})"
        low, high = safe_range
        shown = {"name": name, "label": _spaced(label), "unit": unit, "group": group}
        shown["thumbnail"] = thumbnail
        self.by_name[name] = {**shown, "low": low, "high": high, "source": source}


def panel_of(model: FaceModel, extras: Mapping[str, Direction] | None = None) -> Panel:
    """All sliders for the faces of a model.

    Args:
        model: whose directions come first.
        extras: directions on wires, by input name.

    Raises:
        SpaceMismatchError: a direction on a wire belongs to another model.
        FaceLatentsError: a wire holds a batch of directions.
    """
    sliders = {name: Slider(direction, MODEL) for name, direction in model.directions.items()}
    for socket, given in (extras or {}).items():
        direction = lift_direction(given, model.space)
        require_same_space(
            model.space,
            direction.space,
            f"Attribute Sliders: model '{model.name}' and direction '{direction.name}' on input "
            f"'{socket}'",
        )
        if tuple(direction.vector.shape) != model.space.shape:
            raise FaceLatentsError(
                f"Attribute Sliders: input '{socket}' holds a batch of {len(direction.vector)} "
                "directions; one slider moves one direction. Connect them one by one."
            )
        sliders[_free_name(direction.name, socket, sliders)] = Slider(direction, WIRE)
    problems = []
    for file_name, direction, problem in _read_user_directions():
        if problem:
            problems.append(problem)
        elif (found := _find_in_space(direction, model.space)) is not None:
            sliders[_free_name(file_name, FILE, sliders)] = Slider(found, FILE)
        if len(sliders) >= MOST_SLIDERS:
            problems.append(f"Only the first {MOST_SLIDERS} directions have a slider.")
            break
    return Panel(sliders, model.space, tuple(problems))


def rows_of_model(name: str) -> list[dict[str, Any]]:
    """The rows of a model that is not loaded, from the headers of its files.

    Args:
        name: as Load Face Model lists it.

    Raises:
        FaceLatentsError: there is no such model, or its file is damaged.
    """
    if name not in load_model.model_choices():
        raise FaceLatentsError(f"There is no face model '{name[:100]}'.")
    path = load_model.model_path(name)
    rows = Rows()
    for direction, facts in direction_facts(path).items():
        picture = direction if find_thumbnail(name, direction) else ""
        rows.add(direction, direction, facts.unit, facts.safe_range, MODEL, facts.group, picture)
    model_id = read_header(path).metadata.get("model_id")
    for file_name, found, problem in _read_user_directions():
        # The shape is checked when the node runs; the identity tells models apart already.
        if not problem and found.space.model_id == model_id and len(rows.by_name) < MOST_SLIDERS:
            free = _free_name(file_name, FILE, rows.by_name)
            file = f"{DIRECTIONS}/{file_name}{SUFFIX}"
            picture = file if find_thumbnail(name, file) else ""
            rows.add(free, found.name, found.unit, found.safe_range, FILE, found.group, picture)
    return list(rows.by_name.values())


def find_thumbnail(model: str, direction: str) -> Path | None:
    """The picture of a direction, or None.

    Args:
        model: as Load Face Model lists it.
        direction: as Load Direction lists it: of the model, or the name of a file.
    """
    file = find_model_file(direction) if direction.startswith(f"{DIRECTIONS}/") else None
    if file is not None:
        path = thumbnail_path(file)
    elif model in load_model.model_choices() and is_file_name(direction):
        path = thumbnail_path(load_model.model_path(model), direction)
    else:
        return None
    return path if path.is_file() else None


def state_of_files() -> str:
    """Changes whenever a file of models/face_latents/directions does; for IS_CHANGED."""
    return "|".join(f"{name}:{stamp(find_model_file(name))}" for name in list_direction_files())


def _read_user_directions() -> Iterable[tuple[str, Direction, str]]:
    """File name without its ending, direction, and what is wrong with it ("" for nothing)."""
    for name in list_direction_files():
        path = find_model_file(name)
        if path is not None:
            short = name.removeprefix(f"{DIRECTIONS}/").removesuffix(SUFFIX)
            yield short, *_read(path, stamp(path))


@lru_cache(maxsize=2 * MOST_SLIDERS)
def _read(path: Path, state: str) -> tuple[Any, str]:
    """`state` makes a changed file be read again."""
    try:
        return validate.direction(load_direction(path), path.name), ""
    except (FaceLatentsError, OSError) as error:
        logger.warning("No slider for %s: %s", path, error)
        return None, f"'{path.name}' has no slider: {error}"


def _find_in_space(direction: Direction, space: LatentSpace) -> Direction | None:
    """The one direction of a file in `space`; None where it belongs to another or is a batch."""
    found = lift_direction(direction, space)
    fits = found.space.same_as(space) and tuple(found.vector.shape) == space.shape
    return found if fits else None


def _free_name(wanted: str, origin: str, taken: Mapping[str, Any]) -> str:
    """`wanted`, told apart from a slider of the same name by where it comes from."""
    return f"{wanted} ({origin})" if wanted in taken else wanted


def _spaced(name: str) -> str:
    return name.replace("_", " ")

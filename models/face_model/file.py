"""Face model files: reading and writing them, and those that ship with the package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ..architectures.face.file import PAINTER
from ..architectures.registry import detect_architecture
from ..bundled import bundled_file
from ..errors import UnsupportedModelError
from ..files.envelope import description_of, json_object, json_value
from ..files.model_directions import (
    DIRECTION_PREFIX,
    READING_PREFIX,
    describe_direction,
    direction_names,
    read_directions,
)
from ..files.tensors import check_expected, load_tensors, read_header, save_tensors, tensors_hash
from ..geometry.templates import FFHQ, TIGHT, WHOLE, WIDE, AlignmentTemplate
from ..space import LatentSpace, layered_spaces
from ..threads import check_interrupt
from ..values import Direction, Reading
from .expressions import Expressions
from .model import FaceModel

EXPRESSIONS = "expressions"
# Of tensors that say something of the network, and are no part of it.
_ABOUT = (DIRECTION_PREFIX, READING_PREFIX, f"{EXPRESSIONS}.")
# Of the network, but of no meaning to codes: trained anew, they leave the identity as it is.
_BESIDE_CODES = (PAINTER,)
PARALLEL = 1 - 1e-6  # cosine from which on a direction changes one reading and nothing else
_TEMPLATES = {template.name: template for template in (TIGHT, WIDE, FFHQ, WHOLE)}


def load_face_model(path: str | Path) -> FaceModel:
    """Load a face model; its architecture is told by tensor names and shapes.

    Raises:
        UnsupportedModelError: no safetensors file, unknown architecture, damaged tensors,
            or a direction or expressions that do not fit.
    """
    header = read_header(path)
    shapes = {n: s for n, s in header.shapes.items() if not n.startswith(_ABOUT)}
    architecture = detect_architecture(header, shapes)
    check_expected(header, architecture.expected(shapes), shapes)
    tensors, metadata = load_tensors(path)
    net_tensors = {name: tensors[name] for name in shapes}
    model_id = model_identity(net_tensors)
    if metadata.get("model_id", model_id) != model_id:
        raise UnsupportedModelError(
            f"{path}: the tensors do not match the identity written in the file; the file is "
            "damaged or was altered. Fetch it again."
        )
    check_interrupt()
    net = architecture.load(net_tensors, metadata)
    check_interrupt()
    able = net.capabilities()
    space = LatentSpace(net.space_name, net.code_shape, model_id, able.code_mean, able.code_std)
    spaces = {} if able.layers is None else layered_spaces(space, able.layers.z_dim)
    directions = read_directions(path, tensors, metadata, space)
    return FaceModel(
        module=net,
        capabilities=able,
        space=space,
        template=_template(path, metadata, net.size),
        directions={n: _with_reading(d, able.readings) for n, d in directions.items()},
        metadata=metadata,
        name=metadata.get("name", Path(path).stem),
        spaces=spaces,
        expressions=_read_expressions(path, tensors, metadata, space),
    )


def model_identity(net_tensors: Mapping[str, Tensor]) -> str:
    """What codes of a network are told by: the hash of its tensors, but those that codes do not
    depend on."""
    return tensors_hash(
        {n: tensor for n, tensor in net_tensors.items() if not n.startswith(_BESIDE_CODES)}
    )


def save_face_model(
    path: str | Path,
    net_tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    template: AlignmentTemplate,
    directions: Mapping[str, Direction] | None = None,
    expressions: Expressions | None = None,
) -> str:
    """Write a face model file and return its model identity.

    Args:
        path: the target; replaced atomically.
        net_tensors: the network's own tensors, as its architecture expects them.
        metadata: facts to keep (name, licence, training_data, metrics, ...).
        template: the alignment it was trained with.
        directions: bundled directions.
        expressions: how codes show expressions. Neither enters the identity.
    """
    model_id = model_identity(net_tensors)
    given = directions or {}
    about = {DIRECTION_PREFIX + name: each.vector.float() for name, each in given.items()}
    for name, each in given.items():
        if each.reading is not None:
            about[READING_PREFIX + name] = each.reading.weights.float()
    shape = {"name": template.name, "points": template.points.tolist(), "size": template.size}
    described = {name: describe_direction(direction) for name, direction in given.items()}
    facts = {
        **metadata,
        "model_id": model_id,
        "template": json.dumps(shape),
        "directions": json.dumps(described),
    }
    if expressions is not None:
        facts[EXPRESSIONS] = json.dumps(expressions.names)
        about[f"{EXPRESSIONS}.readings"] = expressions.readings.half()
        about[f"{EXPRESSIONS}.effects"] = expressions.effects.half()
    save_tensors(path, {**net_tensors, **about}, facts)
    return model_id


def bundled_face_model_path() -> Path:
    """The face model that ships with the package."""
    return bundled_file("face.safetensors")


def bundled_digits_model_path() -> Path:
    """The model of handwritten digits that ships with the package."""
    return bundled_file("digits.safetensors")


@lru_cache(maxsize=1)
def bundled_direction_names() -> list[str]:
    """Names of the bundled directions, read from the file's header only."""
    return direction_names(bundled_face_model_path())


def _template(path: str | Path, metadata: Mapping[str, str], size: int) -> AlignmentTemplate:
    facts = json_object(path, metadata, "template")
    name = str(facts.get("name", TIGHT.name))
    if "points" not in facts:
        return _TEMPLATES.get(name, TIGHT).resized(size)
    with description_of(path, "the alignment template, 5 points (x, y) or none,"):
        points = torch.tensor(facts["points"], dtype=torch.float64)
        if points.numel() == 0:
            points = points.reshape(0, 2)
        return AlignmentTemplate(name, points, size)


def _with_reading(direction: Direction, exact: Sequence[Reading]) -> Direction:
    """The direction in the unit that it alone changes, where the network reads one exactly."""
    if direction.reading is not None:
        return direction
    for reading in exact:
        along = torch.cosine_similarity(
            direction.vector.flatten(), reading.weights.flatten(), dim=0
        )
        if abs(float(along)) > PARALLEL:
            return replace(direction, reading=reading)
    return direction


def _read_expressions(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], space: LatentSpace
) -> Expressions | None:
    if EXPRESSIONS not in metadata:
        return None
    with description_of(path, EXPRESSIONS):
        names = tuple(str(name) for name in json_value(path, metadata, EXPRESSIONS, "[]"))
        readings, effects = (
            tensors[f"{EXPRESSIONS}.{part}"].float() for part in ("readings", "effects")
        )
        if tuple(effects.shape[1:]) != space.shape:
            raise ValueError(f"effects of shape {tuple(effects.shape)}")
        return Expressions(names, readings, effects)

"""Settings of trainings and evaluations: frozen dataclasses, read from `name=value` texts.

A field says for users what it does: `steps: Annotated[int, "of the optimiser"] = 8000`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ..models.errors import FaceLatentsError

T = TypeVar("T")


def read_settings(kind: type[T], texts: Sequence[str], task: str) -> T:
    """The settings of a task as a command line gives them.

    Args:
        kind: a dataclass whose fields are `bool`, `int`, `float`, `str`, `Path`, a tuple of these,
            or one of these or None.
        texts: `name=value` each; lists and null are written as in JSON.
        task: its name, for errors.

    Raises:
        FaceLatentsError: a text without a value, an unknown name, or a value of another type.
    """
    types, values = get_type_hints(kind), dict[str, Any]()  # types without their help
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise FaceLatentsError(f"'{text}' is not understood. Write name=value.")
        if name not in types:
            raise FaceLatentsError(f"'{task}' has no setting {name}. {list_settings(kind)}")
        try:
            values[name] = _converted(_json(value), value, types[name])
        except ValueError as error:
            raise FaceLatentsError(
                f"{name}={value} is not understood; {name} takes {error}."
            ) from error
    return kind(**values)


def list_settings(kind: type) -> str:
    """What can be set, one setting a line with its default and help."""
    types = get_type_hints(kind, include_extras=True)
    lines = [
        f"  {each.name}={_text(each.default)}  {types[each.name].__metadata__[0]}"
        for each in fields(kind)
    ]
    return "\n".join(["Its settings are:", *lines]) if lines else "It has no settings."


def _text(default: object) -> str:
    return default if isinstance(default, str) else json.dumps(default, default=str)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _converted(value: Any, text: str, wanted: Any) -> Any:
    """A JSON value as a type.

    Raises:
        ValueError: it is of another; the message says what is wanted.
    """
    parts = get_args(wanted)
    if get_origin(wanted) in (Union, UnionType):
        (inner,) = [part for part in parts if part is not NoneType]
        return None if value is None else _converted(value, text, inner)
    if get_origin(wanted) is tuple:
        if not isinstance(value, list):
            raise ValueError("a list such as [1, 2]")
        kinds = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        if len(kinds) != len(value):
            raise ValueError(f"lists of {len(kinds)}")
        return tuple(_converted(v, str(v), k) for v, k in zip(value, kinds, strict=True))
    if wanted in (str, Path):
        return wanted(text)
    if wanted is bool and not isinstance(value, bool):
        raise ValueError("true or false")
    if wanted is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise ValueError("a whole number")
    if wanted is float and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        raise ValueError("a number")
    return wanted(value)

"""The decorator that makes a class a node: its place in the menu, its protocol, its checks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..models.threads import interruptible
from . import host
from .widgets import Input, InputTypes

C = TypeVar("C", bound=type)

NODES: dict[str, type] = {}
DISPLAY_NAMES: dict[str, str] = {}


def node(node_id: str, display_name: str, category: str) -> Callable[[C], C]:
    """Register a class as a node and give it ComfyUI's classic protocol.

    The class states each thing once:

    - its docstring is the node's description, on the canvas as well.
    - `ALIASES`: other words people search for, separated by commas.
    - ComfyUI's flags where it needs them, such as `OUTPUT_NODE`.
    - `INPUTS` and `OPTIONAL`: `Input` by name, see `widgets`. `INPUT_TYPES` is made of them.
    - `OUTPUTS`: type and tooltip by name. `RETURN_TYPES`, `RETURN_NAMES` and `OUTPUT_TOOLTIPS`
      are made of them.
    - `execute`: called with every input by name: checked, with its default where it was left
      out, None where an optional wire was. With `INPUT_IS_LIST` it gets the lists as they are.

    Args:
        node_id: stands in saved workflows, never to be renamed.
        display_name: the node's title.
        category: its menu, one of those in `widgets`.
    """

    def register(cls: C) -> C:
        made: Any = cls
        required, optional = made.INPUTS, getattr(made, "OPTIONAL", {})
        made.CATEGORY = category
        made.DESCRIPTION = " ".join((made.__doc__ or "").split())
        made.SEARCH_ALIASES = made.ALIASES.split(", ")
        made.RETURN_NAMES = tuple(made.OUTPUTS)
        made.RETURN_TYPES = tuple(kind for kind, _ in made.OUTPUTS.values())
        made.OUTPUT_TOOLTIPS = tuple(tooltip for _, tooltip in made.OUTPUTS.values())
        made.INPUT_TYPES = classmethod(lambda cls: _declare(required, optional))
        made.FUNCTION = "execute"
        if not getattr(made, "INPUT_IS_LIST", False):
            made.execute = _with_checks(made.execute, required, optional)
        NODES[node_id] = cls
        DISPLAY_NAMES[node_id] = display_name
        return cls

    return register


def _declare(required: Mapping[str, Input], optional: Mapping[str, Input]) -> InputTypes:
    groups = {"required": required, "optional": optional}
    return {
        group: {name: given.declare() for name, given in inputs.items()}
        for group, inputs in groups.items()
        if inputs
    }


def _with_checks(
    execute: Callable[..., Any], required: Mapping[str, Input], optional: Mapping[str, Input]
) -> Callable[..., Any]:
    inputs = {**required, **optional}

    @functools.wraps(execute)
    def checked(self: object, **values: Any) -> Any:
        given = {}
        for name, declared in inputs.items():
            value = values.pop(name, declared.settings.get("default"))
            if value is not None or name in required:
                value = declared.check(value, name)
            given[name] = value
        with interruptible(host.check_interrupt):
            return execute(self, **given, **values)

    return checked

"""`--set NODE.input=value`: find the node, read the value as its widget would."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .graph import WorkflowError
from .prompts import Prompt, title_of
from .schema import InputSpec, NodeSchema
from .validate import range_problem

_SETTING = re.compile(r"^(?P<node>.+?)\.(?P<input>[^\W\d][\w ]*)=(?P<value>.*)$", re.DOTALL)
_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
EVERY = "*"  # LoadImage.image=* : this is the loader that goes through the folder


@dataclass(frozen=True)
class Override:
    """One value for one input of one node."""

    node_id: str
    input: str
    value: Any


def split_setting(text: str) -> tuple[str, str, str]:
    """Node, input and value of `NODE.input=value`.

    Raises:
        WorkflowError: the text is not of that form.
    """
    match = _SETTING.match(text)
    if match is None:
        raise WorkflowError(
            f"--set {text!r} is not understood. Write NODE.input=value, for example "
            "--set 'Add Direction.strength=2' or --set 5.strength=2."
        )
    return match["node"].strip(), match["input"].strip(), match["value"]


def find_node(prompt: Prompt, name: str) -> str:
    """The id of the node that goes by `name`: its id, its title, or its type.

    Raises:
        WorkflowError: no node or several nodes go by that name; candidates are listed.
    """
    if name in prompt:
        return name
    folded = name.casefold()
    for names in (lambda node: title_of(node), lambda node: str(node["class_type"])):
        found = [key for key, node in prompt.items() if names(node).casefold() == folded]
        if len(found) == 1:
            return found[0]
        if found:
            raise WorkflowError(
                f"--set: {len(found)} nodes are called '{name}'. Use the id of the one you mean: "
                + ", ".join(f"{key} ({title_of(prompt[key])})" for key in found)
                + "."
            )
    nodes = ", ".join(f"{title_of(node)} ({key})" for key, node in prompt.items())
    raise WorkflowError(f"--set: the workflow has no node '{name}'. Its nodes are: {nodes}.")


def read_overrides(
    prompt: Prompt, settings: Iterable[str], schemas: Mapping[str, NodeSchema]
) -> list[Override]:
    """Read `--set` texts against a workflow.

    Raises:
        WorkflowError: unknown node or input, a value of the wrong kind or out of range.
    """
    return [_read(prompt, text, schemas) for text in settings]


def _read(prompt: Prompt, text: str, schemas: Mapping[str, NodeSchema]) -> Override:
    name, input_name, value = split_setting(text)
    key = find_node(prompt, name)
    schema = schemas[prompt[key]["class_type"]]
    spec = schema.input(input_name)
    settable = [spec.name for spec in schema.inputs if spec.has_widget]
    if spec is None or not spec.has_widget:
        reason = "has no input" if spec is None else f"takes only a link ({spec.kind}) at"
        raise WorkflowError(
            f"--set: {title_of(prompt[key])} (node {key}) {reason} '{input_name}'. "
            + (f"What can be set: {', '.join(settable)}." if settable else "Nothing can be set.")
        )
    where = f"--set {title_of(prompt[key])}.{input_name}"
    if spec.is_upload:
        return Override(key, input_name, value)
    parsed = parse_value(spec, value, where)
    problem = range_problem(spec, parsed)
    if problem is not None:
        raise WorkflowError(f"{where} {problem}.")
    return Override(key, input_name, parsed)


def parse_value(spec: InputSpec, text: str, where: str) -> Any:
    """Read a typed value: whole number, number, yes or no, text, or one of a combo's choices.

    Raises:
        WorkflowError: the text is not a value of that kind.
    """
    word = text.strip()
    if spec.kind == "INT":
        try:
            return int(word)
        except ValueError:
            number = _number(word)
            if number is not None and number.is_integer():
                return int(number)
        raise WorkflowError(f"{where} has to be a whole number, but is '{text}'.")
    if spec.kind == "FLOAT":
        number = _number(word)
        if number is None:
            raise WorkflowError(f"{where} has to be a number, but is '{text}'.")
        return number
    if spec.kind == "BOOLEAN":
        if word.casefold() in _YES + _NO:
            return word.casefold() in _YES
        raise WorkflowError(f"{where} has to be true or false, but is '{text}'.")
    for choice in spec.choices() or ():
        if str(choice) == text:
            return choice
    return text


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def apply_overrides(prompt: Prompt, overrides: Iterable[Override]) -> Prompt:
    """A copy of `prompt` with the values set; a link at that input is replaced by the value."""
    changed = copy.deepcopy(prompt)
    for override in overrides:
        changed[override.node_id]["inputs"][override.input] = override.value
    return changed


def write_back(
    graph: Mapping[str, Any], overrides: Iterable[Override], schemas: Mapping[str, NodeSchema]
) -> Mapping[str, Any]:
    """A copy of the graph JSON showing the values set, so that saved pictures reopen with them.

    Only nodes of the top level change; an input that was linked keeps its link.
    """
    changed = copy.deepcopy(dict(graph))
    nodes = {str(node["id"]): node for node in changed["nodes"]}
    for override in overrides:
        node = nodes.get(override.node_id)
        schema = None if node is None else schemas.get(str(node["type"]))
        if node is None or schema is None:
            continue
        values = node.get("widgets_values")
        if isinstance(values, dict):
            values[override.input] = override.value
        elif isinstance(values, list):
            index = schema.widget_slots().index(override.input)
            if index < len(values):
                values[index] = override.value
        named = node.get("widgets_values_named")
        if isinstance(named, dict):
            named[override.input] = override.value
    return changed

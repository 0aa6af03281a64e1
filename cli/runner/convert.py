"""Graph JSON (what the canvas saves) to API JSON (what is executed), as the canvas does it.

API JSON is `{node id: {"class_type", "inputs": {name: value or [node id, slot]}, "_meta"}}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from .flatten import FlatGraph
from .graph import WorkflowError, is_graph, parse_workflow
from .naming import fill_placeholders, named_value
from .prompts import Prompt
from .schema import NodeSchema, schemas_of
from .unknown import nodes_left_out, refuse_unknown
from .widget_values import Widgets, boxed


def to_prompt(
    graph: Mapping[str, Any],
    node_defs: Mapping[str, Any],
    titles: Mapping[str, str] | None = None,
) -> Prompt:
    """Convert graph JSON to API JSON.

    Args:
        graph: the workflow as saved from the canvas (format 0.4 or 1.0).
        node_defs: node classes by type name, or the host's `/object_info`.
        titles: display names by type, for nodes without a title of their own.

    Raises:
        WorkflowError: unknown node types that a result needs (all of them are named), links or
            nodes missing from the file, reroutes in a circle.
    """
    prompt, widgets = _convert(graph, node_defs, titles)
    return widgets.fill_placeholders(prompt)


def _convert(
    graph: Mapping[str, Any], node_defs: Mapping[str, Any], titles: Mapping[str, str] | None
) -> tuple[Prompt, Widgets]:
    """API JSON with placeholders as they are, and what fills them."""
    workflow = parse_workflow(graph)
    schemas = schemas_of(node_defs, titles)
    try:
        return _to_prompt(FlatGraph(workflow), schemas)
    except RecursionError as error:
        raise WorkflowError(
            "The workflow passes a value through too many reroutes, bypassed nodes or subgraphs."
        ) from error


def _to_prompt(flat: FlatGraph, schemas: Mapping[str, NodeSchema]) -> tuple[Prompt, Widgets]:
    left_out = nodes_left_out(flat, schemas)
    widgets = Widgets(flat, schemas)
    prompt: Prompt = {}
    for node in flat.executable():
        if node.id in left_out:
            continue
        schema = schemas[node.node.type]
        inputs = widgets.values(node)
        for slot, socket in enumerate(node.node.inputs):
            origin = flat.resolve_input(node, slot)
            if origin is None:
                continue
            if not origin.promoted:
                inputs[socket.name] = [origin.id, origin.slot]
                continue
            shown = (widgets.promoted(*place) for place in origin.promoted)
            promoted = next((value for value in shown if value is not None), None)
            if promoted is not None:
                inputs[socket.name] = boxed(promoted)
        prompt[node.id] = {
            "inputs": inputs,
            "class_type": node.node.type,
            "_meta": {"title": node.node.title or schema.title},
        }
    return prompt, widgets


class LoadedPrompt(NamedTuple):
    """A workflow file as API JSON.

    Attributes:
        prompt: with the placeholders of file names as they are.
        graph: its graph JSON, where there is one.
        fill: a prompt with other values to one with its placeholders filled.
    """

    prompt: Prompt
    graph: Mapping[str, Any] | None
    fill: Callable[[Prompt], Prompt]


def load_prompt(
    data: Any, node_defs: Mapping[str, Any], titles: Mapping[str, str] | None = None
) -> LoadedPrompt:
    """Read any workflow file.

    Raises:
        WorkflowError: the data is neither graph JSON nor API JSON.
    """
    if is_graph(data):
        prompt, widgets = _convert(data, node_defs, titles)
        return LoadedPrompt(prompt, data, widgets.fill_placeholders)
    if isinstance(data, Mapping) and isinstance(data.get("prompt"), Mapping):
        data = data["prompt"]  # the body of a POST /prompt
    nodes = (
        isinstance(node, Mapping)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs", {}), Mapping)
        and isinstance(node.get("_meta", {}), Mapping)
        for node in (data.values() if isinstance(data, Mapping) else ())
    )
    if not isinstance(data, Mapping) or not data or not all(nodes):
        raise WorkflowError(
            "This JSON is neither a workflow saved from the canvas nor one exported in API format."
        )
    prompt = {
        str(key): {
            **node,
            "inputs": {k: _link_of(value) for k, value in node.get("inputs", {}).items()},
        }
        for key, node in data.items()
    }
    refuse_unknown(
        [
            (str(node["class_type"]), str((node.get("_meta") or {}).get("title") or ""), key)
            for key, node in prompt.items()
        ],
        node_defs,
    )
    return LoadedPrompt(prompt, None, partial(fill_placeholders, lookup=named_value))


def _link_of(value: Any) -> Any:
    """Node ids in links are strings, though some tools write numbers."""
    if isinstance(value, list) and len(value) == 2 and type(value[0]) is int:
        return [str(value[0]), value[1]]
    return value

"""Workflow files as the canvas saves them, read into plain values (formats 0.4 and 1.0)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError

ALWAYS, MUTED, BYPASSED = 0, 2, 4  # node modes
SUBGRAPH_INPUT, SUBGRAPH_OUTPUT = "-10", "-20"  # ids of a subgraph's own entry and exit


class WorkflowError(FaceLatentsError):
    """A workflow cannot be run; the message lists everything that is wrong with it."""


@dataclass(frozen=True)
class Slot:
    """An input or output socket."""

    name: str
    type: str
    link: int | None = None
    widget: str | None = None  # the widget that this socket feeds


@dataclass(frozen=True)
class Link:
    """A wire from an output slot to an input slot."""

    id: int
    origin_id: str
    origin_slot: int
    target_id: str
    target_slot: int


@dataclass(frozen=True)
class Node:
    """A node as saved."""

    id: str
    type: str
    title: str | None
    mode: int
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    values: Any  # widgets_values: a list in widget order, or a mapping by name
    properties: Mapping[str, Any]

    def label(self) -> str:
        """How messages name this node."""
        name = self.title or self.type
        return f"'{name}' (node {self.id})"


@dataclass(frozen=True)
class Graph:
    """Nodes and links of one level; a subgraph also has entry and exit slots."""

    key: str  # "" for the root, else the subgraph's id
    name: str
    nodes: Mapping[str, Node]
    links: Mapping[int, Link]
    inputs: tuple[Slot, ...] = ()
    outputs: tuple[Slot, ...] = ()


@dataclass(frozen=True)
class Workflow:
    """A whole file: the root graph and the subgraph definitions it uses."""

    root: Graph
    subgraphs: Mapping[str, Graph] = field(default_factory=dict)


def is_graph(data: Any) -> bool:
    """True for graph JSON as saved from the canvas (API JSON has no list of nodes)."""
    return isinstance(data, Mapping) and isinstance(data.get("nodes"), list)


def read_workflow_file(path: Path) -> Any:
    """The JSON of a workflow: a `.json` file, or a PNG that the host or the runner saved.

    Raises:
        WorkflowError: no such file, not JSON, or a picture without a workflow in it.
    """
    if not path.is_file():
        raise WorkflowError(f"There is no workflow file '{path}'. Check the path.")
    if path.suffix.lower() == ".png":
        return _from_png(path)
    try:
        data = _parse(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # no UTF-8, no JSON, endless digits
        raise WorkflowError(
            f"'{path}' is not readable as JSON ({error}). Save the workflow again from the canvas."
        ) from error
    return data


def _parse(text: str) -> Any:
    """The value of a JSON text; half of a letter, which cannot be written or shown, becomes "?"."""
    value = json.loads(text)
    if "\\ud" in text.lower():
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def _from_png(path: Path) -> Any:
    from ...models.imaging.opening import open_header, readable

    with readable(path), open_header(path) as picture:
        texts = getattr(picture, "text", {})
    for key in ("workflow", "prompt"):
        if key in texts:
            try:
                return _parse(texts[key])
            except (ValueError, RecursionError) as error:
                raise WorkflowError(f"The workflow inside '{path}' is damaged.") from error
    raise WorkflowError(
        f"The picture '{path}' carries no workflow. Use one saved by ComfyUI or by this command, "
        "or a .json file."
    )


def parse_workflow(data: Any) -> Workflow:
    """Read graph JSON.

    Raises:
        WorkflowError: the structure is not that of a saved workflow.
    """
    if not is_graph(data):
        raise WorkflowError(
            "This JSON is not a workflow: it has no list of nodes. Save it from the canvas "
            "(Workflow > Save or Export) and try again."
        )
    try:
        definitions = (data.get("definitions") or {}).get("subgraphs") or []
        subgraphs = {}
        for item in _with_nested(definitions):
            subgraphs[str(item["id"])] = _graph(item, str(item["id"]))
        return Workflow(_graph(data, ""), subgraphs)
    except (
        AttributeError,
        LookupError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise WorkflowError(
            f"The workflow file is damaged ({type(error).__name__}: {error}). "
            "Open it on the canvas and save it again."
        ) from error


def _with_nested(definitions: list[Any]) -> list[Any]:
    found = []
    for item in definitions:
        found.append(item)
        found += _with_nested((item.get("definitions") or {}).get("subgraphs") or [])
    return found


def _graph(data: Mapping[str, Any], key: str) -> Graph:
    nodes: dict[str, Node] = {}
    for item in data["nodes"]:
        node = _node(item)
        if node.id in nodes:
            raise ValueError(f"two nodes have the id {node.id}")
        nodes[node.id] = node
    links = [_link(item) for item in data.get("links") or [] if item is not None]
    return Graph(
        key,
        str(data.get("name") or key or "workflow"),
        nodes,
        {link.id: link for link in links},
        tuple(_slot(item) for item in data.get("inputs") or []) if key else (),
        tuple(_slot(item) for item in data.get("outputs") or []) if key else (),
    )


def _node(item: Mapping[str, Any]) -> Node:
    values = item.get("widgets_values") or []
    properties = item.get("properties") or {}
    if not isinstance(values, (list, Mapping)) or not isinstance(properties, Mapping):
        raise ValueError(f"the settings of node {item['id']} are not a list")
    return Node(
        str(item["id"]),
        str(item["type"]),
        item.get("title") or None,
        int(item.get("mode") or 0),
        tuple(_slot(slot) for slot in item.get("inputs") or []),
        tuple(_slot(slot) for slot in item.get("outputs") or []),
        values,
        properties,
    )


def _slot(item: Mapping[str, Any]) -> Slot:
    link = item.get("link")
    widget = item.get("widget")
    return Slot(
        str(item.get("name", "")),
        str(item.get("type", "*")),
        None if link is None else int(link),
        str(widget["name"]) if isinstance(widget, Mapping) and "name" in widget else None,
    )


def _link(item: Any) -> Link:
    if isinstance(item, Mapping):
        fields = [
            item[name] for name in ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        ]
    else:
        fields = list(item[:5])
    number, origin, origin_slot, target, target_slot = fields
    return Link(int(number), str(origin), int(origin_slot), str(target), int(target_slot))

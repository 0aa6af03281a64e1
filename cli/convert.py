"""Graph JSON (what the canvas saves) to API JSON (what is executed), as the canvas does it.

API JSON is ``{node id: {"class_type", "inputs": {name: value or [node id, slot]}, "_meta"}}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .flatten import PRIMITIVE, FlatGraph, FlatNode
from .graph import SUBGRAPH_INPUT, Graph, Node, Workflow, WorkflowError, is_graph, parse_workflow
from .naming import REPLACING_NODES, replace_in_prefix
from .schema import InputSpec, NodeSchema, schemas_of

Prompt = dict[str, dict[str, Any]]
Values = dict[str, Any]


def to_prompt(
    graph: Mapping[str, Any],
    node_defs: Mapping[str, Any],
    titles: Mapping[str, str] | None = None,
) -> Prompt:
    """Convert graph JSON to API JSON.

    Args:
        graph: the workflow as saved from the canvas (format 0.4 or 1.0).
        node_defs: node classes by type name, or the host's ``/object_info``.
        titles: display names by type, for nodes without a title of their own.

    Raises:
        WorkflowError: unknown node types (all of them are named), links or nodes missing from
            the file, reroutes in a circle.
    """
    workflow = parse_workflow(graph)
    schemas = schemas_of(node_defs, titles)
    try:
        return _to_prompt(FlatGraph(workflow), schemas)
    except RecursionError as error:
        raise WorkflowError(
            "The workflow passes a value through too many reroutes, bypassed nodes or subgraphs."
        ) from error


def _to_prompt(flat: FlatGraph, schemas: Mapping[str, NodeSchema]) -> Prompt:
    refuse_unknown(
        [(node.node.type, node.node.title or "", node.id) for node in flat.executable()], schemas
    )
    widgets = _Widgets(flat, schemas)
    prompt: Prompt = {}
    for node in flat.executable():
        schema = schemas[node.node.type]
        inputs = widgets.values(node)
        for slot, socket in enumerate(node.node.inputs):
            origin = flat.resolve_input(node, slot)
            if origin is None:
                continue
            if origin.promoted is None:
                inputs[socket.name] = [origin.id, origin.slot]
            else:
                promoted = widgets.promoted(*origin.promoted)
                if promoted is not None:
                    inputs[socket.name] = _boxed(promoted)
        prompt[node.id] = {
            "inputs": inputs,
            "class_type": node.node.type,
            "_meta": {"title": node.node.title or schema.title},
        }
    return prompt


def load_prompt(
    data: Any, node_defs: Mapping[str, Any], titles: Mapping[str, str] | None = None
) -> tuple[Prompt, Mapping[str, Any] | None]:
    """API JSON of any workflow file, and its graph JSON where there is one.

    Raises:
        WorkflowError: the data is neither graph JSON nor API JSON.
    """
    if is_graph(data):
        return to_prompt(data, node_defs, titles), data
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
    return prompt, None


def refuse_unknown(nodes: list[tuple[str, str, str]], known: Mapping[str, Any]) -> None:
    """Raise a WorkflowError naming every (type, title, id) of `nodes` whose type is not known."""
    unknown: dict[str, list[str]] = {}
    for kind, title, node_id in nodes:
        if kind not in known:
            unknown.setdefault(kind, []).append(
                f"node {node_id}" + (f" '{title}'" if title else "")
            )
    if not unknown:
        return
    lines = [f"  - {kind} ({', '.join(places)})" for kind, places in sorted(unknown.items())]
    hint = "Run the workflow in ComfyUI, or remove, mute or bypass these nodes."
    if any(kind.startswith(("workflow>", "workflow/")) for kind in unknown):
        hint += " Old group nodes: convert them to a subgraph or to nodes on the canvas first."
    raise WorkflowError(
        "This workflow uses nodes that do not exist outside ComfyUI:\n"
        + "\n".join(lines)
        + f"\n{hint}"
    )


class _Widgets:
    """Widget values of the nodes of one workflow."""

    def __init__(self, flat: FlatGraph, schemas: Mapping[str, NodeSchema]) -> None:
        self._flat = flat
        self._workflow: Workflow = flat.workflow
        self._schemas = schemas
        self._primitives: dict[tuple[str, str], Values] = {}
        for graph in (self._workflow.root, *self._workflow.subgraphs.values()):
            self._push_primitives(graph)

    def _push_primitives(self, graph: Graph) -> None:
        for node in graph.nodes.values():
            if node.type != PRIMITIVE or not isinstance(node.values, list) or not node.values:
                continue
            value = node.values[0]
            if isinstance(value, str) and node.properties.get("Run widget replace on values"):
                value = replace_in_prefix(value, self.lookup)
            for link in graph.links.values():
                target = graph.nodes.get(link.target_id)
                if link.origin_id != node.id or target is None:
                    continue
                if link.target_slot < len(target.inputs):
                    socket = target.inputs[link.target_slot]
                    fed = self._primitives.setdefault((graph.key, target.id), {})
                    fed[socket.widget or socket.name] = value

    def values(self, flat: FlatNode) -> Values:
        """Values of all widgets of a node, in order, lists boxed as the API format wants them."""
        schema = self._schemas[flat.node.type]
        values = widget_values(flat.node, schema)
        values.update(self._primitives.get((flat.graph.key, flat.node.id), {}))
        values.update(self._proxied(flat))
        if flat.node.type in REPLACING_NODES and isinstance(values.get("filename_prefix"), str):
            values["filename_prefix"] = replace_in_prefix(values["filename_prefix"], self.lookup)
        return {name: _boxed(value) for name, value in values.items()}

    def lookup(self, node_name: str, widget: str) -> Any:
        """Value of a widget of the first node that goes by `node_name`, or None."""
        graphs = (self._workflow.root, *self._workflow.subgraphs.values())
        nodes = [(graph, node) for graph in graphs for node in graph.nodes.values()]
        for graph, node in (
            *(pair for pair in nodes if pair[1].properties.get("Node name for S&R") == node_name),
            *(pair for pair in nodes if pair[1].title == node_name),
        ):
            schema = self._schemas.get(node.type)
            if schema is not None:
                values = widget_values(node, schema)
                values.update(self._primitives.get((graph.key, node.id), {}))
                return values.get(widget)
        return None

    def _proxied(self, flat: FlatNode) -> Values:
        """Values that the subgraph instance shows for this inner node (frontends up to 1.4x)."""
        found: Values = {}
        if flat.parent is None or not isinstance(flat.parent.node.values, list):
            return found
        values = flat.parent.node.values
        for index, entry in enumerate(_proxy_entries(flat.parent.node)):
            shown = index < len(values) and values[index] is not None
            if shown and str(entry[0]) == flat.node.id:
                found[str(entry[1])] = values[index]
        return found

    def promoted(self, shell: FlatNode, slot: int) -> Any:
        """The value a subgraph instance keeps for its unlinked input `slot`; None for none."""
        graph = self._workflow.subgraphs[shell.node.type]
        values = shell.node.values
        name = graph.inputs[slot].name
        if isinstance(values, Mapping):
            return values.get(name)
        proxies = _proxy_entries(shell.node)
        if proxies:
            targets = [("-1", name), *self._targets(graph, slot)]
            index = next((i for i, e in enumerate(proxies) if (str(e[0]), e[1]) in targets), None)
        else:
            with_widget = [i for i in range(len(graph.inputs)) if self._feeds_widget(graph, i)]
            index = with_widget.index(slot) if slot in with_widget else None
        return None if index is None or index >= len(values) else values[index]

    def _targets(self, graph: Graph, slot: int) -> list[tuple[str, str]]:
        """(inner node id, input name) of every inner socket linked to the subgraph's input."""
        found = []
        for link in graph.links.values():
            target = graph.nodes.get(link.target_id)
            if (link.origin_id, link.origin_slot) != (SUBGRAPH_INPUT, slot) or target is None:
                continue
            if link.target_slot < len(target.inputs):
                found.append((target.id, target.inputs[link.target_slot].name))
        return found

    def _feeds_widget(self, graph: Graph, slot: int) -> bool:
        for node_id, name in self._targets(graph, slot):
            node = graph.nodes[node_id]
            inner = self._workflow.subgraphs.get(node.type)
            if inner is not None:
                index = next((i for i, s in enumerate(inner.inputs) if s.name == name), None)
                if index is not None and self._feeds_widget(inner, index):
                    return True
            elif node.type in self._schemas:
                spec = self._schemas[node.type].input(name)
                if spec is not None and spec.has_widget:
                    return True
        return False


def widget_values(node: Node, schema: NodeSchema) -> Values:
    """Widget values by input name: the saved ones, defaults where the file has none."""
    specs: list[InputSpec] = [spec for spec in schema.inputs if spec.has_widget]
    values = {spec.name: spec.default() for spec in specs}
    if isinstance(node.values, Mapping):
        values.update({name: node.values[name] for name in values if name in node.values})
        return values
    for name, value in zip(schema.widget_slots(), node.values, strict=False):
        if name is not None:
            values[name] = value
    return values


def _link_of(value: Any) -> Any:
    """Node ids in links are strings, though some tools write numbers."""
    if isinstance(value, list) and len(value) == 2 and type(value[0]) is int:
        return [str(value[0]), value[1]]
    return value


def _proxy_entries(node: Node) -> list[Any]:
    entries = node.properties.get("proxyWidgets")
    entries = entries if isinstance(entries, list) else []
    return [entry for entry in entries if isinstance(entry, list) and len(entry) >= 2]


def _boxed(value: Any) -> Any:
    """A list would read as a link, so the API format wraps it."""
    return {"__value__": value} if isinstance(value, list) else value

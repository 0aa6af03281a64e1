"""Widget values of the nodes of a workflow: saved, fed by a primitive, or shown by a subgraph.

What a subgraph instance keeps, as read from version 1.49.6 of the frontend (`SubgraphNode`):

- `widgets_values` has a value for each input with a widget, in their order. Null or nothing: the
  instance shows the inner value, which for an inner instance is that one's own.
- With `properties.proxyWidgets` (saved by versions up to 1.4x) it has a value for each entry
  `[inner node or instance, widget]` instead; `"-1"` is an input of the subgraph. An entry may be
  for `control_after_generate`, which is no input.
- Of nested instances the outermost that shows a widget has its value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .flatten import PRIMITIVE, FlatGraph, FlatNode
from .graph import SUBGRAPH_INPUT, Graph, Node, Workflow
from .naming import fill_placeholders
from .prompts import Prompt, is_link
from .schema import InputSpec, NodeSchema

Values = dict[str, Any]


class Widgets:
    """Widget values of the nodes of one workflow."""

    def __init__(self, flat: FlatGraph, schemas: Mapping[str, NodeSchema]) -> None:
        self._flat = flat
        self._workflow: Workflow = flat.workflow
        self._schemas = schemas
        self._primitives: dict[tuple[str, str], Values] = {}
        self._with_placeholders: set[tuple[str, str, str]] = set()  # graph, node, input
        for graph in (self._workflow.root, *self._workflow.subgraphs.values()):
            self._push_primitives(graph)

    def _push_primitives(self, graph: Graph) -> None:
        for node in graph.nodes.values():
            if node.type != PRIMITIVE or not isinstance(node.values, list) or not node.values:
                continue
            value = node.values[0]
            replaced = node.properties.get("Run widget replace on values")
            for link in graph.links.values():
                target = graph.nodes.get(link.target_id)
                if link.origin_id != node.id or target is None:
                    continue
                if link.target_slot < len(target.inputs):
                    socket = target.inputs[link.target_slot]
                    fed = self._primitives.setdefault((graph.key, target.id), {})
                    fed[socket.widget or socket.name] = value
                    if replaced:
                        self._with_placeholders.add(
                            (graph.key, target.id, socket.widget or socket.name)
                        )

    def values(self, flat: FlatNode) -> Values:
        """Values of all widgets of a node, in order, lists boxed as the API format wants them."""
        schema = self._schemas[flat.node.type]
        values = widget_values(flat.node, schema)
        values.update(self._primitives.get((flat.graph.key, flat.node.id), {}))
        proxied = self._proxied(flat)
        values.update({name: value for name, value in proxied.items() if schema.input(name)})
        return {name: boxed(value) for name, value in values.items()}

    def fill_placeholders(self, prompt: Prompt) -> Prompt:
        """The prompt with the placeholders of file names filled from its values.

        To be called when the values are what they will be: the canvas, too, fills them when it
        queues a workflow.
        """
        places = {
            (flat.id, name)
            for flat in self._flat.nodes.values()
            for graph, node, name in self._with_placeholders
            if (flat.graph.key, flat.node.id) == (graph, node)
        }
        return fill_placeholders(prompt, self._named, places)

    def _named(self, prompt: Prompt, node_name: str, widget: str) -> Any:
        """Value of a widget of the first node that goes by `node_name`, or None."""
        flat_nodes = sorted(self._flat.nodes.values(), key=lambda flat: flat.id.count(":"))
        for names in (_replacement_name, self._title):
            for flat in flat_nodes:
                if names(flat.node) == node_name and flat.node.type in self._schemas:
                    value = prompt.get(flat.id, {}).get("inputs", {}).get(widget)
                    if value is None or is_link(value):  # a node that does not run, a stale widget
                        value = self.values(flat).get(widget)
                    return value
        return None

    def _title(self, node: Node) -> str | None:
        schema = self._schemas.get(node.type)
        return node.title or (None if schema is None else schema.title)

    def _proxied(self, flat: FlatNode) -> Values:
        """Values that the subgraph instance around a node or instance shows for it, by name.

        What an instance shows its own instance may show in turn; the outermost counts.
        """
        found: Values = {}
        if flat.parent is None:
            return found
        outer = self._proxied(flat.parent)
        values = flat.parent.node.values
        for index, entry in enumerate(_proxy_entries(flat.parent.node)):
            name = str(entry[1])
            if str(entry[0]) != flat.node.id:
                continue
            if name in outer:
                found[name] = outer[name]
            elif isinstance(values, list) and index < len(values) and values[index] is not None:
                found[name] = values[index]
        return found

    def promoted(self, shell: FlatNode, slot: int) -> Any:
        """The value a subgraph instance keeps for its unlinked input `slot`; None for none."""
        graph = self._workflow.subgraphs[shell.node.type]
        values = shell.node.values
        name = graph.inputs[slot].name
        if (shown := self._proxied(shell).get(name)) is not None:
            return shown
        if isinstance(values, Mapping):
            return values.get(name)
        proxies = _proxy_entries(shell.node)
        if proxies:
            targets = [("-1", name), *self._targets(graph, slot)]
            index = next((i for i, e in enumerate(proxies) if (str(e[0]), e[1]) in targets), None)
        else:
            index = self._place(graph, slot, len(values))
        return None if index is None or index >= len(values) else values[index]

    def _place(self, graph: Graph, slot: int, count: int) -> int | None:
        """Where an instance without proxies keeps the value of an input, among `count` values.

        It has a value for each input with a widget. Helper widgets (control after generate) have
        one as well where there are more values than inputs.
        """
        fed = [(number, self._fed_widget(graph, number)) for number in range(len(graph.inputs))]
        widgets = [(number, spec) for number, spec in fed if spec is not None]
        helpers = count > len(widgets)
        place = 0
        for number, spec in widgets:
            if number == slot:
                return place
            place += 1 + (spec.extra_widgets() if helpers else 0)
        return None

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

    def _fed_widget(self, graph: Graph, slot: int) -> InputSpec | None:
        """The first widget that a subgraph's input feeds, also through inner subgraphs."""
        for node_id, name in self._targets(graph, slot):
            node = graph.nodes[node_id]
            inner = self._workflow.subgraphs.get(node.type)
            if inner is not None:
                index = next((i for i, s in enumerate(inner.inputs) if s.name == name), None)
                spec = None if index is None else self._fed_widget(inner, index)
            else:
                schema = self._schemas.get(node.type)
                spec = None if schema is None else schema.input(name)
            if spec is not None and spec.has_widget:
                return spec
        return None


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


def _replacement_name(node: Node) -> Any:
    return node.properties.get("Node name for S&R")


def _proxy_entries(node: Node) -> list[Any]:
    entries = node.properties.get("proxyWidgets")
    entries = entries if isinstance(entries, list) else []
    return [entry for entry in entries if isinstance(entry, list) and len(entry) >= 2]


def boxed(value: Any) -> Any:
    """A list would read as a link, so the API format wraps it."""
    return {"__value__": value} if isinstance(value, list) else value

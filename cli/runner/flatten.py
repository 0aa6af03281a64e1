"""A workflow with its subgraphs laid flat, and links followed to the node that really feeds them.

Follows what the canvas does when it queues a workflow: muted nodes give nothing, bypassed nodes
pass on an input of a fitting type, Reroute passes on its input, subgraph boundaries vanish. A Get
node passes on the input of the Set node with its name (read from KJNodes, commit 00af95b, and
Easy-Use, commit 22ce1f9): of its own graph, else of the nearest graph around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .graph import (
    BYPASSED,
    MUTED,
    SUBGRAPH_INPUT,
    SUBGRAPH_OUTPUT,
    Graph,
    Node,
    Workflow,
    WorkflowError,
)
from .schema import types_fit

REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
NOTES = ("Note", "MarkdownNote")
SETTERS = {"GetNode": "SetNode", "easy getNode": "easy setNode"}  # whose value a node passes on
PASSING = frozenset({REROUTE, "Reroute (rgthree)", *SETTERS.values()})
MOST_NODES = 20_000  # subgraphs in subgraphs multiply
VIRTUAL = frozenset({PRIMITIVE, *NOTES, *PASSING, *SETTERS})  # live on the canvas only

Visited = frozenset[tuple[str, str, int]]


@dataclass(frozen=True)
class FlatNode:
    """One node of one subgraph instance; `id` is `instance:...:node` as in the API format."""

    id: str
    node: Node
    graph: Graph
    parent: FlatNode | None  # the subgraph instance this node lives in

    def sibling_id(self, node_id: str) -> str:
        return f"{self.parent.id}:{node_id}" if self.parent else node_id


@dataclass(frozen=True)
class Origin:
    """Where an input gets its value: output `slot` of node `id`, or a widget of instances."""

    id: str = ""
    slot: int = -1
    # subgraph instances and their input's index, the outermost first
    promoted: tuple[tuple[FlatNode, int], ...] = ()


class FlatGraph:
    """All nodes of a workflow by flat id.

    Raises:
        WorkflowError: a subgraph contains itself, or there are too many nodes.
    """

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.nodes: dict[str, FlatNode] = {}
        for flat in self._expand(workflow.root, None, ()):
            self.nodes[flat.id] = flat
            if len(self.nodes) > MOST_NODES:
                raise WorkflowError(
                    f"The workflow has more than {MOST_NODES:,} nodes once its subgraphs are laid "
                    "out. Take some of them out; a file from a stranger may be made to do harm."
                )

    def _expand(
        self, graph: Graph, parent: FlatNode | None, inside: tuple[str, ...]
    ) -> Iterator[FlatNode]:
        for node in graph.nodes.values():
            flat = FlatNode(f"{parent.id}:{node.id}" if parent else node.id, node, graph, parent)
            yield flat
            definition = self.workflow.subgraphs.get(node.type)
            if definition is None or node.mode in (MUTED, BYPASSED):
                continue
            if definition.key in inside:
                raise WorkflowError(
                    f"The subgraph '{definition.name}' contains itself. Take the inner copy out."
                )
            yield from self._expand(definition, flat, (*inside, definition.key))

    def executable(self) -> Iterator[FlatNode]:
        """The nodes that run: not muted, not bypassed, not canvas-only, not subgraph shells."""
        for flat in self.nodes.values():
            node = flat.node
            shell = node.type in self.workflow.subgraphs
            if not shell and node.type not in VIRTUAL and node.mode not in (MUTED, BYPASSED):
                yield flat

    def resolve_input(
        self, flat: FlatNode, slot: int, visited: Visited = frozenset(), wanted: str | None = None
    ) -> Origin | None:
        """What feeds input `slot`, or None for nothing.

        Raises:
            WorkflowError: a link or node is missing from the file, or reroutes form a circle.
        """
        visited = self._visit(flat, "input", slot, visited)
        if not 0 <= slot < len(flat.node.inputs):
            raise WorkflowError(
                f"A link of the workflow ends at input {slot} of {flat.node.label()}, which has "
                f"only {len(flat.node.inputs)} inputs. Connect that node again on the canvas."
            )
        socket = flat.node.inputs[slot]
        if socket.link is None:
            return None
        link = flat.graph.links.get(socket.link)
        if link is None:
            raise WorkflowError(
                f"Input '{socket.name}' of {flat.node.label()} uses link {socket.link}, which is "
                "missing from the workflow file. Connect that input again on the canvas."
            )
        if flat.parent is not None and link.origin_id == SUBGRAPH_INPUT:
            return self._leave_subgraph(flat, link.origin_slot, visited)
        source = self.nodes.get(flat.sibling_id(link.origin_id))
        if source is None:
            raise WorkflowError(
                f"Input '{socket.name}' of {flat.node.label()} is linked to node "
                f"{link.origin_id}, which is missing from the workflow file. Connect that input "
                "again on the canvas."
            )
        return self._resolve_output(source, link.origin_slot, wanted or socket.type, visited)

    def _leave_subgraph(self, flat: FlatNode, slot: int, visited: Visited) -> Origin | None:
        shell = flat.parent
        assert shell is not None
        if not 0 <= slot < len(flat.graph.inputs):
            raise WorkflowError(
                f"{flat.node.label()} takes input {slot} of the subgraph '{flat.graph.name}', "
                f"which has only {len(flat.graph.inputs)} inputs."
            )
        name = flat.graph.inputs[slot].name
        # The instance lists its inputs under the definition's names, at times in another order.
        outer = next((i for i, s in enumerate(shell.node.inputs) if s.name == name), None)
        if outer is None or shell.node.inputs[outer].link is None:
            return Origin(promoted=((shell, slot),))
        origin = self.resolve_input(shell, outer, visited)
        if origin is None or not origin.promoted:
            return origin
        return replace(origin, promoted=(*origin.promoted, (shell, slot)))

    def _resolve_output(
        self, flat: FlatNode, slot: int, wanted: str, visited: Visited
    ) -> Origin | None:
        visited = self._visit(flat, "output", slot, visited)
        node = flat.node
        if node.mode == MUTED:
            return None
        if node.mode == BYPASSED:
            passing = _bypass_input(node, slot, wanted)
            return None if passing is None else self.resolve_input(flat, passing, visited)
        if node.type in self.workflow.subgraphs:
            return self._enter_subgraph(flat, slot, wanted, visited)
        if node.type in VIRTUAL:
            giver = self._find_setter(flat) if node.type in SETTERS else flat
            if giver.node.type not in PASSING or not giver.node.inputs:
                return None
            return self.resolve_input(giver, 0, visited, wanted)
        return Origin(flat.id, slot)

    def _find_setter(self, getter: FlatNode) -> FlatNode:
        name, place = _first_value(getter.node), getter
        while name:
            for node in place.graph.nodes.values():
                if node.type == SETTERS[getter.node.type] and _first_value(node) == name:
                    return self.nodes[place.sibling_id(node.id)]
            if place.parent is None:
                break
            place = place.parent
        raise WorkflowError(
            f"{getter.node.label()} gets '{name}', but no Set node has that name. Choose another "
            "name in it, or connect a wire instead."
        )

    def _enter_subgraph(
        self, flat: FlatNode, slot: int, wanted: str, visited: Visited
    ) -> Origin | None:
        inner = self.workflow.subgraphs[flat.node.type]
        for link in inner.links.values():
            if link.target_id == SUBGRAPH_OUTPUT and link.target_slot == slot:
                source = self.nodes.get(f"{flat.id}:{link.origin_id}")
                if source is None:
                    raise WorkflowError(
                        f"Output {slot} of the subgraph '{inner.name}' comes from node "
                        f"{link.origin_id}, which is missing from the workflow file."
                    )
                return self._resolve_output(source, link.origin_slot, wanted, visited)
        return None

    def _visit(self, flat: FlatNode, side: str, slot: int, visited: Visited) -> Visited:
        place = (flat.id, side, slot)
        if place in visited:
            raise WorkflowError(
                f"The links around {flat.node.label()} form a circle: the value would have to be "
                "there before it is made. Remove one of them."
            )
        return visited | {place}


def _first_value(node: Node) -> Any:
    values = node.values if isinstance(node.values, list) else [*node.values.values()]
    return values[0] if values else None


def _bypass_input(node: Node, slot: int, wanted: str) -> int | None:
    """The input a bypassed node hands on: same slot, else same type, else a fitting type."""
    inputs = [socket.type for socket in node.inputs]
    if wanted in ("*", ""):
        return None if not inputs else slot if slot < len(inputs) else 0
    given = node.outputs[slot].type if slot < len(node.outputs) else "*"

    def fits(kind: Any) -> bool:
        return types_fit(kind or "*", given or "*") and types_fit(kind or "*", wanted)

    if slot < len(inputs) and fits(inputs[slot]):
        return slot
    for test in (lambda kind: kind == wanted, fits):
        for index, kind in enumerate(inputs):
            if test(kind):
                return index
    return None

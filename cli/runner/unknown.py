"""Node types that do not exist here: refused where a result needs them, else left out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .flatten import FlatGraph, FlatNode
from .graph import WorkflowError
from .prompts import Prompt, output_nodes, sources, upstream
from .schema import NodeSchema

logger = logging.getLogger(__name__)

_ANY = ("*", "")


def nodes_left_out(flat: FlatGraph, schemas: Mapping[str, NodeSchema]) -> set[str]:
    """The nodes that no result needs and that cannot run here.

    Labels and bypassers of other packs live on the canvas only, which their file does not say. They
    take nothing, or wires of any type. An unknown node at the end of a wire with a type may be one
    that saves, so it counts as a result.

    Raises:
        WorkflowError: names the nodes of unknown types that a result needs.
    """
    nodes = {node.id: node for node in flat.executable()}
    unknown = {key for key, node in nodes.items() if node.node.type not in schemas}
    if not unknown:
        return set()
    wired = _wires(flat, nodes)
    known = {key: node for key, node in wired.items() if key not in unknown}
    outputs = output_nodes(known, schemas)
    needed = upstream(wired, [*outputs, *(key for key in unknown if _is_typed(nodes[key]))])
    refused = sorted(unknown & needed if outputs else unknown, key=list(nodes).index)
    refuse_unknown([(nodes[k].node.type, nodes[k].node.title or "", k) for k in refused], schemas)
    taking = sorted(key for key in unknown if wired[key]["inputs"])
    if taking:
        names = ", ".join(f"{nodes[key].node.type} (node {key})" for key in taking)
        logger.warning("Left out, as no result of the workflow needs them: %s.", names)
    return _with_targets(wired, unknown)


def _wires(flat: FlatGraph, nodes: Mapping[str, FlatNode]) -> Prompt:
    """The nodes in API form with links alone."""
    wired: Prompt = {}
    for key, node in nodes.items():
        origins = (flat.resolve_input(node, slot) for slot in range(len(node.node.inputs)))
        links = {str(i): [o.id, o.slot] for i, o in enumerate(origins) if o and not o.promoted}
        wired[key] = {"class_type": node.node.type, "inputs": links}
    return wired


def _is_typed(node: FlatNode) -> bool:
    """True for a node that takes a wire of a type that it names."""
    return any(slot.link is not None and slot.type not in _ANY for slot in node.node.inputs)


def _with_targets(wired: Prompt, keys: set[str]) -> set[str]:
    """`keys` and every node that takes values from them."""
    found = set(keys)
    while more := {k for k, node in wired.items() if k not in found and found & {*sources(node)}}:
        found |= more
    return found


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

"""Workflows in API form: `{node id: {"class_type", "inputs", "_meta"}}`, and walking them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .schema import NodeSchema

Prompt = dict[str, dict[str, Any]]


def is_link(value: Any) -> bool:
    """True for `[node id, output slot]`."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )


def used_classes(prompt: Prompt, classes: Mapping[str, type]) -> dict[str, type]:
    """The classes of the nodes of a prompt, by type."""
    return {node["class_type"]: classes[node["class_type"]] for node in prompt.values()}


def title_of(node: Mapping[str, Any], fallback: str | None = None) -> str:
    """The title of a node in API form."""
    title = (node.get("_meta") or {}).get("title")
    return str(title or (node["class_type"] if fallback is None else fallback))


def label(prompt: Prompt, key: str) -> str:
    """How messages name a node."""
    return f"'{title_of(prompt[key])}' (node {key})"


def output_nodes(prompt: Prompt, schemas: Mapping[str, NodeSchema]) -> list[str]:
    """Nodes that save or show something: what a run is for."""
    return [key for key, node in prompt.items() if schemas[node["class_type"]].is_output]


def upstream(prompt: Prompt, keys: Iterable[str]) -> set[str]:
    """`keys` and every node they take values from."""
    needed: set[str] = set()
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in needed:
            needed.add(key)
            waiting += sources(prompt[key])
    return needed


def sources(node: Mapping[str, Any]) -> list[str]:
    """Ids of the nodes linked to a node's inputs."""
    return [str(value[0]) for value in node["inputs"].values() if is_link(value)]


def find_cycles(prompt: Prompt) -> list[list[str]]:
    """Circles of links, each as the list of its node ids in the order values would flow."""
    cycles: list[list[str]] = []
    done: set[str] = set()
    for start in prompt:
        path: list[str] = []
        stack: list[tuple[str, Iterable[str]]] = []

        def enter(
            key: str,
            path: list[str] = path,
            stack: list[tuple[str, Iterable[str]]] = stack,
        ) -> None:
            path.append(key)
            stack.append((key, iter(sources(prompt[key]))))

        if start not in done:
            enter(start)
        while stack:
            key, remaining = stack[-1]
            source = next(iter(remaining), None)
            if source is None:
                done.add(key)
                stack.pop()
                path.pop()
            elif source in path:
                cycles.append(path[path.index(source) :][::-1])
            elif source not in done:
                enter(source)
    return cycles

"""Runs a workflow in API form: each node once, list inputs mapped, results cached per node."""

from __future__ import annotations

import inspect
import itertools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...models.errors import FaceLatentsError
from .prompts import Prompt, is_link, label, output_nodes, sources, used_classes
from .schema import NodeSchema, schema_of

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # node title, nodes done, nodes in all


class NodeError(FaceLatentsError):
    """A node failed; the message names it."""


@dataclass(frozen=True)
class NodeResult:
    """What a node gave: for each output the list of its values, and what it shows."""

    outputs: list[list[Any]]
    ui: dict[str, list[Any]]


@dataclass
class RunResult:
    """What a run did. `ui` holds, by node id, what the output nodes show (saved files, texts)."""

    ui: dict[str, dict[str, list[Any]]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)


class Executor:
    """Runs prompts and keeps each node's result until a prompt no longer needs it.

    A node runs again only if its class, its inputs, its `IS_CHANGED` or anything upstream of
    it is not what it was, as in the host.
    """

    def __init__(self, classes: Mapping[str, type]) -> None:
        self._classes = classes
        self._results: dict[int, NodeResult] = {}
        self._instances: dict[tuple[str, str], Any] = {}
        self._numbers: dict[Any, int] = {}  # signature -> small number standing for it
        self._counter = itertools.count()
        self._schemas: dict[str, NodeSchema] = {}

    def use(self, classes: Mapping[str, type]) -> None:
        """Go on with other classes of the same nodes, keeping the results."""
        self._classes = classes
        self._instances.clear()
        self._schemas.clear()

    def forget_shown(self) -> None:
        """Let the nodes that show or save something do so again in the next run."""
        self._results = {key: value for key, value in self._results.items() if not value.ui}

    def run(
        self,
        prompt: Prompt,
        workflow: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> RunResult:
        """Run everything the prompt's output nodes need.

        Args:
            prompt: a prompt that `validate.validate_prompt` returned.
            workflow: the graph JSON, which saved pictures carry.
            progress: called before each node and once at the end.

        Raises:
            NodeError: a node failed; its cause is the original error.
        """
        import torch

        for name, cls in used_classes(prompt, self._classes).items():
            if name not in self._schemas:
                self._schemas[name] = schema_of(name, cls)
        schemas = self._schemas
        result = RunResult()
        with torch.inference_mode():
            order = _order(prompt, output_nodes(prompt, schemas))
            signatures = self._signatures(prompt, order, schemas)
            self._forget_all_but(signatures)
            for done, key in enumerate(order):
                node_result = self._results.get(signatures[key])
                if node_result is None:
                    if progress is not None:
                        progress(label(prompt, key), done, len(order))
                    node_result = self._execute(prompt, key, schemas, signatures, workflow)
                    self._results[signatures[key]] = node_result
                    result.executed.append(key)
                else:
                    result.cached.append(key)
                if node_result.ui:
                    result.ui[key] = node_result.ui
            if progress is not None:
                progress("", len(order), len(order))
        return result

    def _forget_all_but(self, signatures: Mapping[str, int]) -> None:
        kept = set(signatures.values())
        self._results = {key: value for key, value in self._results.items() if key in kept}
        self._numbers = {key: value for key, value in self._numbers.items() if value in kept}

    def _signatures(
        self, prompt: Prompt, order: list[str], schemas: Mapping[str, NodeSchema]
    ) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for key in order:
            node = prompt[key]
            cls = self._classes[node["class_type"]]
            parts: list[Any] = [node["class_type"], self._is_changed(prompt, key, schemas)]
            hidden = schemas[node["class_type"]].hidden
            if getattr(cls, "NOT_IDEMPOTENT", False) or "UNIQUE_ID" in hidden.values():
                parts.append(key)
            for name in sorted(node["inputs"]):
                value = node["inputs"][name]
                if is_link(value):
                    parts.append((name, "from", numbers[value[0]], value[1]))
                else:
                    parts.append((name, _freeze(value)))
            signature = tuple(parts)
            numbers[key] = self._numbers.setdefault(signature, next(self._counter))
        return numbers

    def _is_changed(self, prompt: Prompt, key: str, schemas: Mapping[str, NodeSchema]) -> Any:
        node = prompt[key]
        cls = self._classes[node["class_type"]]
        is_changed = getattr(cls, "IS_CHANGED", None)
        if is_changed is None:
            return False
        # Runs before the graph: linked inputs are not there yet.
        known = {
            name: None if is_link(value) else value
            for name, value in node["inputs"].items()
            if schemas[node["class_type"]].input(name) is not None
        }
        try:
            return _freeze(is_changed(**known))
        except Exception as error:  # noqa: BLE001 - as in the host: it then runs every time
            logger.warning("IS_CHANGED of %s failed: %s", label(prompt, key), error)
            return object()

    def _execute(
        self,
        prompt: Prompt,
        key: str,
        schemas: Mapping[str, NodeSchema],
        signatures: Mapping[str, int],
        workflow: Mapping[str, Any] | None,
    ) -> NodeResult:
        node = prompt[key]
        schema = schemas[node["class_type"]]
        cls = self._classes[node["class_type"]]
        columns: dict[str, list[Any]] = {}
        for name, value in node["inputs"].items():
            # As in the host: a link to an undeclared input reaches a node that takes any.
            if schema.input(name) is None and not (is_link(value) and _takes_any_input(cls)):
                continue
            if is_link(value):
                columns[name] = self._results[signatures[value[0]]].outputs[value[1]]
            else:
                columns[name] = [value]
        extra = None if workflow is None else {"workflow": workflow}
        hidden = {"PROMPT": prompt, "EXTRA_PNGINFO": extra, "UNIQUE_ID": key}
        columns.update({n: [hidden[kind]] for n, kind in schema.hidden.items() if kind in hidden})
        try:
            instance = self._instances.setdefault((key, node["class_type"]), cls())
            returned = map_over_lists(instance, columns)
            return _collect(returned, cls)
        except FaceLatentsError as error:
            raise NodeError(f"{label(prompt, key)}: {error}") from error
        except Exception as error:  # a node's own code; whatever it raises, say which node it was
            raise NodeError(
                f"{label(prompt, key)} failed: {type(error).__name__}: {error}"
            ) from error


def map_over_lists(instance: Any, columns: Mapping[str, list[Any]]) -> list[Any]:
    """Call a node once per position of its input lists, repeating the last value of short ones.

    A node with `INPUT_IS_LIST` is called once with the lists themselves.
    """
    function = getattr(instance, instance.FUNCTION)
    if getattr(instance, "INPUT_IS_LIST", False):
        return [function(**columns)]
    if not columns:
        return [function()]
    empty = [name for name, column in columns.items() if not column]
    if empty:
        raise FaceLatentsError(f"Nothing arrived at its input '{empty[0]}' (an empty list).")
    count = max(len(column) for column in columns.values())
    return [
        function(**{name: column[min(i, len(column) - 1)] for name, column in columns.items()})
        for i in range(count)
    ]


def _takes_any_input(cls: type) -> bool:
    function = getattr(cls, str(getattr(cls, "FUNCTION", "")))
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _collect(returned: list[Any], cls: type) -> NodeResult:
    shown: list[Mapping[str, Any]] = []
    rows: list[Any] = []
    for value in returned:
        if isinstance(value, Mapping):
            if "expand" in value:
                raise FaceLatentsError(
                    "It builds further nodes while it runs, which only ComfyUI can do."
                )
            if "ui" in value:
                shown.append(value["ui"])
            if "result" in value:
                rows.append(value["result"])
        elif value is not None:
            rows.append(value)
    ui = {name: [item for part in shown for item in part[name]] for name in (shown or [{}])[0]}
    slots = len(getattr(cls, "RETURN_TYPES", ())) if rows else 0
    is_list = getattr(cls, "OUTPUT_IS_LIST", None) or [False] * slots
    outputs = []
    for slot in range(slots):
        column = [row[slot] for row in rows]
        outputs.append([item for part in column for item in part] if is_list[slot] else column)
    return NodeResult(outputs, ui)


def _order(prompt: Prompt, outputs: list[str]) -> list[str]:
    """The nodes `outputs` need, each after everything it takes values from."""
    order: dict[str, None] = {}
    waiting = list(reversed(outputs))
    while waiting:
        key = waiting[-1]
        missing = [] if key in order else [s for s in sources(prompt[key]) if s not in order]
        if missing:
            waiting += reversed(missing)
        else:
            order.setdefault(waiting.pop())
    return list(order)


def _freeze(value: Any) -> Any:
    """A hashable stand-in that equals another one only if the values are equal."""
    if isinstance(value, float) and value != value:
        return object()  # NaN asks for the node to run every time
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return type(value).__name__, value
    if isinstance(value, Mapping):
        return "dict", tuple(sorted((str(k), _freeze(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return "list", tuple(_freeze(item) for item in value)
    return object()

"""Everything that can be refused about a workflow before a single node has run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from .graph import WorkflowError
from .prompts import (
    Prompt,
    find_cycles,
    is_link,
    label,
    output_nodes,
    title_of,
    upstream,
    used_classes,
)
from .schema import InputSpec, NodeSchema, schemas_of, types_fit
from .unknown import refuse_unknown

_CASTS: dict[str, type] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
_WORDS = {"INT": "a whole number", "FLOAT": "a number", "STRING": "a text", "BOOLEAN": "yes or no"}
_LISTED = 20


def validate_prompt(
    prompt: Prompt,
    classes: Mapping[str, type],
    schemas: Mapping[str, NodeSchema] | None = None,
) -> Prompt:
    """Check a workflow in API form.

    Checks node types, links (they exist, lead to an existing output of a fitting type, form no
    circle), and for every node that an output node needs: required inputs, value types, ranges,
    choices, and the node's own `VALIDATE_INPUTS` (missing files, for one).

    Args:
        prompt: the workflow in API form.
        classes: node classes by type.
        schemas: their schemas, where they are read already.

    Returns:
        The prompt with values cast to their declared types.

    Raises:
        WorkflowError: lists every problem found, by node.
    """
    refuse_unknown(
        [(node["class_type"], title_of(node, ""), key) for key, node in prompt.items()], classes
    )
    if schemas is None:
        schemas = schemas_of(used_classes(prompt, classes))
    problems = _link_problems(prompt, schemas)
    if not problems:
        problems = [_cycle_text(prompt, cycle) for cycle in find_cycles(prompt)]
    if problems:
        raise _refusal(problems)
    outputs = output_nodes(prompt, schemas)
    if not outputs:
        raise WorkflowError(
            "This workflow has nothing to show for itself: no node that saves or previews. "
            "Add a Save Image node."
        )
    needed = upstream(prompt, outputs)
    checked: Prompt = dict(prompt)
    for key in (key for key in prompt if key in needed):
        node = prompt[key]
        inputs, found = _check_inputs(key, node, schemas[node["class_type"]], prompt, schemas)
        found += _ask_node(key, node, classes[node["class_type"]], inputs, found, prompt, schemas)
        problems += found
        checked[key] = {**node, "inputs": inputs}
    if problems:
        raise _refusal(problems)
    return checked


def _cycle_text(prompt: Prompt, cycle: list[str]) -> str:
    names = [label(prompt, key) for key in (*cycle, cycle[0])]
    return f"these nodes feed each other in a circle: {' -> '.join(names)}; remove one of the links"


def _refusal(problems: list[str]) -> WorkflowError:
    lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
    return WorkflowError(f"This workflow cannot run as it is:\n{lines}")


def _link_problems(prompt: Prompt, schemas: Mapping[str, NodeSchema]) -> list[str]:
    problems = []
    for key, node in prompt.items():
        for name, value in node["inputs"].items():
            if not isinstance(value, list):
                continue
            place = f"input '{name}' of {label(prompt, key)}"
            if not is_link(value):
                problems.append(f"{place} is neither a value nor a link [node id, output number]")
                continue
            if value[0] not in prompt:
                problems.append(f"{place} is linked to node {value[0]}, which does not exist")
                continue
            outputs = schemas[prompt[value[0]]["class_type"]].outputs
            if not 0 <= value[1] < len(outputs):
                problems.append(
                    f"{place} is linked to output {value[1]} of {label(prompt, value[0])}, "
                    f"which has {len(outputs)} output(s)"
                )
    return problems


def _check_inputs(
    key: str,
    node: Mapping[str, Any],
    schema: NodeSchema,
    prompt: Prompt,
    schemas: Mapping[str, NodeSchema],
) -> tuple[dict[str, Any], list[str]]:
    inputs: dict[str, Any] = dict(node["inputs"])
    problems = []
    for spec in schema.inputs:
        place = f"input '{spec.name}' of {label(prompt, key)}"
        if spec.name not in inputs:
            if spec.required:
                problems.append(f"{place} is not connected or set, and it has to be")
            continue
        value = inputs[spec.name]
        if is_link(value):
            given = schemas[prompt[value[0]]["class_type"]].outputs[value[1]]
            wanted = spec.type if isinstance(spec.type, str) else "COMBO"
            if not types_fit(given, wanted):
                problems.append(
                    f"{place} takes {wanted}, but {label(prompt, value[0])} gives {given} there"
                )
            continue
        if isinstance(value, dict) and "__value__" in value:
            value = value["__value__"]
        try:
            inputs[spec.name] = cast_value(spec, value)
        except (TypeError, ValueError, OverflowError):
            word = _WORDS.get(spec.kind, spec.kind)
            problems.append(f"{place} has to be {word}, but is {value!r}")
    return inputs, problems


def cast_value(spec: InputSpec, value: Any) -> Any:
    """`value` in the type the input declares; raises TypeError or ValueError if it is none."""
    cast = _CASTS.get(spec.type if isinstance(spec.type, str) else "")
    return value if cast is None else cast(value)


def range_problem(spec: InputSpec, value: Any) -> str | None:
    """What is wrong with a value of the right type: outside the range, or not a choice."""
    for bound, word, wrong in (("min", "at least", -1), ("max", "at most", 1)):
        limit = spec.options.get(bound)
        if limit is None or not isinstance(value, (int, float)):
            continue
        if not (value >= limit if wrong < 0 else value <= limit):
            return f"has to be {word} {limit}, but is {value}"
    choices = spec.choices()
    if choices is None:
        return None
    chosen = value if isinstance(value, list) and spec.options.get("multiselect") else [value]
    if all(item in choices for item in chosen):
        return None
    listed = ", ".join(str(choice) for choice in choices[:_LISTED]) or "nothing"
    more = f" and {len(choices) - _LISTED} more" if len(choices) > _LISTED else ""
    return f"is {value!r}, which is not among its choices: {listed}{more}"


def _ask_node(
    key: str,
    node: Mapping[str, Any],
    cls: type,
    inputs: Mapping[str, Any],
    found: list[str],
    prompt: Prompt,
    schemas: Mapping[str, NodeSchema],
) -> list[str]:
    """Ranges and choices, except of inputs that the node's own VALIDATE_INPUTS looks after."""
    validate = getattr(cls, "VALIDATE_INPUTS", None)
    named: list[str] = []
    every = False
    if validate is not None:
        signature = inspect.getfullargspec(validate)
        named, every = signature.args, signature.varkw is not None
    schema = schemas[node["class_type"]]
    problems = []
    for spec in schema.inputs:
        value = inputs.get(spec.name)
        if value is None or is_link(value) or spec.name in named or every:
            continue
        problem = range_problem(spec, value)
        if problem is not None:
            problems.append(f"input '{spec.name}' of {label(prompt, key)} {problem}")
    if validate is None or found or problems:
        return problems
    asked = {
        spec.name: None if is_link(inputs[spec.name]) else inputs[spec.name]
        for spec in schema.inputs
        if spec.name in inputs and (spec.name in named or every)
    }
    if "input_types" in named:
        asked["input_types"] = {
            name: schemas[prompt[value[0]]["class_type"]].outputs[value[1]]
            for name, value in inputs.items()
            if is_link(value)
        }
    try:
        answer = validate(**asked)
    except Exception as error:  # noqa: BLE001 - a node's own code
        answer = f"its input cannot be checked ({type(error).__name__}: {error})"
    if answer is not True:
        reason = "its input is not accepted" if answer is False else str(answer)
        problems.append(f"{label(prompt, key)}: {reason}")
    return problems

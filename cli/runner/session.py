"""What every command that touches a model sets up first, and calling nodes as functions."""

from __future__ import annotations

import argparse
from typing import Any

from ...models.errors import FaceLatentsError
from ..torch_import import import_torch
from .schema import schema_of
from .validate import cast_value, range_problem


def device_of(args: argparse.Namespace) -> str | None:
    """The device asked for, None for the automatic choice."""
    return None if args.device == "auto" else str(args.device)


def set_up(args: argparse.Namespace) -> None:
    """Hand the command's options to the node layer.

    Raises:
        FaceLatentsError: CUDA is asked for and not there, or the models folder is missing.
    """
    import_torch()
    from ...nodes.host import stand_alone

    if args.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise FaceLatentsError("There is no usable CUDA device here. Use --device cpu or auto.")
    stand_alone.device = device_of(args)
    stand_alone.progress = args.progress
    if args.models is not None:
        if not args.models.is_dir():
            raise FaceLatentsError(f"There is no folder '{args.models}'. Check --models.")
        stand_alone.models = args.models


def call_node(node_id: str, **inputs: Any) -> tuple[Any, ...]:
    """Run one of this package's nodes as a function; widgets not given keep their defaults.

    Raises:
        FaceLatentsError: a value is out of its widget's range, or what the node raises.
    """
    import torch

    from ... import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

    cls = NODE_CLASS_MAPPINGS[node_id]
    schema = schema_of(node_id, cls)
    values = {spec.name: spec.default() for spec in schema.inputs if spec.has_widget}
    for name, value in inputs.items():
        spec = schema.input(name)
        if spec is None:
            raise TypeError(f"{node_id} has no input {name}")
        values[name] = cast_value(spec, value) if spec.has_widget else value
        problem = range_problem(spec, values[name]) if spec.has_widget else None
        if problem is not None:
            raise FaceLatentsError(f"{name} of {NODE_DISPLAY_NAME_MAPPINGS[node_id]} {problem}.")
    with torch.inference_mode():
        result = getattr(cls(), cls.FUNCTION)(**values)
    if isinstance(result, dict):
        result = result.get("result", ())
    return tuple(result)

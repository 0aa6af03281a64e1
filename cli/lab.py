"""``train`` and ``evaluate``: pass options on to the training and evaluation functions."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import os
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError

# command: (module below this package, function)
TRAIN = {
    "face": ("models.training.face", "train_face"),
    "finder": ("models.training.finder", "train_finder"),
}
EVALUATE = {
    "face": ("models.evaluation.face", "evaluate_face"),
    "finder": ("models.evaluation.finder", "evaluate_finder"),
    "benchmark": ("models.evaluation.benchmark", "run_benchmark"),
}


def train(args: argparse.Namespace) -> int:
    """Train a model and print the figures."""
    return _call(TRAIN[args.what], args, {"data": args.data, "output": args.output})


def evaluate(args: argparse.Namespace) -> int:
    """Measure a model, or the nodes' overhead, and print the figures."""
    return _call(EVALUATE[args.what], args, {"data": args.data, "model": args.model})


def _call(place: tuple[str, str], args: argparse.Namespace, given: Mapping[str, Any]) -> int:
    module, name = place
    function = getattr(import_module(f"...{module}", __name__), name)
    options = {key: value for key, value in given.items() if value is not None}
    options.update(_settings(args.options))
    figures = plain(function(**_accepted(function, options, f"{args.what}")))
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        partial = args.json.with_name(f".{args.json.name}.part")
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, args.json)
    print(text)
    return 0


def _settings(texts: list[str]) -> dict[str, Any]:
    """``name=value`` texts; values are read as JSON where they are JSON."""
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise FaceLatentsError(f"'{text}' is not understood. Write name=value.")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings


def _accepted(
    function: Callable[..., Any], options: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """`options` if the function takes them all and lacks none."""
    parameters = inspect.signature(function).parameters
    unknown = [name for name in options if name not in parameters]
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name not in options
    ]
    if unknown or needed:
        listed = ", ".join(parameters)
        problem = f"does not know {', '.join(unknown)}" if unknown else f"needs {', '.join(needed)}"
        raise FaceLatentsError(f"'{what}' {problem}. Its settings are: {listed}.")
    return dict(options)


def plain(value: Any) -> Any:
    """Figures as JSON values: dataclasses, paths, tensors and numpy numbers unwrapped."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return value.tolist() if hasattr(value, "tolist") else str(value)

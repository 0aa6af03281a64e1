"""The host's primitive values and Preview Any."""

from __future__ import annotations

import json
import sys
from typing import Any


def _primitive(name: str, kind: str, options: dict[str, Any]) -> type:
    """A node class that hands on its one value."""

    def input_types(cls: type) -> dict[str, Any]:
        return {"required": {"value": (kind, dict(options))}}

    def execute(self: Any, value: Any) -> tuple[Any]:
        return (value,)

    return type(
        name,
        (),
        {
            "INPUT_TYPES": classmethod(input_types),
            "RETURN_TYPES": (kind,),
            "FUNCTION": "execute",
            "execute": execute,
        },
    )


_RANGE = {"min": -sys.maxsize, "max": sys.maxsize}


class PreviewAny:
    """Shows any value as text."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "main"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"source": ("*", {})}}

    def main(self, source: Any = None) -> dict[str, Any]:
        if isinstance(source, str):
            text = source
        else:
            try:
                text = "None" if source is None else _plain(source)
            except (TypeError, ValueError):
                text = str(source)
        return {"ui": {"text": (text,)}, "result": (text,)}


def _plain(source: Any) -> str:
    if isinstance(source, (int, float)):
        return str(source)
    return json.dumps(source, indent=4, ensure_ascii=False)


VALUE_NODES: dict[str, type] = {
    "PreviewAny": PreviewAny,
    "PrimitiveBoolean": _primitive("PrimitiveBoolean", "BOOLEAN", {}),
    "PrimitiveFloat": _primitive("PrimitiveFloat", "FLOAT", _RANGE),
    "PrimitiveInt": _primitive("PrimitiveInt", "INT", {**_RANGE, "control_after_generate": True}),
    "PrimitiveString": _primitive("PrimitiveString", "STRING", {}),
    "PrimitiveStringMultiline": _primitive(
        "PrimitiveStringMultiline", "STRING", {"multiline": True}
    ),
}

"""What the runner has to know of a node class: its inputs in order, its widgets, its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Input types the canvas draws as a widget; every other type is a socket that only takes a link.
WIDGET_TYPES = frozenset(
    {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "MARKDOWN", "COLOR", "TEXTAREA", "CURVE"}
)
# Options that make the canvas add an upload button, which takes a place in the saved values.
_UPLOADS = ("image_upload", "animated_image_upload", "video_upload")
_SEEDS = ("seed", "noise_seed")


@dataclass(frozen=True)
class InputSpec:
    """One declared input of a node."""

    name: str
    type: Any  # a type name, "A,B" for a choice of types, or the list of a combo's options
    options: Mapping[str, Any]
    required: bool

    @property
    def kind(self) -> str:
        """The type name; `COMBO` where the options are declared in place of it."""
        if isinstance(self.type, (list, tuple)):
            return "COMBO"
        return str(self.options.get("widgetType") or self.type)

    @property
    def has_widget(self) -> bool:
        return self.kind in WIDGET_TYPES and not self.options.get("forceInput")

    @property
    def is_upload(self) -> bool:
        return any(self.options.get(name) is True for name in _UPLOADS)

    def choices(self) -> list[Any] | None:
        """A combo's options, or None for an input of another kind."""
        if isinstance(self.type, (list, tuple)):
            return list(self.type)
        if self.kind == "COMBO":
            return list(self.options.get("options", []))
        return None

    def default(self) -> Any:
        """What a fresh widget shows."""
        if "default" in self.options:
            return self.options["default"]
        choices = self.choices()
        if choices is not None:
            return choices[0] if choices else None
        return {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}.get(self.kind, "")

    def extra_widgets(self) -> int:
        """Helper widgets the canvas saves right after this one (control after generate, filter)."""
        control = self.options.get("control_after_generate")
        if self.kind == "INT":
            return int(bool(self.name in _SEEDS if control is None else control))
        if self.kind == "COMBO" and control:
            return 2
        return 0


@dataclass(frozen=True)
class NodeSchema:
    """The declaration of one node class."""

    name: str
    title: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[Any, ...]
    is_output: bool
    hidden: Mapping[str, Any]

    def input(self, name: str) -> InputSpec | None:
        return next((spec for spec in self.inputs if spec.name == name), None)

    def widget_slots(self) -> list[str | None]:
        """Input names in the order of `widgets_values`; None for a value that is not an input."""
        slots: list[str | None] = []
        for spec in self.inputs:
            if spec.has_widget:
                slots.append(spec.name)
                slots.extend([None] * spec.extra_widgets())
        if any(spec.is_upload and spec.required for spec in self.inputs):
            slots.append(None)
        return slots


def schema_of(name: str, definition: Any, title: str | None = None) -> NodeSchema:
    """Read a node class, or one entry of the host's `/object_info`."""
    if isinstance(definition, NodeSchema):
        return definition
    if isinstance(definition, Mapping):
        return NodeSchema(
            name,
            title or str(definition.get("display_name") or name),
            tuple(_inputs(definition.get("input", {}), definition.get("input_order"))),
            tuple(definition.get("output", ())),
            bool(definition.get("output_node")),
            definition.get("input", {}).get("hidden", {}),
        )
    declared = definition.INPUT_TYPES()
    return NodeSchema(
        name,
        title or name,
        tuple(_inputs(declared, None)),
        tuple(getattr(definition, "RETURN_TYPES", ())),
        getattr(definition, "OUTPUT_NODE", False) is True,
        declared.get("hidden", {}),
    )


def schemas_of(
    node_defs: Mapping[str, Any], titles: Mapping[str, str] | None = None
) -> dict[str, NodeSchema]:
    """Schemas of many node classes (or `/object_info` entries), by type name."""
    titles = titles or {}
    return {name: schema_of(name, node, titles.get(name)) for name, node in node_defs.items()}


def _inputs(
    declared: Mapping[str, Any], order: Mapping[str, Sequence[str]] | None
) -> list[InputSpec]:
    specs = []
    for group in ("required", "optional"):
        entries = declared.get(group) or {}
        names = [name for name in (order or {}).get(group, ()) if name in entries]
        names += [name for name in entries if name not in names]
        for name in names:
            entry = entries[name]
            options = entry[1] if len(entry) > 1 and isinstance(entry[1], Mapping) else {}
            specs.append(InputSpec(name, entry[0], options, group == "required"))
    return specs


def types_fit(given: Any, wanted: Any) -> bool:
    """True when an output of type `given` may be linked to an input of type `wanted`.

    As the host decides it: types are sets written "A,B"; one type in common is enough, `*`
    fits everything.
    """
    if not given != wanted:  # noqa: SIM202 - a type may override __ne__ to fit everything
        return True
    if isinstance(given, (list, tuple)):
        return wanted in ("*", "COMBO") or isinstance(wanted, (list, tuple))
    if not isinstance(given, str) or not isinstance(wanted, str):
        return "*" in (given, wanted)
    first = {part.strip() for part in given.split(",")}
    second = {part.strip() for part in wanted.split(",")}
    return "*" in first | second or bool(first & second)

"""Write the Inputs and Outputs of the nodes' help pages from the nodes' own tooltips.

    python -m face_latents.lab.help_pages

Run it after a change of a node's inputs, outputs or tooltips; a test compares the files with what
it would write. All other text of a page is written by hand and stays. A node without a page gets
one to begin with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from .. import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

PAGES = Path(__file__).parents[1] / "web" / "docs"


def page(node_id: str, written: str = "") -> str:
    """The help page of a node.

    Args:
        node_id: of a node of this pack.
        written: the page so far; its own text is kept.
    """
    node: Any = NODE_CLASS_MAPPINGS[node_id]
    declared = node.INPUT_TYPES()
    inputs = [
        (name, _type(kind, group), settings["tooltip"])
        for group, entries in declared.items()
        for name, (kind, settings) in entries.items()
    ]
    outputs = zip(node.RETURN_NAMES, node.RETURN_TYPES, node.OUTPUT_TOOLTIPS, strict=True)
    text = written or f"# {NODE_DISPLAY_NAME_MAPPINGS[node_id]}\n\n{node.DESCRIPTION}\n"
    text = _with_section(text, "Inputs", _list(inputs))
    return _with_section(text, "Outputs", _list(outputs))


def pages() -> Mapping[Path, str]:
    """Every help page as it should be, by file."""
    files = {node_id: PAGES / f"{node_id}.md" for node_id in NODE_CLASS_MAPPINGS}
    return {
        file: page(node_id, file.read_text(encoding="utf-8") if file.exists() else "")
        for node_id, file in files.items()
    }


def _type(kind: object, group: str) -> str:
    words = ["choice" if isinstance(kind, list) else str(kind)]
    return ", ".join(words + ["optional"] * (group == "optional"))


def _list(entries: Iterable[tuple[str, str, str]]) -> str:
    """A line for each name, type and tooltip; neighbours that are alike share one."""
    lines = []
    for (kind, tooltip), alike in groupby(entries, key=lambda entry: entry[1:]):
        names = ", ".join(f"**{name}**" for name, _, _ in alike)
        lines.append(f"- {names} ({kind}): {tooltip}")
    return "\n".join(lines)


def _with_section(text: str, title: str, body: str) -> str:
    """The page with `body` as its section `title`, which is added at the end where missing."""
    section = f"## {title}\n\n{body}\n"
    found = re.search(rf"^## {title}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{text.rstrip()}\n\n{section}"
    after = text[found.end() :]
    return text[: found.start()] + section + ("\n" if after else "") + after


def main() -> None:
    """Write the pages that differ, and name them."""
    for file, text in pages().items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8", newline="\n")
            print(file.name)


if __name__ == "__main__":
    main()

"""The measured figures: a Markdown file a section, the most telling ones quoted on a first page.

Each measuring command replaces the file of its own section. Figures on the first page (`README.md`
of the folder) are never typed: each row names file, row and column from which its figure is taken.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError
from .provenance import describe

_QUOTE = re.compile(
    r"^(?P<what>\| [^|]+ \| )(?P<figure>[^|]+)"
    r"(?P<source> \| \[(?P<file>[^\]|]+)\]\([^)|]+\): `(?P<row>[^`|]+)`, (?P<column>[^|]+) \|)",
    re.MULTILINE,
)


def write_section(
    folder: Path, name: str, title: str, command: str, body: str, model: Path | None = None
) -> None:
    """Write the file of a section; quote it anew on the first page and in the project's README.

    Args:
        folder: made when missing.
        name: of the file, without `.md`.
        title: heading of the file.
        command: how to measure again, as typed in a shell.
        body: Markdown, without headings.
        model: measured instead of the bundled one.

    Raises:
        FaceLatentsError: `folder` is a file, or the first page quotes a figure that this section
            lacks; the section is written all the same.
    """
    if folder.is_file():
        raise FaceLatentsError(
            f"Results go into a folder, such as docs/results; {folder} is a file."
        )
    today = datetime.date.today().isoformat()
    parts = [f"# {title}", f"`{command}`", f"{today}, {machine()}", describe(name, model), body]
    text = "\n\n".join(part.strip() for part in parts if part)
    write_text(folder / f"{name}.md", f"{text}\n")
    for page in (folder / "README.md", folder.parent.parent / "README.md"):
        if page.is_file():
            write_text(page, quote_figures(page.read_text(encoding="utf-8"), folder))


def quote_figures(page: str, folder: Path) -> str:
    """The first page with every quoted figure as its section has it.

    A row that quotes reads `| what | figure | [file](link): `row`, column | ... |`.

    Raises:
        FaceLatentsError: a section has no such row or column.
    """

    def quote(match: re.Match[str]) -> str:
        section = (folder / match["file"]).read_text(encoding="utf-8")
        return match["what"] + _cell(section, match["row"], match["column"]) + match["source"]

    return _QUOTE.sub(quote, page)


def _cell(section: str, row: str, column: str) -> str:
    """A cell of the first table in a section that has this row and this column."""
    head: list[str] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line[:1] == "|" else []
        head = (head or cells) if cells else []
        if column in head and cells[0].strip("`") == row:
            return cells[head.index(column)]
    raise FaceLatentsError(
        f"The first page quotes '{column}' of '{row}', which the section lacks. Correct the row of "
        "the first page."
    )


def write_text(file: Path, text: str) -> None:
    """Replace a file at once, so that a stopped command leaves the old one; folders are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, file)


def machine() -> str:
    """What kind of machine measured, in one line."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {gpu}; {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )


def table(figures: Mapping[str, Any]) -> str:
    """Nested figures as a Markdown table of dotted keys."""
    rows = ((f"`{key}`", _number(value)) for key, value in _leaves(figures))
    return markdown_table(("figure", "value"), rows)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are texts, the others numbers."""
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _leaves(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in figures.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
            yield from _leaves({str(i): item for i, item in enumerate(value)}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _number(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_number(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        match = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if match:
            return match.group(1).strip()
    return platform.processor() or platform.machine()

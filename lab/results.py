"""RESULTS.md: each measuring command replaces its own section, with date and machine kind."""

from __future__ import annotations

import datetime
import os
import platform
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_HEAD = """# Results

Every section is written by the command it names (option `--results RESULTS.md`); nothing here is
typed in by hand.
"""


def write_section(file: Path, name: str, command: str, body: str) -> None:
    """Replace section `name` of a results file, or add it at the end.

    Args:
        file: the Markdown file; made when missing.
        name: heading of the section, and how it is found again.
        command: how to measure again, as typed in a shell.
        body: Markdown, without headings.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else _HEAD
    section = (
        f"<!-- begin {name} -->\n## {name}\n\n`{command}`\n\n"
        f"{datetime.date.today().isoformat()}, {machine()}\n\n{body.strip()}\n"
        f"<!-- end {name} -->\n"
    )
    pattern = re.compile(
        rf"<!-- begin {re.escape(name)} -->\n.*?<!-- end {re.escape(name)} -->\n", re.DOTALL
    )
    if pattern.search(text):
        text = pattern.sub(lambda _: section, text)
    else:
        text = f"{text.rstrip()}\n\n{section}"
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
    rows = [f"| `{key}` | {_number(value)} |" for key, value in _leaves(figures)]
    return "\n".join(["| figure | value |", "| --- | ---: |", *rows])


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

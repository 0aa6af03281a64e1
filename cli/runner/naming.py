"""File names: `%...%` placeholders and the host's numbering `prefix_00001_.png`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError
from .prompts import Prompt, is_link, title_of

# Nodes whose filename_prefix the canvas rewrites before it queues the workflow.
REPLACING_NODES = frozenset({"SaveImage", "SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveLatent"})
_PLACEHOLDER = re.compile(r"%([^%]+)%")
_DATE_PART = re.compile(r"d(?:d)?|M(?:M)?|yy(?:yy)?|h(?:h)?|m(?:m)?|s(?:s)?")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')


def replace_in_prefix(text: str, lookup: Callable[[str, str], Any]) -> str:
    """Fill `%date:yyyy-MM-dd%` and `%Node name.widget%`, which the canvas fills.

    Args:
        text: a filename prefix.
        lookup: gives the value of a node's widget, None where there is none.
    """

    def fill(match: re.Match[str]) -> str:
        content = match[1]
        if content.startswith("date:") and "." not in content:
            return _format_date(content[len("date:") :])
        node, dot, widget = content.partition(".")
        value = lookup(node, widget) if dot and "." not in widget else None
        return match[0] if value is None else _UNSAFE.sub("_", str(value))

    return _PLACEHOLDER.sub(fill, text)


def fill_placeholders(
    prompt: Prompt,
    lookup: Callable[[Prompt, str, str], Any],
    places: Collection[tuple[str, str]] = (),
) -> Prompt:
    """A copy of a prompt with the placeholders of its file names filled.

    Args:
        prompt: with the values that it will run with.
        lookup: gives, of the prompt, the value of the widget of the node with a name; or None.
        places: further inputs (node id, name) with placeholders, besides the prefixes of savers.
    """
    filled = {}
    for key, node in prompt.items():
        inputs = dict(node["inputs"])
        for name, value in inputs.items():
            saver = name == "filename_prefix" and node["class_type"] in REPLACING_NODES
            if isinstance(value, str) and (saver or (key, name) in places):
                inputs[name] = replace_in_prefix(value, partial(lookup, prompt))
        filled[key] = {**node, "inputs": inputs}
    return filled


def named_value(prompt: Prompt, name: str, widget: str) -> Any:
    """The value of a widget of the first node whose type, or else whose title, is `name`."""
    for names in (lambda node: str(node["class_type"]), title_of):
        for node in prompt.values():
            value = node["inputs"].get(widget)
            if names(node) == name and not is_link(value):
                return value
    return None


def _format_date(pattern: str) -> str:
    now = time.localtime()
    numbers = {
        "d": now.tm_mday,
        "M": now.tm_mon,
        "h": now.tm_hour,
        "m": now.tm_min,
        "s": now.tm_sec,
    }

    def part(match: re.Match[str]) -> str:
        token = match[0]
        if token[0] == "y":
            return str(now.tm_year)[-len(token) :]
        return str(numbers[token[0]]).zfill(len(token))

    return _DATE_PART.sub(part, pattern)


def next_file(folder: Path, prefix: str, width: int, height: int) -> tuple[Path, str, int, str]:
    """Where the next picture of `prefix` goes.

    Args:
        folder: the output folder.
        prefix: may name a subfolder and hold %width%, %height%, %year%, %month%, %day%, %hour%,
            %minute%, %second%.
        width, height: what %width% and %height% stand for.

    Returns:
        (folder of the file, made if needed; file name without number; number; subfolder).

    Raises:
        FaceLatentsError: the prefix leads out of the output folder.
    """
    now = time.localtime()
    for key, value in (
        ("width", str(width)),
        ("height", str(height)),
        ("year", str(now.tm_year)),
        ("month", f"{now.tm_mon:02}"),
        ("day", f"{now.tm_mday:02}"),
        ("hour", f"{now.tm_hour:02}"),
        ("minute", f"{now.tm_min:02}"),
        ("second", f"{now.tm_sec:02}"),
    ):
        prefix = prefix.replace(f"%{key}%", value)
    root = place = folder.resolve()
    with suppress(OSError, RuntimeError, ValueError):  # links in a circle, no letters of a name
        place = (root / prefix.encode().decode()).resolve()
    if place == root or not place.is_relative_to(root):
        raise FaceLatentsError(
            f"The filename prefix {prefix!r} does not name a file inside the output folder. Use a "
            "plain name, or a subfolder and a name."
        )
    target, stem = place.parent, place.name
    target.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(stem) + r"_(\d+)(?:_[^/]*)?(?:\..*)?$", re.IGNORECASE)
    numbers = [int(match[1]) for f in target.iterdir() if (match := pattern.match(f.name))]
    subfolder = target.relative_to(root).as_posix()
    return target, stem, max(numbers, default=0) + 1, "" if subfolder == "." else subfolder

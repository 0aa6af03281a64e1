"""What tells a photo and a workflow from others: SHA-256 digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .prompts import Prompt


def file_digest(path: Path) -> str:
    """Of a file's bytes; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def workflow_digest(
    prompt: Prompt,
    varying: tuple[str, str] | None,
    pictures: Mapping[str, Path],
    settings: Iterable[str],
) -> str:
    """Of all that decides what becomes of a photo, but for the photo.

    Args:
        prompt: with the values set, and the placeholders of file names as they are.
        varying: node and input that take the photo.
        pictures: further files that the workflow reads, by the names it has for them.
        settings: what else changes results.
    """
    nodes = {
        key: {**node, "inputs": {k: v for k, v in node["inputs"].items() if (key, k) != varying}}
        for key, node in prompt.items()
    }
    read = {name: file_digest(path) for name, path in pictures.items()}
    told: list[Any] = [nodes, read, list(settings)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

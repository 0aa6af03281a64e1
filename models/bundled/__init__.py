"""The weights that ship with the package."""

from __future__ import annotations

from pathlib import Path


def bundled_file(name: str) -> Path:
    """Path of the bundled file `name`, such as "face.safetensors"."""
    return Path(__file__).parent / name

"""Weights that only evaluations read."""

from __future__ import annotations

from pathlib import Path


def lab_weights(name: str) -> Path:
    """Path of the weights file `name`, such as "digit_judge.safetensors"."""
    return Path(__file__).parent / name

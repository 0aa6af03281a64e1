"""What a training run keeps on disk: its state, and its curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...models.files.tensors import load_tensors, save_tensors


def save_state(
    path: Path,
    metadata: Mapping[str, str],
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> None:
    """Write everything that training needs to go on, in one file that is replaced atomically.

    Args:
        path: the safetensors file.
        metadata: how far training is.
        modules: by the prefix of their tensors' names.
        optimisers: Adam and its kin, by name.
    """
    kept: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        for name, tensor in module.state_dict().items():
            kept[prefix + name] = tensor.contiguous()
    for name, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                kept[f"adam.{name}.{index}.{key}"] = value.contiguous()
    save_tensors(path, kept, dict(metadata))


def load_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
) -> dict[str, str]:
    """Read what `save_state` wrote into the given modules and optimisers; its metadata."""
    kept, metadata = load_tensors(path)

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)}

    for prefix, module in modules.items():
        module.load_state_dict(part(prefix))
    for name, optimiser in optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in part(f"adam.{name}.").items():
            index, entry = key.split(".")
            state.setdefault(int(index), {})[entry] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        for parameter, entries in optimiser.state.items():
            for entry, tensor in entries.items():
                if tensor.shape == parameter.shape:  # fused steps walk both in the same order
                    entries[entry] = torch.empty_like(parameter).copy_(tensor)
    return metadata


def log_row(table: Path, step: int, values: Mapping[str, float], columns: tuple[str, ...]) -> None:
    """Add a row to the curve; what the stage does not measure stays empty."""
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *columns])
        writer.writerow([step, *[f"{values[k]:.5g}" if k in values else "" for k in columns]])


def drop_rows_after(table: Path, step: int) -> None:
    """Take back what was logged after the state that training resumes from."""
    if not table.exists():
        return
    with table.open(newline="") as file:
        head, *rows = list(csv.reader(file))
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([head, *[row for row in rows if int(row[0]) <= step]])

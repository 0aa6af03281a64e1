"""What a training run of the renderer keeps on disk: its state, and its curve."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..safefile import load_tensors, save_tensors


def save_state(
    path: Path,
    step: int,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    tensors: Mapping[str, Tensor],
) -> None:
    """Write everything that training needs to go on, in one file that is replaced atomically."""
    kept = {f"tensor.{name}": tensor.detach().contiguous() for name, tensor in tensors.items()}
    for name, module in modules.items():
        for key, tensor in module.state_dict().items():
            kept[f"net.{name}.{key}"] = tensor.contiguous()
    for name, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            for key, value in state.items():
                kept[f"adam.{name}.{index}.{key}"] = value.contiguous()
    save_tensors(path, kept, {"step": str(step)})


def load_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    tensors: Mapping[str, Tensor],
) -> int:
    """Read what `save_state` wrote into the given modules, optimisers and tensors; the step."""
    kept, metadata = load_tensors(path)

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)}

    for name, module in modules.items():
        module.load_state_dict(part(f"net.{name}."))
    for name, optimiser in optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in part(f"adam.{name}.").items():
            index, entry = key.split(".")
            state.setdefault(int(index), {})[entry] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(kept[f"tensor.{name}"])
    return int(metadata["step"])


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

"""Fitting a network that reads pictures: the judge, and the readers that teach the face model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .loop import Run, Session, Stage
from .optimise import descend, set_one_cycle

# Indices of examples, how many steps were done, and the generator of all disturbances to a loss.
LossOf = Callable[[Tensor, int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Fitting:
    """How a classifier is fitted.

    Attributes:
        steps, batch: how many, and examples of each.
        rate: highest learning rate.
        rise: share of the steps in which the rate rises.
        decay: of the weights.
        seed: of examples and disturbances.
    """

    steps: int
    batch: int
    rate: float
    rise: float
    decay: float
    seed: int


def fit_classifier(
    net: nn.Module, examples: int, loss_of: LossOf, fitting: Fitting, stem: Path, session: Session
) -> None:
    """Fit a network in place, and set it to evaluation.

    Args:
        net: on its device.
        examples: how many there are.
        loss_of: see there.
        fitting: see there.
        stem: names state and curve, see `Run`.
        session: see there.

    Raises:
        Paused: the session is over.
    """
    device = next(net.parameters()).device
    optimiser = torch.optim.AdamW(
        net.parameters(), fitting.rate, weight_decay=fitting.decay, fused=True
    )
    run = Run(stem, {"net": net}, {"net": optimiser}, session)
    generator = torch.Generator(device).manual_seed(fitting.seed + sum(run.done.values()))
    chosen = batches(examples, fitting.batch, generator)

    def step(done: int, share: float) -> dict[str, Tensor]:
        set_one_cycle(optimiser, fitting.rate, done, fitting.steps, fitting.rise)
        loss = loss_of(next(chosen), done, generator)
        descend(optimiser, loss)
        return {"loss": loss.detach()}

    net.train()
    run.advance(Stage(stem.name.rpartition(".")[2], step, fitting.steps, save_every=500))
    net.eval()


def batches(number: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches of indices, every index at most once per round."""
    size = min(size, number)
    while True:
        order = torch.randperm(number, generator=generator, device=generator.device)
        yield from order[: number // size * size].split(size)

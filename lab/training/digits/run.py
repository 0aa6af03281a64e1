"""The state of a training run of the digits model: what is saved, resumed and logged."""

from __future__ import annotations

import copy
import csv
import json
import logging
from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from ....models.architectures.digits import DigitEncoder, DigitGenerator
from ..run_state import load_state, save_state
from .prior import CLASSES, make_prior
from .steps import Critic, Means, Nets

logger = logging.getLogger(__name__)

STAGES = ("reader", "generator", "robust")
EMA_DECAY = 0.998
COLUMNS = ("stage", "step", "rebuild", "label", "pull", "style", "read", "cycle", "real",
           "critic", "code")  # fmt: skip


class DigitsRun:
    """What a training run changes: networks, running means, optimisers, steps done per stage."""

    def __init__(self, state_path: Path, seed: int) -> None:
        self.state_path, self.seed = state_path, seed
        stem = state_path.name.removesuffix(".state.safetensors")
        self.curve_path = state_path.with_name(f"{stem}.curve.csv")
        self.prior = make_prior()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.nets = Nets(
                DigitEncoder(CLASSES, 24, 48, 64), DigitEncoder(), DigitGenerator(), Critic(),
                DigitEncoder(),
            )  # fmt: skip
        names = [field.name for field in fields(Means)]
        self.means = Means(*(copy.deepcopy(getattr(self.nets, name)) for name in names))
        self.done = dict.fromkeys(STAGES, 0)
        both = nn.ModuleList([self.nets.encoder, self.nets.generator])
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), betas=betas)
            for name, net, betas in (
                ("reader", self.nets.reader, (0.9, 0.99)),
                ("generator", both, (0.6, 0.99)),
                ("critic", self.nets.critic, (0.5, 0.99)),
                ("robust", self.nets.robust, (0.9, 0.99)),
            )
        }

    def begin(self, resume: bool) -> None:
        """Take up the saved state, if wanted and there is one; drop what was logged after it."""
        if resume and self.state_path.exists():
            self.load()
            logger.info("resumed after %s", self.done)
        rows: list[list[str]] = []
        if any(self.done.values()) and self.curve_path.exists():
            with self.curve_path.open(newline="") as file:
                rows = [
                    row
                    for row in csv.reader(file)
                    if row[0] in STAGES and int(row[1]) <= self.done[row[0]]
                ]
        with self.curve_path.open("w", newline="") as file:
            csv.writer(file).writerows([list(COLUMNS), *rows])

    def start_robust(self) -> None:
        """The robust encoder begins as what the clean one has become."""
        self.nets.robust.load_state_dict(self.means.encoder.state_dict())
        self.means.robust.load_state_dict(self.means.encoder.state_dict())

    @torch.no_grad()
    def update_mean(self, name: str, step: int) -> None:
        """Move the running mean of a network towards its weights."""
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        values = getattr(self.nets, name).state_dict().values()
        for mean, value in zip(
            getattr(self.means, name).state_dict().values(), values, strict=True
        ):
            mean.lerp_(value, 1 - decay)

    def log(self, stage: str, step: int, values: dict[str, float]) -> None:
        """Add a row to the curve."""
        row = [f"{values[k]:.5g}" if k in values else "" for k in COLUMNS[2:]]
        with self.curve_path.open("a", newline="") as file:
            csv.writer(file).writerow([stage, step, *row])
        logger.info("%s %d %s", stage, step, {k: round(v, 3) for k, v in values.items()})

    def save(self) -> None:
        """Write everything that training needs to go on."""
        save_state(
            self.state_path, {"done": json.dumps(self.done)}, self._modules(), self.optimizers
        )

    def load(self) -> None:
        """Read what `save` wrote."""
        metadata = load_state(self.state_path, self._modules(), self.optimizers)
        self.done = json.loads(metadata["done"])

    def _modules(self) -> dict[str, nn.Module]:
        return {
            **{f"net.{name}.": net for name, net in vars(self.nets).items()},
            **{f"mean.{name}.": net for name, net in vars(self.means).items()},
        }

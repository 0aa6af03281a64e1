"""The loop that every training runs in.

A training supplies its networks and optimisers by name, and stages: a function that does one step
and returns losses, and how many steps or minutes of it. The loop takes up what an earlier call
left, stops when its time is over, refuses losses that are not finite, and keeps beside the model

- `NAME.state.safetensors`: networks, optimisers, and how far every stage is,
- `NAME.curve.csv` and `.png`: mean losses and figures over the steps, see `curve.py`.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...models.errors import FaceLatentsError
from ...models.files.header import read_header
from ...models.files.tensors import load_tensors, save_tensors
from .curve import Curve

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # stage, done, total
Losses = Mapping[str, "Tensor | float"]


class Paused(Exception):
    """The time of this call is over. All that was done is saved; the next call goes on."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Session:
    """One call of a training.

    Attributes:
        resume: take up what earlier calls left.
        until: when to pause, on the clock of `time.monotonic`.
        progress: called after every step with (stage, done, total), in steps or seconds.
    """

    resume: bool = True
    until: float = math.inf
    progress: Progress = silent

    @classmethod
    def start(cls, resume: bool, minutes: float | None, progress: Progress) -> Session:
        """A session of so many minutes from now; None: without end."""
        until = math.inf if minutes is None else time.monotonic() + 60 * minutes
        return cls(resume, until, progress)


@dataclass(frozen=True)
class Stage:
    """A step that is done again and again.

    Attributes:
        name: told by progress and curve; every stage of a run has its own.
        step: does a step, given how many were done and what share of the stage, 0 to below 1;
            returns losses.
        steps: how many, over all calls.
        minutes: how long instead, over all calls; time for saving does not count.
        begin: called once, before the first step.
        measure: further figures for each row of the curve.
        report: called whenever the state was saved.
        log_every: steps to a row of the curve.
        save_every: steps to a saved state, a multiple of `log_every`.
    """

    name: str
    step: Callable[[int, float], Losses]
    steps: int = 0
    minutes: float | None = None
    begin: Callable[[], None] = lambda: None
    measure: Callable[[], Mapping[str, float]] = dict
    report: Callable[[], None] = lambda: None
    log_every: int = 50
    save_every: int = 200


class Run:
    """A training on disk.

    Args:
        stem: path of the model without its suffix; state and curve are named after it.
        modules: what is trained, by name; every state has to hold exactly these.
        optimisers: of their parameters, Adam and its kin, by name.
        session: see there.
        identity: of what the training starts from; a state of another is not taken up.
        drawn: columns of the curve's picture; none: all.

    Attributes:
        done: steps done, by stage.
        seconds: time they took, by stage.
    """

    def __init__(
        self,
        stem: Path,
        modules: Mapping[str, nn.Module],
        optimisers: Mapping[str, torch.optim.Optimizer],
        session: Session,
        *,
        identity: str = "",
        drawn: Sequence[str] = (),
    ) -> None:
        self.modules, self.optimisers, self.session = modules, optimisers, session
        self.identity = identity
        self.state_file = stem.with_name(f"{stem.name}.state.safetensors")
        self.done: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        if session.resume and self.state_file.is_file():
            self._load()
        self.curve = Curve(stem.with_name(f"{stem.name}.curve.csv"), self.done, drawn)

    def share(self, stage: Stage) -> float:
        """How much of a stage is done, 0 to 1."""
        if stage.minutes is not None:
            return min(1.0, self.seconds.get(stage.name, 0.0) / max(60 * stage.minutes, 1e-9))
        return min(1.0, self.done.get(stage.name, 0) / stage.steps) if stage.steps else 1.0

    def advance(self, stage: Stage) -> None:
        """Do what is left of a stage.

        Raises:
            Paused: the session is over.
            FaceLatentsError: a loss is not finite.
        """
        name, losses = stage.name, list[Losses]()
        if self.done.setdefault(name, 0) == 0:
            stage.begin()
        self.seconds.setdefault(name, 0.0)
        clock = time.monotonic()
        while (share := self.share(stage)) < 1:
            if time.monotonic() >= self.session.until:
                if losses:
                    self._log(stage, losses)
                self._save()
                raise Paused(f"Paused in '{name}' after {self.done[name]} steps, {share:.0%}.")
            made = stage.step(self.done[name], share)
            losses.append({k: v.detach() if isinstance(v, Tensor) else v for k, v in made.items()})
            self.done[name] += 1
            clock, before = time.monotonic(), clock
            self.seconds[name] += clock - before
            ended = self.share(stage) >= 1
            if ended or self.done[name] % stage.log_every == 0:
                self._log(stage, losses)
                losses = []
            if ended or self.done[name] % stage.save_every == 0:
                self._save()
                stage.report()
                clock = time.monotonic()
            if stage.minutes is None:
                self.session.progress(name, self.done[name], stage.steps)
            else:
                self.session.progress(name, int(self.seconds[name]), int(60 * stage.minutes))

    def _log(self, stage: Stage, losses: Sequence[Losses]) -> None:
        """Add a row to the curve: mean losses, and what the stage measures."""
        step = self.done[stage.name]
        values: dict[str, list[float]] = {}
        for row in losses:
            for name, value in row.items():
                values.setdefault(name, []).append(float(value))
        means = {name: sum(column) / len(column) for name, column in values.items()}
        for name, mean in means.items():
            if not math.isfinite(mean):
                raise FaceLatentsError(
                    f"The loss '{name}' is {mean} near step {step} of '{stage.name}'. The state "
                    "saved before it is as it was; go on from there with a lower rate."
                )
        self.curve.add(stage.name, step, self.seconds[stage.name], {**means, **stage.measure()})
        logger.info("%s %d %s", stage.name, step, {k: round(v, 4) for k, v in means.items()})

    def _save(self) -> None:
        """Write everything that training needs to go on, in one file that is replaced at once."""
        metadata = {
            "done": json.dumps(self.done),
            "seconds": json.dumps(self.seconds),
            "identity": self.identity,
        }
        kept: dict[str, Tensor] = {}
        for name, module in self.modules.items():
            for key, tensor in module.state_dict().items():
                kept[f"net.{name}.{key}"] = tensor.contiguous()
        for name, optimiser in self.optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                for key, tensor in state.items():
                    kept[f"adam.{name}.{index}.{key}"] = tensor.contiguous()
        save_tensors(self.state_file, kept, metadata)
        self.curve.draw()

    def _load(self) -> None:
        """Read what `_save` wrote, unless it is of another identity."""
        if read_header(self.state_file).metadata.get("identity") != self.identity:
            return
        kept, metadata = load_tensors(self.state_file)

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)}

        for name, module in self.modules.items():
            module.load_state_dict(part(f"net.{name}."))
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in part(f"adam.{name}.").items():
                index, entry = key.split(".")
                state.setdefault(int(index), {})[entry] = tensor
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
            for parameter, entries in optimiser.state.items():
                for entry, tensor in entries.items():
                    if tensor.shape == parameter.shape:  # fused steps walk both in the same order
                        entries[entry] = torch.empty_like(parameter).copy_(tensor)
        self.done, self.seconds = json.loads(metadata["done"]), json.loads(metadata["seconds"])
        logger.info("%s: taken up after %s", self.state_file.name, self.done)

"""The loop of all trainings, on a network of one layer."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from face_latents.lab.training.loop import Losses, Paused, Run, Session, Stage
from face_latents.lab.training.optimise import (
    cosine,
    descend,
    set_one_cycle,
    training_device,
    update_average,
)
from face_latents.models.errors import FaceLatentsError
from face_latents.models.files.tensors import read_header
from PIL import Image


class Small:
    """A convolution that learns to be 1, in another order of memory than its file."""

    def __init__(self, stem: Path, session: Session = Session(), identity: str = "") -> None:  # noqa: B008
        torch.manual_seed(1)
        self.examples = torch.randn(4, 3, 8, 8)
        self.net = torch.nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.Adam(self.net.parameters(), 0.1)
        self.begun = 0
        modules, optimisers = {"net": self.net}, {"net": self.optimiser}
        self.run = Run(stem, modules, optimisers, session, identity=identity)

    def step(self, done: int, share: float) -> Losses:
        loss = (self.net(self.examples) - 1).square().mean()
        descend(self.optimiser, loss, 1.0)
        return {"off": loss, "share": share}

    def begin(self) -> None:
        self.begun += 1

    def stage(self, steps: int, name: str = "first") -> Stage:
        return Stage(name, self.step, steps, begin=self.begin, log_every=2, save_every=2)

    def advance(self, *stages: Stage) -> Small:
        for stage in stages:
            self.run.advance(stage)
        return self


def rows(stem: Path) -> list[dict[str, str]]:
    with stem.with_name(f"{stem.name}.curve.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def stop_at_five(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))
        if done == 5:
            raise KeyboardInterrupt

    whole = Small(tmp_path / "whole")
    whole.advance(whole.stage(7), whole.stage(3, "second"))
    stopped = Small(tmp_path / "stopped", Session(progress=stop_at_five))
    with pytest.raises(KeyboardInterrupt):
        stopped.advance(stopped.stage(7))
    assert told == [("first", n, 7) for n in range(1, 6)]
    again = Small(tmp_path / "stopped")
    assert again.run.done == {"first": 4}  # the last that was saved
    for parameter in again.net.parameters():
        moment = again.optimiser.state[parameter]["exp_avg"]
        assert moment.stride() == parameter.stride()
    again.advance(again.stage(7), again.stage(3, "second"))
    assert again.begun == 1  # the second stage
    torch.testing.assert_close(again.net.weight, whole.net.weight)
    assert again.run.done == {"first": 7, "second": 3}
    same = [[{**row, "minutes": ""} for row in rows(tmp_path / n)] for n in ("whole", "stopped")]
    assert same[0] == same[1]
    assert [(row["stage"], row["step"]) for row in same[0]] == [
        *[("first", n) for n in ("2", "4", "6", "7")],
        *[("second", n) for n in ("2", "3")],
    ]
    assert float(same[0][1]["share"]) == pytest.approx(2.5 / 7, abs=1e-4)  # mean of two steps
    assert Image.open(tmp_path / "whole.curve.png").size[0] > 200


def test_a_session_without_time_pauses_and_saves(tmp_path: Path) -> None:
    paused = Small(tmp_path / "x", Session.start(True, 0.0, lambda *_: None))
    with pytest.raises(Paused, match="'first' after 0 steps"):
        paused.advance(paused.stage(3))
    assert read_header(tmp_path / "x.state.safetensors").metadata["done"] == '{"first": 0}'


def test_stages_may_be_minutes_long(tmp_path: Path) -> None:
    small, shares = Small(tmp_path / "x"), list[float]()

    def step(done: int, share: float) -> Losses:
        shares.append(share)
        return small.step(done, share)

    stage = Stage("timed", step, minutes=0.02 / 60, save_every=1000)
    small.advance(stage)
    assert small.run.seconds["timed"] >= 0.02
    assert shares == sorted(shares)
    assert small.run.share(stage) == 1
    done = dict(small.run.done)
    assert small.advance(stage).run.done == done


def test_states_of_another_identity_are_not_taken_up(tmp_path: Path) -> None:
    one = Small(tmp_path / "x", identity="a")
    one.advance(one.stage(2))
    assert Small(tmp_path / "x", identity="a").run.done == {"first": 2}
    for session, identity in ((Session(), "b"), (Session(resume=False), "a")):
        other = Small(tmp_path / "x", session, identity)
        assert other.run.done == {}
        other.advance(other.stage(2))
        assert len(rows(tmp_path / "x")) == 1


def test_losses_that_are_not_finite_are_refused_and_not_saved(tmp_path: Path) -> None:
    small = Small(tmp_path / "x")

    def step(done: int, share: float) -> Losses:
        return {"off": math.nan if done == 3 else 0.0}

    with pytest.raises(FaceLatentsError, match="'off' is nan near step 4"):
        small.advance(Stage("first", step, 10, log_every=2, save_every=2))
    assert Small(tmp_path / "x").run.done == {"first": 2}


def test_a_gradient_that_is_not_finite_moves_nothing() -> None:
    weight, other = (torch.ones(2, requires_grad=True) for _ in range(2))
    optimiser = torch.optim.Adam([weight], 0.1)
    descend(optimiser, (weight / 0).sum())
    assert torch.equal(weight, torch.ones(2))
    descend(optimiser, (weight * other).sum(), 1.0)
    assert (weight < 1).all()
    assert other.grad is None


@pytest.mark.parametrize("steps", [3, 20, 37])
def test_one_cycle_is_that_of_torch(steps: int) -> None:
    ours, theirs = (torch.optim.AdamW([torch.zeros(1, requires_grad=True)]) for _ in range(2))
    schedule = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.01, steps, pct_start=0.15)
    for step in range(steps):
        set_one_cycle(ours, 0.01, step, steps, 0.15)
        mine, known = ours.param_groups[0], theirs.param_groups[0]
        assert mine["lr"] == pytest.approx(known["lr"], rel=1e-6)
        assert mine["betas"] == pytest.approx(known["betas"])
        theirs.step()
        if step < steps - 1:
            schedule.step()


def test_cosines_and_running_means() -> None:
    assert [cosine(share, 0.5) for share in (0, 0.5, 1)] == pytest.approx([1, 0.75, 0.5])
    mean, net = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    with torch.no_grad():
        net.weight += 1
        net.num_batches_tracked += 3
    update_average(mean, net, 0.75)
    torch.testing.assert_close(mean.weight, torch.full((2,), 1.25))
    assert mean.num_batches_tracked == 3


def test_an_unknown_device_is_refused() -> None:
    for name in ("gpu0", "cuda:99"):
        with pytest.raises(FaceLatentsError, match="device=cpu"):
            training_device(name)

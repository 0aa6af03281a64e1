"""Hostile cases: made anew from a number, and what must not happen is noticed."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from face_latents.lab.evaluation.hostile import mutate, run
from face_latents.lab.evaluation.hostile.worker import Told, _read_case, _Watch
from face_latents.models.errors import FaceLatentsError
from loop_support import case

TENSOR = {"dtype": "F32", "shape": [4, 4], "data_offsets": [0, 64]}
HEADER = json.dumps({"__metadata__": {"a": "[1, 2]", "b": "x"}, "t": TENSOR}).encode()
SAFETENSORS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(64)


class FakeBench:
    """Does something with a case instead of reading it."""

    def __init__(self, act):
        self.act = act

    def make(self, kind, number, rng):
        return "txt", rng.randbytes(8)

    def read(self, kind, file, target):
        self.act(file, target)


def refuse(file, target):
    raise FaceLatentsError("no")


def write_outside(file, target):
    file.with_name("elsewhere").write_text("")


def run_program(file, target):
    subprocess.run([sys.executable, "-c", ""], check=True)


def test_what_must_not_happen_is_noticed(tmp_path):
    watch = _Watch()
    acts = (
        (lambda file, target: (target / "a").write_bytes(file.read_bytes()), "accepted", ""),
        (refuse, "refused", "no"),
        (lambda file, target: {}["x"], "failed", "KeyError"),
        (lambda file, target: sys.exit(), "failed", "SystemExit"),
        (write_outside, "failed", "elsewhere"),
        (lambda file, target: (target / ".." / "b").mkdir(), "failed", "outside"),
        (run_program, "failed", "subprocess.Popen"),
    )
    for act, outcome, why in acts:
        told = _read_case(FakeBench(act), watch, tmp_path, 0, 1, "photo")
        with case(act=act):
            assert told.outcome == outcome
            assert why in told.why


def test_a_case_is_made_of_its_number_alone():
    changes = (
        lambda rng: mutate.mutate_bytes(SAFETENSORS, rng),
        lambda rng: mutate.mutate_safetensors(SAFETENSORS, rng),
        lambda rng: mutate.to_json(mutate.mutate_json({"a": [1, "x", {"b": "[3]"}]}, rng), rng),
    )
    for change in changes:
        made = [change(random.Random(f"0/{number}")) for number in range(300)]
        assert made == [change(random.Random(f"0/{number}")) for number in range(300)]
        assert len(set(made)) > 150


def test_a_run_goes_on_from_its_log(tmp_path, monkeypatch):
    read = []

    @contextlib.contextmanager
    def readers(folder, seed):
        def one(number, kind):
            if number == 5:
                raise KeyboardInterrupt
            read.append(number)
            return Told("failed" if number == 3 else "refused", "why", 0.5, 10**6)

        yield one

    monkeypatch.setattr(run, "_readers", readers)
    log = tmp_path / "log.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run.evaluate_hostile(run.HostileEvaluation(cases=8, log=str(log)))
    with log.open("a") as file:
        file.write("[0, 5, ")  # cut off
        file.write("\n" + json.dumps([1, 6, "photo", "failed", "another seed", 1.0, 1]) + "\n")
    read.clear()
    figures = run.evaluate_hostile(run.HostileEvaluation(cases=5, log=str(log)))
    assert read == []
    assert [found["case"] for found in figures["findings"]] == [3]
    assert sum(sum(found.values()) for found in figures["counts"].values()) == 5


def test_an_unknown_kind_is_refused():
    with pytest.raises(FaceLatentsError, match="Kinds: direction"):
        run.evaluate_hostile(run.HostileEvaluation(kinds=("picture",)))


@pytest.mark.slow
def test_cases_end_in_a_sentence(tmp_path):
    figures = run.evaluate_hostile(run.HostileEvaluation(cases=16, seed=1))
    assert figures["findings"] == []
    assert "| all | 16 |" in run.report(figures)
    assert not (Path.cwd() / "hostile_case_was_run").exists()

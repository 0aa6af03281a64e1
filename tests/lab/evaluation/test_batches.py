"""The evaluation of batches: its photos, and what it reads off a run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from face_latents.lab.evaluation.batches import figures, ordeal
from face_latents.lab.evaluation.batches.photos import make_photos
from face_latents.models.errors import FaceLatentsError
from face_latents.models.imaging.photos import load_image
from PIL import Image


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    Image.effect_noise((400, 300), 90).convert("RGB").save(tmp_path / "source" / "a.png")
    return tmp_path / "source"


def test_some_photos_are_broken_or_faceless(source, tmp_path):
    made = make_photos(source, tmp_path / "in", 100)
    assert made == {"photos": 100, "broken": 3, "faceless": 2}
    names = os.listdir(tmp_path / "in")
    assert len(names) == 100
    assert sum("faceless" in name for name in names) == 2
    good = [name for name in names if "good" in name]
    assert len(good) == 95
    assert len({(tmp_path / "in" / name).read_bytes() for name in good}) == 95
    load_image(tmp_path / "in" / good[0], whole=True)
    for name in names:
        if "broken" in name:
            with pytest.raises(FaceLatentsError):
                load_image(tmp_path / "in" / name, whole=True)


def test_an_ordeal_counts_what_is_missing_or_twice(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    names = [*(f"{number}_good.jpg" for number in range(7)), "7_broken.jpg", "8_faceless.jpg"]
    lines = []
    for name in names:
        (tmp_path / "in" / name).touch()
        good = "good" in name
        line = {"photo": name, "outputs": [f"{name}.png"] if good else [], "damaged": []}
        lines.append({**line, "error": None if good else "no"})
    lines[7]["error"] = None  # a broken photo that is not listed
    lines.append(lines[0])  # a photo that was done twice
    del lines[1]  # one that was left out
    (tmp_path / "out" / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name in names[:3]:
        (tmp_path / "out" / f"{name}.png").touch()

    def run_command(args, on_line):
        run = type("Run", (), {"pid": os.getpid()})()
        for count in range(1, 7 if "--resume" not in args else 1):
            on_line(count, run)
        return {"status": 1}

    killed = []
    worker = type("Worker", (), {"pid": 123456})()
    monkeypatch.setattr(ordeal, "run_command", run_command)
    monkeypatch.setattr(ordeal, "_workers", lambda pid: [worker])
    monkeypatch.setattr(ordeal, "_note_memory", lambda pid, memory: None)
    monkeypatch.setattr(ordeal.os, "kill", lambda *given: killed.append(given))
    monkeypatch.setattr(ordeal.os, "killpg", lambda *given: killed.append(given))
    found = ordeal.undergo([], tmp_path / "in", tmp_path / "out")
    assert len(killed) == 2
    assert (found["good"], found["good_once"]) == (7, 5)
    assert (found["bad"], found["bad_listed"]) == (2, 1)
    assert found["files"] == 3


def test_the_report_plans_a_farm():
    told = {
        "ordeal": {"photos": 60, "broken": 2, "faceless": 1, "good": 57, "good_once": 57, "bad": 3}
        | {"bad_listed": 3, "files": 58, "files_of_manifest": 58, "memory_growth": 1.0}
        | {"memory_mb": 500.0},
        "speed": {
            name: {"steady": steady, "whole_run": steady / 2}
            for name, steady in (
                ("one_process", 30.0),
                ("one_thread", 36.0),
                ("processes", 54.0),
                ("over_one_process", 1.8),
                ("over_one_thread", 1.5),
            )
        },
        "cost": {
            "photo_seconds": 1.8,
            "load_seconds": 1.0,
            "task_ms": 9.0,
            "central_ms": 3.6,
            "task_bytes": 400.0,
        }
        | {"result_bytes": 1600.0},
    }
    text = figures.report(told)
    assert "| several over one with all threads, all workers up | 1.80 |" in text
    assert "| photos a minute, several processes, whole run | 27.0 |" in text
    assert "the photos' own work takes 5.0 hours" in text
    assert "needs 1.0 hours" in text
    assert "2.0 GB of messages" in text


def test_the_speed_is_that_of_all_workers(tmp_path, monkeypatch):
    script = """
import os, time
print(os.environ.get("OMP_NUM_THREADS"), flush=True)
time.sleep(2)
for _ in range(6):
    time.sleep(0.1)
    print(flush=True)
"""
    monkeypatch.setattr(ordeal, "_COMMAND", ("-c", script))
    lines = []
    found = ordeal.run_command([], lambda count, run: lines.append(count), threads=3)
    assert lines == [*range(1, 8)]
    assert found["rate"] < 60 * 7 / 2.6
    assert found["rate"] < found["steady"] < 1.1 * 600


def test_the_workflow_is_there():
    assert Path(figures.WORKFLOW).is_file()

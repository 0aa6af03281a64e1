"""Photos on several processes: each good one exactly once, whatever becomes of the workers."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from face_latents.cli.main import main
from face_latents.cli.runner import command
from face_latents.cli.runner.batch import worker
from PIL import Image

distributed = pytest.importorskip("distributed", reason="Dask distributed is not installed")

from face_latents.cli.runner.batch import farm  # noqa: E402 - imports Dask

FLOW = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "x.png"}},
    "2": {"class_type": "LoadImage", "inputs": {"image": "fixed.png"}},
    "3": {
        "class_type": "ImageStitch",
        "inputs": {
            "image1": ["1", 0],
            "image2": ["2", 0],
            "direction": "right",
            "match_image_size": False,
            "spacing_width": 0,
            "spacing_color": "white",
        },
    },
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "both"}},
}
RECIPE = Path(__file__).parents[3] / "docs" / "FARM.md"


@pytest.fixture
def place(tmp_path):
    """Twelve photos and a broken one, and a workflow that reads another picture as well."""
    (tmp_path / "in").mkdir()
    for number in range(12):
        picture = Image.new("RGB", (200, 100), (20 * number, 9, 9))
        picture.save(tmp_path / "in" / f"{number:02}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (50, 100), "blue").save(tmp_path / "fixed.png")
    (tmp_path / "flow.json").write_text(json.dumps(FLOW))
    return tmp_path


def options(place, *more):
    return [
        *("run", str(place / "flow.json"), "--input", str(place / "in"), "--no-progress"),
        *("--output", str(place / "out"), "--set", f"2.image={place / 'fixed.png'}", *more),
    ]


def check(place):
    """Every good photo once, with its own colour, the broken one listed, nothing else there."""
    lines = [json.loads(row) for row in (place / "out" / "manifest.jsonl").read_text().splitlines()]
    assert sorted(Path(line["photo"]).name for line in lines) == sorted(os.listdir(place / "in"))
    for line in lines:
        name = Path(line["photo"]).name
        if name == "broken.png":
            assert "cannot be read as a picture" in line["error"]
            continue
        (output,) = line["outputs"]
        pixels = np.asarray(Image.open(place / "out" / output))
        assert pixels.shape == (100, 250, 3)
        assert tuple(pixels[0, 0]) == (20 * int(name[:2]), 9, 9)
        assert tuple(pixels[0, -1]) == (0, 0, 255)
    assert len(os.listdir(place / "out")) == 13


@pytest.fixture
def threads(monkeypatch):
    """Workers in this process, so that the tests can look into them."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=2,
        processes=False,
        dashboard_address=None,
        resources={"GPU": 1},
    ) as cluster:
        yield cluster
    worker._jobs.clear()
    worker._sessions.clear()


def test_workers_of_a_scheduler_share_the_photos_out(place, threads, capsys):
    assert main(options(place, "--scheduler", threads.scheduler_address)) == 1
    captured = capsys.readouterr()
    assert "1 photos failed or are damaged:\n  broken.png" in captured.err
    assert captured.out.count(f" -> {place / 'out'}") == 12
    check(place)


def test_without_a_shared_folder_photos_and_results_are_sent(place, threads, monkeypatch, capsys):
    monkeypatch.setattr(worker, "_sees", lambda photo, staged: False)
    assert main(options(place, "--scheduler", threads.scheduler_address)) == 1
    check(place)
    told = f"broken.png  'LoadImage' (node 1): '{place / 'in' / 'broken.png'}' cannot be read"
    assert told in capsys.readouterr().err


def test_a_photo_that_went_in_between_is_said(place, threads, monkeypatch):
    sees, gone = worker._sees, place / "in" / "03.png"

    def sees_none(photo, staged):
        gone.unlink(missing_ok=True)
        return sees(photo, staged)

    monkeypatch.setattr(worker, "_sees", sees_none)
    assert main(options(place, "--scheduler", threads.scheduler_address)) == 1
    rows = (place / "out" / "manifest.jsonl").read_text().splitlines()
    errors = {Path(line["photo"]).name: line["error"] for line in map(json.loads, rows)}
    assert "There is no photo" in errors["03.png"]
    assert sum(error is not None for error in errors.values()) == 2


def test_a_worker_that_comes_later_is_told_the_job(place, threads):
    known = distributed.Client(threads).run  # keep the connection

    def forget(dask_worker):
        worker._jobs.clear()

    assert main(options(place, "--scheduler", threads.scheduler_address)) == 1
    known(forget)
    with distributed.Client(threads) as client:
        future = client.submit(worker.run_photo, "no such job", Path("a"), None, Path("b"))
        assert future.result().what == "job"
    check(place)


def test_a_gpu_is_asked_for_where_the_run_wants_one(place, threads, capsys):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as without:
        args = argparse.Namespace(scheduler=without.scheduler_address, device="cuda", jobs=1)
        with pytest.raises(farm.FaceLatentsError, match="--resources GPU=1"), farm.connect(args):
            pass
    args.scheduler = threads.scheduler_address
    with farm.connect(args) as client:
        assert farm._resources(args) == {"GPU": 1}
        assert client.submit(int, 7, resources=farm._resources(args)).result() == 7


@pytest.mark.slow
def test_the_photos_of_a_killed_worker_are_done_again(place, monkeypatch):
    killed = []
    collect = farm._Field.collect

    def collect_and_kill(self):
        if not killed:
            killed.append(next(iter(self._client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)
        return collect(self)

    monkeypatch.setattr(farm._Field, "collect", collect_and_kill)
    assert main(options(place, "--jobs", "2")) == 1
    assert killed
    check(place)


@pytest.mark.slow
def test_an_interrupted_farm_is_resumed(place):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background: ignored
    command_line = [sys.executable, "-m", "face_latents", *options(place, "--jobs", "2")]
    with subprocess.Popen(
        command_line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does, to all processes
        err = run.communicate()[1]
    signal.signal(signal.SIGINT, before)
    assert run.returncode == 130, err
    assert "--resume goes on." in err
    assert "Traceback" not in err
    assert "partial" not in "".join(os.listdir(place / "out"))
    assert main(options(place, "--resume")) == 1
    check(place)


@pytest.mark.slow
def test_the_recipe_of_the_documentation_works(place):
    block = re.search(r"```sh\n(# a scheduler.*?)```", RECIPE.read_text(encoding="utf-8"), re.S)
    assert block is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = block[1].replace("HOST", "127.0.0.1").replace("8786", str(port))
    lines = [shlex.split(row, comments=True) for row in text.splitlines()]
    scheduler, *workers, run = [line for line in lines if line]
    assert len(workers) == 2
    own = {"dask": "dask", "face-latents": "face_latents"}
    services = [
        subprocess.Popen(
            [sys.executable, "-m", own[line[0]], *line[1:], *more],
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for line, more in [(scheduler, ["--no-dashboard"]), *((line, []) for line in workers)]
    ]
    try:
        at = run.index("--scheduler")
        assert main(options(place, *run[at : at + 2])) == 1
    finally:
        for service in reversed(services):
            service.terminate()
            service.wait()
    check(place)


def test_without_dask_the_run_says_how_to_install_it(place, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(options(place, "--jobs", "2")) == 2
    assert "pip install 'face-latents[farm]'" in capsys.readouterr().err
    assert main(options(place, "--jobs", "2", "--scheduler", "tcp://x:1")) == 2
    assert "give one" in capsys.readouterr().err


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_workers_do_not_ask_the_system_for_each_tensors_memory():
    code = """
import resource, torch
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        torch.zeros(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""

    def count(settings):
        own = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
        told = {**own, "OMP_NUM_THREADS": "1", **settings}
        command = [sys.executable, "-c", code]
        run = subprocess.run(command, env=told, capture_output=True, text=True, check=True)
        return int(run.stdout)

    before, after = count({"MALLOC_TRIM_THRESHOLD_": "65536"}), count(farm.KEEPING_MEMORY)
    assert before > 50 * 1000  # 4 MB in pages of 4 KB
    assert after < 50

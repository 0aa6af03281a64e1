"""A run with `--jobs` whose worker is killed, and that is interrupted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ....models.errors import FaceLatentsError
from .photos import BROKEN, FACELESS

_COMMAND = ("-m", "face_latents")
Line = Callable[[int, subprocess.Popen[str]], None]  # results so far, the process


def run_command(
    args: Sequence[str], on_line: Line = lambda count, run: None, threads: int | None = None
) -> dict[str, Any]:
    """Run `face-latents` with `args`, in a session of its own.

    Args:
        args: of the command.
        on_line: called at each line that it prints.
        threads: of the process; None for as many as it likes.

    Returns:
        `status`, `seconds`, `lines` printed, `rate`: photos a minute of the whole run, and
        `steady`: those after the first third, when all workers are up.
    """
    told = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    if threads is not None:
        told["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, *_COMMAND, *args]
    started, times = time.monotonic(), list[float]()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env=told,
    ) as run:
        assert run.stdout is not None
        for _ in run.stdout:
            times.append(time.monotonic())
            on_line(len(times), run)
    seconds, first = time.monotonic() - started, len(times) // 3
    late = times[first:]
    return {
        "status": run.returncode,
        "seconds": seconds,
        "lines": len(times),
        "rate": 60 * len(times) / seconds,
        "steady": 60 * (len(late) - 1) / (late[-1] - late[0]) if len(late) > 1 else 0.0,
    }


def undergo(args: Sequence[str], photos: Path, output: Path) -> dict[str, Any]:
    """Kill a worker after a third of the photos, interrupt after two thirds, and resume.

    Returns:
        `good_once`, `good`, `bad_listed`, `bad`: how many of how many; `files`: results in the
        output folder; `killed`, `status` of both parts; `memory_growth`: the last quarter over the
        second quarter of a worker's life, the largest of all workers.

    Raises:
        FaceLatentsError: no worker was there to be killed.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
    names = sorted(os.listdir(photos))
    memory: dict[int, list[int]] = {}
    killed: list[int] = []

    def disturb(count: int, run: subprocess.Popen[str]) -> None:
        _note_memory(run.pid, memory)
        if count == len(names) // 3:
            killed.append(_workers(run.pid)[0].pid)
            os.kill(killed[0], signal.SIGKILL)
        if count == 2 * len(names) // 3:
            os.killpg(run.pid, signal.SIGINT)

    first = run_command(args, disturb)
    second = run_command([*args, "--resume"], lambda count, run: _note_memory(run.pid, memory))
    if not killed:
        raise FaceLatentsError("The run ended before a worker was killed: take more photos.")
    lines = [json.loads(row) for row in (output / "manifest.jsonl").read_text().splitlines()]
    told = Counter(Path(line["photo"]).name for line in lines)
    done = {Path(line["photo"]).name: line for line in lines}
    bad = [name for name in names if BROKEN in name or FACELESS in name]
    good = [name for name in names if name not in bad]
    once = [name for name in good if told[name] == 1 and len(done[name]["outputs"]) == 1]
    listed = [n for n in bad if told[n] == 1 and (done[n]["error"] or done[n]["damaged"])]
    files = [path.name for path in output.iterdir() if path.suffix == ".png"]
    return {
        "good": len(good),
        "good_once": len(once),
        "bad": len(bad),
        "bad_listed": len(listed),
        "files": len(files),
        "files_of_manifest": sum(len(line["outputs"]) for line in lines),
        "killed": len(killed),
        "status": [first["status"], second["status"]],
        "memory_growth": max((_growth(each) for each in memory.values()), default=1.0),
        "memory_mb": max((max(each) for each in memory.values()), default=0) / 1e6,
    }


def _workers(parent: int) -> list[Any]:
    import psutil

    return [child for child in psutil.Process(parent).children(recursive=True) if _works(child)]


def _works(process: Any) -> bool:
    import psutil

    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # just killed
        return False


def _note_memory(parent: int, memory: dict[int, list[int]]) -> None:
    import psutil

    for child in _workers(parent):
        try:
            memory.setdefault(child.pid, []).append(child.memory_info().rss)
        except psutil.Error:
            continue


def _growth(sizes: Sequence[int]) -> float:
    quarter = len(sizes) // 4
    if quarter < 2:
        return 1.0
    early, late = sizes[quarter : 2 * quarter], sizes[-quarter:]
    return (sum(late) / len(late)) / (sum(early) / len(early))

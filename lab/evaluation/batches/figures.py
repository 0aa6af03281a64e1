"""`face-latents evaluate batches`: an ordeal, the speed of two processes, the cost of a task."""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from PIL import Image

from ....cli.runner.batch.manifest import Manifest
from ....cli.runner.batch.store import OutputStore
from ....cli.runner.prepare import prepare
from ....models.errors import FaceLatentsError
from ...results import markdown_table
from .ordeal import run_command, undergo
from .photos import make_photos

WORKFLOW = Path(__file__).parents[3] / "workflows" / "Add a smile.json"
_PLAN_WORKERS, _PLAN_PHOTOS = 100, 1_000_000
_PROCESSES = (("one_process", 1, None), ("one_thread", 1, 1), ("processes", None, None))
_SPEEDS = (
    ("one_process", "photos a minute, one process with all threads", 1),
    ("one_thread", "photos a minute, one process with one thread", 1),
    ("processes", "photos a minute, several processes", 1),
    ("over_one_process", "several over one with all threads", 2),
    ("over_one_thread", "several over one with one thread", 2),
)
_COPY = {  # the least that a workflow can do
    "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
}


@dataclass(frozen=True)
class BatchEvaluation:
    """How many photos."""

    size: Annotated[int, "photos of the ordeal"] = 1000
    speed: Annotated[int, "photos for the speed of one and of several processes"] = 60
    tasks: Annotated[int, "tiny pictures for the cost of a task"] = 200
    jobs: Annotated[int, "processes"] = 2


def evaluate_batches(
    source: Path,
    settings: BatchEvaluation,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Run batches of photos made from those of a folder.

    Args:
        source: folder of photos with faces.
        settings: see there.
        progress: called with (stage, done, total).

    Returns:
        `ordeal`, see `ordeal.undergo`; `speed`, see `_speed`; `cost`: of a task, see
        `_cost_of_a_task`, and of loading the model.

    Raises:
        FaceLatentsError: no photos, or Dask is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise FaceLatentsError("evaluate batches needs Dask: pip install -e '.[farm]'.") from error
    stages = ("ordeal", "speed", "cost")
    figures: dict[str, Any] = {}
    with TemporaryDirectory() as name:
        place = Path(name)
        for number, stage in enumerate(stages):
            progress("batches", number, len(stages))
            if stage == "ordeal":
                made = make_photos(source, place / "photos", settings.size)
                args = _run_args(place / "photos", place / "out", settings.jobs)
                figures[stage] = {**made, **undergo(args, place / "photos", place / "out")}
            elif stage == "speed":
                figures[stage] = _speed(source, place, settings)
            else:
                figures[stage] = {
                    **_cost_of_a_task(place, settings.tasks),
                    "photo_seconds": figures["speed"]["photo_seconds"],
                    "load_seconds": figures["speed"].pop("load_seconds"),
                }
        progress("batches", len(stages), len(stages))
    return figures


def _run_args(photos: Path, output: Path, jobs: int) -> list[str]:
    return [
        *("run", str(WORKFLOW), "--input", str(photos), "--output", str(output)),
        *("--jobs", str(jobs), "--no-progress", "--json"),
    ]


def _speed(source: Path, place: Path, settings: BatchEvaluation) -> dict[str, Any]:
    """Photos a minute of one process and of several, on the same photos, one after the other.

    Returns:
        `one_process` (with all threads), `one_thread` and `processes`: `steady` and `whole_run`,
        see `run_command`; `over_one_process`, `over_one_thread`: of the processes, times as many;
        `photo_seconds` of one thread; `load_seconds`: what the first photo takes longer.
    """
    make_photos(source, place / "timed", settings.speed)
    figures: dict[str, Any] = {}
    for name, jobs, threads in _PROCESSES:
        args = _run_args(place / "timed", place / name, jobs or settings.jobs)
        run = run_command(args, threads=threads)
        figures[name] = {"steady": run["steady"], "whole_run": run["rate"]}
    for name in ("one_process", "one_thread"):
        figures[f"over_{name}"] = {
            when: rate / max(figures[name][when], 1e-9)
            for when, rate in figures["processes"].items()
        }
    written = Manifest(place / "one_thread", "").path.read_text()
    rows = [json.loads(row) for row in written.splitlines()]
    seconds = [row["seconds"] for row in rows if row["error"] is None]
    usual = median(seconds[1:])
    return figures | {"photo_seconds": usual, "load_seconds": max(0.0, seconds[0] - usual)}


def _cost_of_a_task(place: Path, count: int) -> dict[str, float]:
    """What a photo costs besides its own work, with one worker that is never idle.

    Returns:
        `task_ms`: from photo to photo, less the work; `central_ms`: processor time of the process
        that started the run, with the scheduler; `task_bytes`, `result_bytes`: of messages.
    """
    from ....cli.runner.batch import farm
    from ....cli.runner.batch.worker import Done

    photos = place / "tiny"
    photos.mkdir()
    for number in range(count):
        Image.new("RGB", (16, 16), (number % 256, 0, 0)).save(photos / f"{number:04}.png")
    (place / "copy.json").write_text(json.dumps(_COPY))
    args = argparse.Namespace(
        workflow=place / "copy.json",
        output=place / "copies",
        scheduler=None,
        jobs=1,
        device="cpu",
        models=None,
        decoder="pillow",
    )
    job = prepare(args.workflow, args.output, photos=photos)
    times, busy, work, size = list[float](), list[float](), list[float](), 0
    with farm.connect(args) as client, OutputStore(args.output) as store:
        manifest = Manifest(args.output, job.digest)
        for staged in farm.stage(client, args, job, store):
            size = len(pickle.dumps(Done(staged.outcome, staged.folder, None)))
            outcome = store.commit(staged, job.constant, manifest.add)
            times.append(time.monotonic())
            busy.append(time.process_time())
            work.append(outcome.seconds)
    spent = (times[-1] - times[2]) / (len(times) - 3)
    told = (job.digest, photos / "0000.png", None, store.partial)
    return {
        "task_ms": 1000 * (spent - sum(work[3:]) / len(work[3:])),
        "central_ms": 1000 * (busy[-1] - busy[2]) / (len(busy) - 3),
        "task_bytes": float(len(pickle.dumps(told))),
        "result_bytes": float(size),
    }


def report(figures: Mapping[str, Any]) -> str:
    """The section: what the ordeal left, the speed, and what they mean for a farm."""
    ordeal, speed, cost = (figures[name] for name in ("ordeal", "speed", "cost"))
    rows = [
        ("good photos with exactly one result", f"{ordeal['good_once']} of {ordeal['good']}"),
        ("broken and faceless photos listed", f"{ordeal['bad_listed']} of {ordeal['bad']}"),
        ("results in the folder", f"{ordeal['files']}"),
        ("results in the manifest", f"{ordeal['files_of_manifest']}"),
        ("memory of a worker, its last quarter over its second", f"{ordeal['memory_growth']:.2f}"),
        ("largest worker, MB", f"{ordeal['memory_mb']:.0f}"),
        *(
            (f"{title}, {when}", f"{speed[name][key]:.{digits}f}")
            for name, title, digits in _SPEEDS
            for key, when in (("steady", "all workers up"), ("whole_run", "whole run"))
        ),
        ("seconds a photo, one thread", f"{cost['photo_seconds']:.2f}"),
        ("model load of a worker, seconds", f"{cost['load_seconds']:.2f}"),
        ("cost of a task besides its work, ms", f"{cost['task_ms']:.1f}"),
        ("processor time a task of the run and the scheduler, ms", f"{cost['central_ms']:.1f}"),
        ("bytes of a task", f"{cost['task_bytes']:.0f}"),
        ("bytes of its result", f"{cost['result_bytes']:.0f}"),
    ]
    hours = _PLAN_PHOTOS * cost["photo_seconds"] / _PLAN_WORKERS / 3600
    bound = _PLAN_PHOTOS * cost["central_ms"] / 1000 / 3600
    traffic = _PLAN_PHOTOS * (cost["task_bytes"] + cost["result_bytes"]) / 1e9
    return (
        f"{ordeal['photos']} photos, {ordeal['broken']} of them broken and {ordeal['faceless']} "
        "without a face, by `run --jobs`; a worker is killed after a third of them, the run is "
        "interrupted after two thirds, and resumed.\n\n"
        f"{markdown_table(('what', 'measured'), rows)}\n\n"
        f"{_PLAN_WORKERS} workers and {_PLAN_PHOTOS} photos, from these figures: the photos' own "
        f"work takes {hours:.1f} hours; the process that started the run needs {bound:.1f} hours "
        "to hand out and take in so many; the longer of the two counts. Where folders are shared, "
        f"{traffic:.1f} GB of messages go over the network."
    )

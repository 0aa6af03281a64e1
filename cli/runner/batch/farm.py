"""Photos on several processes or machines, by Dask distributed: a photo is a task.

Tasks of a worker that is lost are done again by others. What a task gives counts once: results come
into the output folder, and photos into the manifest, in the process that started the run.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import dask
from distributed import Client, Future, LocalCluster, as_completed
from distributed.protocol.serialize import deserialize_bytes
from distributed.scheduler import KilledWorker

from ....models.errors import FaceLatentsError
from ..execute import RunResult
from ..graph import read_workflow_file
from ..outcome import Outcome
from ..run import Job
from .store import OutputStore, Staged
from .worker import RESULTS, Done, FarmJob, Missing, run_photo, take_job

_WAIT = 60  # seconds for the first worker
_AHEAD = 4  # photos a worker thread that are under way: one is worked on, others wait
_COUNT_EVERY = 2.0  # seconds
_DASHBOARD = ":8787"
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
# Of workers: glibc keeps freed memory for the next tensors, as it does unless it is told otherwise.
# Dask tells it: then the system is asked for every tensor's memory anew, and a photo takes longer.
KEEPING_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # the largest there is
}


@contextmanager
def connect(args: argparse.Namespace) -> Iterator[Client]:
    """Start `--jobs` processes, or connect to the scheduler at `--scheduler`.

    Raises:
        FaceLatentsError: there is no such scheduler, it has no workers, or none with a GPU.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="(?s).*(Port 8787|Sending large graph)")
    if args.scheduler is None:
        kept = {f"{_ENVIRONMENT}.{name}": value for name, value in KEEPING_MEMORY.items()}
        with _deaf_to_interrupts(), dask.config.set(kept):
            cluster = LocalCluster(
                n_workers=args.jobs,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address=_DASHBOARD,
                resources=_resources(args),
            )
        with cluster, Client(cluster) as client:
            yield client
        return
    try:
        client = Client(args.scheduler, timeout=_WAIT)
    except (OSError, ValueError) as error:
        raise FaceLatentsError(
            f"There is no scheduler at '{args.scheduler}' ({error}). Start one with 'dask "
            "scheduler', and give its address, such as tcp://HOST:8786."
        ) from error
    with client:
        _require_workers(client, args)
        yield client


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in the block leave Ctrl-C to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _resources(args: argparse.Namespace) -> dict[str, float]:
    """What a photo takes of a worker: a GPU serves one at a time."""
    return {"GPU": 1} if args.device == "cuda" else {}


def _require_workers(client: Client, args: argparse.Namespace) -> None:
    try:
        client.wait_for_workers(1, timeout=_WAIT)
    except TimeoutError as error:
        raise FaceLatentsError(
            f"The scheduler at '{args.scheduler}' has no workers. Start some with 'dask worker "
            f"{args.scheduler} --nthreads 1'."
        ) from error
    found = client.scheduler_info(n_workers=-1)["workers"].values()
    if _resources(args) and not any("GPU" in worker["resources"] for worker in found):
        raise FaceLatentsError(
            "No worker has a GPU to give. Start them with 'dask worker "
            f"{args.scheduler} --nthreads 1 --resources GPU=1', or leave --device cuda out."
        )


def stage(
    client: Client, args: argparse.Namespace, job: Job, store: OutputStore
) -> Iterator[Staged]:
    """Run all photos of a job, in the order in which they get done."""
    print(f"Dashboard: {client.dashboard_link}", file=sys.stderr)
    told = _farm_job(args, job)
    client.run(take_job, told)
    field = _Field(client, told, store, _resources(args))
    waiting = iter(photo for photo in job.photos if photo is not None)
    try:
        while True:
            if photos := list(islice(waiting, field.room())):
                field.submit(photos)
            if not field.running:
                return
            for staged, folder in field.collect():
                yield staged
                shutil.rmtree(folder, ignore_errors=True)  # with what lost workers left
    finally:
        client.unsubscribe_topic(RESULTS)  # workers go on to send, and nobody would be there
        client.cancel(list(field.running), force=True)


def _farm_job(args: argparse.Namespace, job: Job) -> FarmJob:
    return FarmJob(
        f"{job.digest}-{uuid.uuid4().hex[:8]}",
        read_workflow_file(args.workflow),
        tuple(job.settings),
        {name: path.read_bytes() for name, path in job.pictures.items()},
        args.output.resolve(),
        args.decoder,
        args.device,
        None if args.models is None else args.models.resolve(),
        max(1, (os.cpu_count() or 1) // args.jobs) if args.scheduler is None else None,
    )


class _Field:
    """The photos under way."""

    def __init__(
        self, client: Client, told: FarmJob, store: OutputStore, resources: dict[str, float]
    ) -> None:
        self.running: dict[Future[Any], tuple[Path, Path]] = {}  # photo and the folder of its files
        self._client, self._told, self._store = client, told, store
        self._resources = resources
        self._done = as_completed()
        self._told_of: dict[str, bytes] = {}  # `Done` in bytes by the folder's name
        client.subscribe_topic(RESULTS, self._take)
        self._threads, self._counted = 1, 0.0
        self._by_bytes = False  # once a worker does not see the folders, photos are sent

    def room(self) -> int:
        """How many photos workers could take: none until half of what they had is done."""
        if time.monotonic() - self._counted > _COUNT_EVERY:
            self._threads = max(1, sum(self._client.nthreads().values()))
            self._counted = time.monotonic()
        room = _AHEAD * self._threads - len(self.running)
        return room if 2 * room >= _AHEAD * self._threads else 0

    def submit(self, photos: Sequence[Path]) -> None:
        """Send photos to the workers, in one message: messages are most of what a task costs."""
        folders = [self._store.stage() for _ in photos]
        contents = [_content(photo) if self._by_bytes else None for photo in photos]
        futures = self._client.map(
            run_photo,
            [self._told.key] * len(photos),
            [photo.absolute() for photo in photos],
            contents,
            [folder.absolute() for folder in folders],
            key=[(f"photo-{self._told.key}", folder.name) for folder in folders],
            resources=self._resources or None,
            pure=False,
        )
        self.running.update(zip(futures, zip(photos, folders, strict=True), strict=True))
        self._done.update(futures)

    def collect(self) -> Iterator[tuple[Staged, Path]]:
        """Wait for the next photos, with their folders; those that have to be sent anew are."""
        futures = self._done.next_batch()
        results = self._results(futures)
        anew = []
        for future in futures:
            photo, folder = self.running.pop(future)
            result = results.get(future.key)
            if isinstance(result, Done):
                yield _received(result, photo, folder, self._store.folder), folder
            elif future.status == "error":
                yield Staged(self._failed(photo, future.exception()), folder), folder
            elif self._supply(result) and not photo.is_file():
                gone = FileNotFoundError(f"There is no photo '{photo}' any more.")
                yield Staged(self._failed(photo, gone), folder), folder
            else:
                shutil.rmtree(folder, ignore_errors=True)
                anew.append(photo)
        if anew:
            self.submit(anew)

    def _take(self, event: tuple[float, tuple[str, str, bytes]]) -> None:
        """Called by Dask's own thread."""
        key, folder, result = event[1]
        if key == self._told.key:
            self._told_of[folder] = result

    def _results(self, futures: Sequence[Future[Any]]) -> dict[Any, Done | Missing | None]:
        """By the keys of the futures: of those that are finished, None for what got lost."""
        told = {
            future.key: self._told_of.pop(self.running[future][1].name, None) for future in futures
        }
        fetched = {
            future.key: future
            for future in futures
            if told[future.key] is None and future.status == "finished"
        }
        results = self._client.gather(fetched, errors="skip") if fetched else {}
        return results | {key: deserialize_bytes(result) for key, result in told.items() if result}

    def _supply(self, missing: Missing | None) -> bool:
        """Give a worker what it lacks; true if that is photos, which are sent from now on."""
        if missing is not None and missing.what == "job":
            self._client.run(take_job, self._told, workers=[missing.worker], on_error="ignore")
        by_bytes = missing is not None and missing.what == "bytes"
        self._by_bytes |= by_bytes
        return by_bytes

    def _failed(self, photo: Path, error: BaseException | None) -> Outcome:
        text = str(error)
        if isinstance(error, KilledWorker):
            text = (
                "The worker died each time that it worked on this photo. Its memory may be too "
                "small: try the photo alone."
            )
        return Outcome(photo, RunResult(), {}, self._store.folder, {}, FaceLatentsError(text))


def _content(photo: Path) -> bytes:
    """A photo's bytes; none where it cannot be read, which the worker then says."""
    try:
        return photo.read_bytes()
    except OSError:
        return b""


def _received(done: Done, photo: Path, folder: Path, output: Path) -> Staged:
    """A result with its files; those that were sent are written into `folder`."""
    outcome = replace(done.outcome, photo=photo, output=output)
    if done.contents is None:
        return Staged(outcome, done.folder)
    for name, content in done.contents.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    def move(value: Any) -> Any:
        return value.replace(str(done.folder), str(folder)) if isinstance(value, str) else value

    ui = {
        key: {kind: [move(item) for item in items] for kind, items in shown.items()}
        for key, shown in outcome.result.ui.items()
    }
    return Staged(replace(outcome, result=replace(outcome.result, ui=ui)), folder)

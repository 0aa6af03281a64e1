"""What a worker of a farm does: a photo a task, with all that the photos share kept ready."""

from __future__ import annotations

import argparse
import tempfile
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ....models.errors import FaceLatentsError
from ..execute import Executor, NodeError, RunResult
from ..outcome import Outcome
from ..prepare import prepare
from ..run import Job
from ..session import set_up


@dataclass(frozen=True)
class FarmJob:
    """What a worker is told once.

    Attributes:
        key: which job.
        workflow: JSON of the workflow.
        settings: as ids, see `run.Job`.
        pictures: files that the workflow reads besides photos, by name.
        output: the folder of the results.
        decoder, device, models: as on the command line.
        threads: of a worker; None leaves it to how the worker was started.
    """

    key: str
    workflow: Mapping[str, Any]
    settings: tuple[str, ...]
    pictures: Mapping[str, bytes]
    output: Path
    decoder: str
    device: str
    models: Path | None
    threads: int | None


class Missing(NamedTuple):
    """What the worker at an address needs first: the "job", or the photo's "bytes"."""

    what: str
    worker: str


class Done(NamedTuple):
    """What became of a photo: files lie in `folder`, or are in `contents` where it isn't shared."""

    outcome: Outcome
    folder: Path
    contents: Mapping[str, bytes] | None


RESULTS = "face-latents-results"  # topic of the events by which results are sent
_MOST = 2  # jobs that a worker keeps ready; each may have a model of its own
_jobs: dict[str, FarmJob] = {}
_sessions: dict[str, _Session] = {}
_lock = threading.Lock()  # a process has one set of folders and one model: a photo at a time


def take_job(job: FarmJob) -> None:
    """Remember a job, and forget the oldest."""
    _keep(_jobs, job.key, job)


def run_photo(key: str, photo: Path, content: bytes | None, staged: Path) -> Done | Missing | None:
    """Work on a photo; what goes wrong with it is in the outcome.

    Args:
        key: of the job, see `take_job`.
        photo: its path where the run was started.
        content: its bytes, for a worker that does not see that folder.
        staged: folder for the results; not used with `content`.

    Returns:
        None where what became of it, `Done`, is sent as an event of `RESULTS`: key, name of the
        folder, result in bytes. It goes with the message that the task is finished; to fetch a
        result takes four more.
    """
    from distributed import get_worker
    from distributed.protocol.serialize import serialize_bytes

    result = _work_on(key, photo, content, staged)
    if content is not None or isinstance(result, Missing):
        return result
    get_worker().log_event(RESULTS, [key, staged.name, serialize_bytes(result)])
    return None


def _work_on(key: str, photo: Path, content: bytes | None, staged: Path) -> Done | Missing:
    from distributed import get_worker

    with _lock:
        job = _jobs.get(key)
        if job is None:
            return Missing("job", get_worker().address)
        if content is None and not _sees(photo, staged):
            return Missing("bytes", get_worker().address)
        if key not in _sessions:
            _keep(_sessions, key, _Session(job))
        session = _sessions[key]
        if content is None:
            folder = staged / uuid.uuid4().hex[:12]  # a lost worker may have used another
            folder.mkdir()
            return Done(session.run(photo, folder), folder, None)
        return session.run_apart(photo, content)


def _sees(photo: Path, staged: Path) -> bool:
    """True where the folders of photos and results are shared with the run."""
    return photo.is_file() and staged.is_dir()


def _keep(kept: dict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    for old in list(kept)[:-_MOST]:
        del kept[old]


class _Session:
    """A job in this process: the workflow is read once; results are kept from photo to photo."""

    def __init__(self, job: FarmJob) -> None:
        self._told = job
        self._home = tempfile.TemporaryDirectory(prefix="face-latents-")
        self._job: Job | None = None
        self._executor = Executor({})

    def run(self, photo: Path, folder: Path) -> Outcome:
        """A pass, its files in `folder`."""
        try:
            job = self._job = self._job or self._prepare(photo)
        except FaceLatentsError as error:
            outcome = Outcome(photo, RunResult(), {}, self._told.output, {}, error)
        else:
            outcome = job.run_photo(photo, folder, self._executor)
        if outcome.error is not None:  # its cause may not travel
            outcome = replace(outcome, error=NodeError(str(outcome.error)))
        return replace(outcome, output=self._told.output)

    def run_apart(self, photo: Path, content: bytes) -> Done:
        """A pass where neither the photo's folder nor that of the results can be seen."""
        with tempfile.TemporaryDirectory(dir=self._home.name) as place:
            file, folder = Path(place, "photos", photo.name), Path(place, "results")
            file.parent.mkdir()
            folder.mkdir()
            file.write_bytes(content)
            outcome = self.run(file, folder)
            names = [name for each in outcome.files.values() for name in each]
            contents = {name: (folder / name).read_bytes() for name in names}
        damaged = tuple(photo if path == file else path for path in outcome.damaged)
        error = outcome.error
        if error is not None:
            error = NodeError(str(error).replace(str(file), str(photo)))
        return Done(replace(outcome, photo=photo, damaged=damaged, error=error), folder, contents)

    def _prepare(self, photo: Path) -> Job:
        told, home = self._told, Path(self._home.name)
        if told.threads is not None:
            import torch

            torch.set_num_threads(told.threads)
        set_up(argparse.Namespace(device=told.device, progress=False, models=told.models))
        granted = {}
        for number, (name, content) in enumerate(told.pictures.items()):
            granted[name] = home / f"{number}{Path(name).suffix}"
            granted[name].write_bytes(content)
        job = prepare(
            told.workflow,
            told.output if told.output.is_dir() else home,
            settings=told.settings,
            photos=photo,
            decoder=told.decoder,
            granted=granted,
        )
        self._executor.use(job.classes)
        return job

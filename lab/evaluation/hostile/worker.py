"""The process that reads hostile cases: it says what became of each, and may die of one."""

from __future__ import annotations

import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ....cli.runner.execute import NodeError
from ....models.errors import FaceLatentsError
from ....nodes import host
from .cases import Bench
from .samples import make_samples

STOPPED_AFTER = 3.0  # seconds of CPU time until a workflow is cancelled, as by a person
_MOST_ADDRESSES = 16 * 2**30  # bytes; keeps a case that allocates without end off the machine
_WATCHED = (
    "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "socket.bind",
    "pickle.find_class", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.symlink",
    "shutil.rmtree",
)  # fmt: skip


class Told(NamedTuple):
    """What became of a case.

    Attributes:
        outcome: "refused", "accepted", "stopped" (cancelled while it ran), or "failed".
        why: the message, or the end of the traceback.
        seconds: of CPU time.
        peak: bytes, the most that the process held so far.
    """

    outcome: str
    why: str
    seconds: float
    peak: int


class _Watch:
    """Notes what is done outside one folder, or never may be done, while a case runs."""

    def __init__(self) -> None:
        self.target: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, values: tuple[Any, ...]) -> None:
        if self.target is None or event not in ("open", *_WATCHED):
            return
        if event == "open":
            path, mode, flags = values
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            )
            if not writes or not isinstance(path, (str, bytes, os.PathLike)):
                return
        elif event.startswith(("os.r", "os.mk", "os.ch", "os.sy", "shutil")):
            path = values[0]
        else:
            self.seen.append(f"{event} {values!r}"[:300])
            return
        folder = ""
        if event in ("os.remove", "os.rmdir") and isinstance(values[-1], int) and values[-1] >= 0:
            folder = os.readlink(f"/proc/self/fd/{values[-1]}")  # the path is relative to it
        place, target = os.path.realpath(os.path.join(folder, os.fsdecode(path))), str(self.target)
        if not place.startswith((target + os.sep, "/dev/")) and place != target:
            self.seen.append(f"{event} outside the target: {place}")


def work(connection: Connection, folder: Path, seed: int) -> None:
    """Read cases until None comes: `(number, kind)` in, `Told` out.

    Args:
        connection: to the process that counts.
        folder: for everything; a case may write into `folder/target` only.
        seed: with number and kind it makes the case.
    """
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    _limit_memory()
    os.chdir(folder)
    tempfile.tempdir = str(folder)
    host.stand_alone.progress = False
    host.stand_alone.models = folder / "target" / "models"
    bench, watch = Bench(make_samples(folder)), _Watch()
    signal.signal(signal.SIGPROF, signal.default_int_handler)
    connection.send(None)
    while (told := connection.recv()) is not None:
        number, kind = told
        connection.send(_read_case(bench, watch, folder, seed, number, kind))


def _read_case(
    bench: Bench, watch: _Watch, folder: Path, seed: int, number: int, kind: str
) -> Told:
    target = folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    (target / "models").mkdir(parents=True)
    ending, data = bench.make(kind, number, random.Random(f"{seed}/{number}/{kind}"))
    file = folder / f"case.{ending}"
    file.write_bytes(data)
    watch.target, watch.seen = target, []
    started, why, outcome = time.process_time(), "", "accepted"
    try:
        signal.setitimer(signal.ITIMER_PROF, STOPPED_AFTER if kind == "workflow" else 0)
        bench.read(kind, file, target)
    except FaceLatentsError as error:
        outcome, why = "refused", str(error)
        cause = error.__cause__
        if isinstance(error, NodeError) and cause is not None and not _is_told(cause):
            outcome, why = "failed", _end(cause)
    except KeyboardInterrupt:
        outcome = "stopped"
    except BaseException as error:  # noqa: BLE001  (that there is none is what is measured)
        outcome, why = "failed", _end(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        watch.target = None
    if watch.seen:
        outcome, why = "failed", "; ".join(watch.seen[:3])
    return Told(outcome, why, time.process_time() - started, _peak())


def _is_told(error: BaseException) -> bool:
    """A node may refuse with the host's own kinds of errors, but not fail with others."""
    return isinstance(error, (FaceLatentsError, OSError))


def _end(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)[-4:])[-1200:]


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))


def _peak() -> int:
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

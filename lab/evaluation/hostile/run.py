"""`face-latents evaluate hostile`: thousands of spoilt inputs, and how many end in a sentence."""

from __future__ import annotations

import json
import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Annotated, Any

from ....models.errors import FaceLatentsError
from ...results import markdown_table
from .cases import KINDS
from .worker import STOPPED_AFTER, Told, work

MOST_SECONDS = 10.0  # of CPU time for a case; the clock has to show more on a busy machine
MOST_BYTES = 2 * 10**9
_CLOCK = 30.0  # times as much, on a busy machine, until the process is ended
_RENEWED_AFTER = 1000  # cases, so that nothing that stays behind hides what a fresh process does
_OUTCOMES = ("refused", "accepted", "stopped", "failed")


@dataclass(frozen=True)
class HostileEvaluation:
    """How many cases, and of what."""

    cases: Annotated[int, "over all kinds"] = 10_000
    seed: Annotated[int, "of the cases"] = 0
    kinds: Annotated[tuple[str, ...], "of inputs"] = KINDS
    first: Annotated[int, "number of the first case"] = 0
    log: Annotated[str, "file that keeps what was found; a stopped run goes on from it"] = ""


def evaluate_hostile(
    settings: HostileEvaluation,
    *,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Read spoilt inputs in a process of their own, with limits of time and memory for each.

    Returns:
        counts by kind and outcome, the longest and largest case, and each finding with its number.

    Raises:
        FaceLatentsError: no such kind.
    """
    if unknown := set(settings.kinds) - set(KINDS):
        raise FaceLatentsError(f"No such kind: {', '.join(unknown)}. Kinds: {', '.join(KINDS)}.")
    numbers = range(settings.first, settings.first + settings.cases)
    log = Path(settings.log) if settings.log else None
    told = dict(_read_log(log, settings.seed)) if log else {}
    with tempfile.TemporaryDirectory() as folder, _readers(Path(folder), settings.seed) as read:
        for done, number in enumerate(numbers, 1):
            kind = settings.kinds[number % len(settings.kinds)]
            if (number, kind) not in told:
                told[number, kind] = read(number, kind)
                if log:
                    with log.open("a", encoding="utf-8") as file:
                        line = [settings.seed, number, kind, *told[number, kind]]
                        file.write(json.dumps(line) + "\n")
            progress("hostile cases", done, settings.cases)
    wanted = {key: value for key, value in told.items() if key[0] in numbers}
    counts = {kind: Counter[str]() for kind in settings.kinds}
    for (_, kind), found in wanted.items():
        counts[kind][found.outcome] += 1
    return {
        "cases": settings.cases,
        "first": settings.first,
        "seed": settings.seed,
        "counts": {
            kind: {name: found[name] for name in _OUTCOMES} for kind, found in counts.items()
        },
        "longest case, s of CPU time": round(max(one.seconds for one in wanted.values()), 2),
        "peak memory, MB": round(max(one.peak for one in wanted.values()) / 1e6),
        "findings": [
            {"case": number, "kind": kind, "why": one.why}
            for (number, kind), one in sorted(wanted.items())
            if one.outcome == "failed"
        ],
    }


def _read_log(log: Path, seed: int) -> Iterator[tuple[tuple[int, str], Told]]:
    """What a run of the same seed found before it was stopped."""
    if not log.is_file():
        return
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            theirs, number, kind, *told = json.loads(line)
        except ValueError:  # stopped while it was written
            continue
        if theirs == seed:
            yield (number, kind), Told(*told)


@contextmanager
def _readers(folder: Path, seed: int) -> Iterator[Callable[[int, str], Told]]:
    """Something that reads a case by number and kind, in a process that is replaced if it dies."""
    context = multiprocessing.get_context("spawn")
    process: BaseProcess | None = None
    connection: Connection | None = None
    cases = 0  # of this process

    def end() -> None:
        nonlocal process
        if process is not None:
            process.kill()
            process.join()
        process = None

    def read(number: int, kind: str) -> Told:
        nonlocal process, connection, cases
        if cases >= _RENEWED_AFTER:
            end()
        cases += 1
        if process is None:
            cases = 1
            connection, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs, folder, seed), daemon=True)
            process.start()
            theirs.close()
            try:
                connection.recv()
            except EOFError as error:
                raise FaceLatentsError("The process for the cases does not come up.") from error
        assert connection is not None
        try:
            connection.send((number, kind))
            # second by second: while the machine is stopped, no time passes for the case either
            if not any(connection.poll(1.0) for _ in range(round(MOST_SECONDS * _CLOCK))):
                end()
                return Told("failed", "it hangs", MOST_SECONDS * _CLOCK, 0)
            told: Told = connection.recv()
        except (EOFError, ConnectionError):
            process.join()
            code = process.exitcode
            end()
            return Told("failed", f"the process died, exit status {code}", 0.0, 0)
        if told.peak > MOST_BYTES:
            told = told._replace(outcome="failed", why=f"{told.peak / 1e6:.0f} MB; {told.why}")
        elif told.seconds > MOST_SECONDS:
            told = told._replace(outcome="failed", why=f"{told.seconds:.0f} s; {told.why}")
        if told.outcome == "failed":
            end()  # what it left behind, such as the peak of memory, is not the next case's
        return told

    try:
        yield read
    finally:
        end()


def report(figures: Mapping[str, Any]) -> str:
    """The counts as a table, and the findings."""
    counts = figures["counts"]
    total = {name: sum(found[name] for found in counts.values()) for name in _OUTCOMES}
    rows = [
        [kind, *map(str, (sum(found.values()), *(found[name] for name in _OUTCOMES)))]
        for kind, found in {**counts, "all": total}.items()
    ]
    table = markdown_table(["kind", "cases", *_OUTCOMES], rows)
    first, count = figures["first"], figures["cases"]
    lines = [
        f"Cases {first} to {first + count - 1} of seed {figures['seed']}: files, workflows (run) "
        "and requests spoilt at random, read in a process of its own. Refused: answered with an "
        "error of this project. Accepted: used, and written again where that can be. Stopped: a "
        f"workflow still running after {STOPPED_AFTER:g} s and cancelled. Failed: any other "
        f"error, the end of the process, more than {MOST_SECONDS:g} s of CPU time or "
        f"{MOST_BYTES / 1e9:g} GB, a file written outside the target, a program started, a "
        "connection made.",
        "",
        table,
        "",
        f"Longest case: {figures['longest case, s of CPU time']} s of CPU time. Peak memory of the "
        f"process: {figures['peak memory, MB']} MB.",
    ]
    lines += [f"- case {f['case']} ({f['kind']}): {f['why']}" for f in figures["findings"]]
    return "\n".join(lines)

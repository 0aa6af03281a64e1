"""`face-latents run`: a workflow once, or for each photo of a folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec

from ...models.errors import FaceLatentsError
from ...models.imaging.photos import name_others
from .batch.manifest import Manifest
from .batch.progress import Bars
from .batch.report import Report
from .batch.store import OutputStore, Staged
from .prepare import prepare
from .run import Job
from .session import set_up


def run(args: argparse.Namespace) -> int:
    """Run a workflow; prints the saved files' paths (stdout) and what failed (stderr).

    With a folder of photos the paths stand behind the photo's, and `manifest.jsonl` in the output
    folder lists them.
    """
    set_up(args)
    folder = args.input if args.input is not None and args.input.is_dir() else None
    if args.resume and folder is None:
        raise FaceLatentsError("--resume needs --input FOLDER, the photos to go on with.")
    if _wants_farm(args) and folder is None:
        raise FaceLatentsError("--jobs and --scheduler need --input FOLDER, photos to share out.")
    _check_farm(args)
    job = prepare(
        args.workflow,
        args.output,
        settings=args.set,
        photos=args.input,
        decoder=args.decoder,
    )
    if folder is not None and (others := name_others(folder)):
        print(f"Left out of {folder}: {others}.", file=sys.stderr)
    if args.check:
        print(f"{args.workflow} can run: {len(job.photos)} pass(es).")
        return 0
    batch = folder is not None and job.photos[0] is not None
    report = Report(batch, args.json)
    try:
        _run(args, job, report, Manifest(args.output, job.digest) if batch else None)
    except KeyboardInterrupt:
        if batch:
            print(f"Stopped after {report.done} photos; --resume goes on.", file=sys.stderr)
        raise
    finally:
        status = report.finish()
    return status


def _run(args: argparse.Namespace, job: Job, report: Report, manifest: Manifest | None) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(OutputStore(args.output))
        if args.resume and manifest is not None:
            store.forget_partial()
            photos = [photo for photo in job.photos if photo is not None]
            done = manifest.resume(photos)
            report.skip(done)
            job.photos = [photo for photo in job.photos if photo not in done]
        bars = stack.enter_context(Bars(args.progress, len(job.photos)))
        for staged in _stage(args, job, store, bars):
            bars.clear()
            if manifest is None:
                outcome = store.commit(staged, job.constant)
            else:
                outcome = store.commit(staged, job.constant, manifest.add)
            if outcome.error is not None and (manifest is None or args.stop_on_error):
                raise outcome.error
            report.add(outcome)
            bars.finish(outcome.photo)
        if manifest is not None and report.done:
            bars.clear()
            rate = f"{report.done} photos in {bars.seconds():.0f} s, {bars.rate():.1f} a minute."
            print(rate, file=sys.stderr)


def _stage(args: argparse.Namespace, job: Job, store: OutputStore, bars: Bars) -> Iterator[Staged]:
    """The photos one by one here, or as others get them done."""
    if not _wants_farm(args):
        yield from job.stage(store, bars.node, bars.start)
    elif job.photos:
        from .batch import farm

        with farm.connect(args) as client:
            yield from farm.stage(client, args, job, store)


def _wants_farm(args: argparse.Namespace) -> bool:
    return args.jobs > 1 or args.scheduler is not None


def _check_farm(args: argparse.Namespace) -> None:
    if not _wants_farm(args):
        return
    if args.jobs > 1 and args.scheduler is not None:
        raise FaceLatentsError("--jobs starts processes here, --scheduler uses others: give one.")
    if find_spec("distributed") is None:
        raise FaceLatentsError(
            "--jobs and --scheduler need Dask distributed, which is not installed: pip install "
            "'face-latents[farm]', or in a checkout: pip install -e '.[farm]'."
        )

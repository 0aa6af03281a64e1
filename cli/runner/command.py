"""`face-latents run`: progress bars around the runner, and what it says at the end."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ...models.imaging.photos import name_others
from .manifest import Manifest
from .prompts import label
from .run import Outcome, prepare
from .session import set_up


def run(args: argparse.Namespace) -> int:
    """Run a workflow; prints the saved files' paths (stdout) and what failed (stderr).

    With a folder of photos the paths stand behind the photo's, and `manifest.jsonl` in the output
    folder lists them.
    """
    set_up(args)
    job = prepare(
        args.workflow,
        args.output,
        settings=args.set,
        photos=args.input,
        decoder=args.decoder,
    )
    if args.input is not None and args.input.is_dir() and (others := name_others(args.input)):
        print(f"Left out of {args.input}: {others}.", file=sys.stderr)
    if args.check:
        print(f"{args.workflow} can run: {len(job.passes)} pass(es).")
        return 0
    failed: list[Outcome] = []
    damaged: list[Path] = []
    lost: Counter[str] = Counter()
    batch = args.input is not None and args.input.is_dir()
    manifest = Manifest(args.output) if batch and job.passes[0][0] is not None else None
    with _Bars(args.progress) as bars:
        for outcome in job.run(bars.node, bars.photo, keep_going=not args.stop_on_error):
            bars.clear()
            _tell(outcome, manifest is not None)
            if manifest is not None:
                manifest.add(outcome)
            lost.update(_lost(outcome))
            damaged += outcome.damaged
            if outcome.error is not None:
                failed.append(outcome)
    if lost:
        listed = ", ".join(f"{what} ({count} photos)" for what, count in lost.items())
        print(
            f"Save Image does not keep, as in ComfyUI: {listed}. face-latents edit does.",
            file=sys.stderr,
        )
    if failed:
        print(f"{len(failed)} of {len(job.passes)} photos failed:", file=sys.stderr)
        for outcome in failed:
            print(f"  {outcome.photo}: {outcome.error}", file=sys.stderr)
    if damaged:
        print(f"{len(damaged)} photos are damaged, a part is missing:", file=sys.stderr)
        for path in damaged:
            print(f"  {path}", file=sys.stderr)
    return 1 if failed or damaged else 0


def _tell(outcome: Outcome, several: bool) -> None:
    """Print texts and files of a pass, in a batch behind the photo that they are of."""
    whose = f"{outcome.photo} -> " if several else ""
    for key, texts in outcome.texts().items():
        for text in texts:
            print(f"{whose}{label(outcome.prompt, key)}: {text}")
    for path in outcome.saved():
        print(f"{whose}{path}", flush=True)


def _lost(outcome: Outcome) -> list[str]:
    """What the photo's file holds and the first picture saved of it does not."""
    from ...models.imaging.photo_files.read import read_header
    from ...models.imaging.photo_files.write import name_lost

    saved = [path for path in outcome.saved("output") if path.suffix == ".png"]
    if outcome.photo is None or not saved:
        return []
    return name_lost(read_header(outcome.photo), read_header(saved[0]))


class _Bars:
    """A bar over the photos (where there are several) and a bar over the nodes of one pass."""

    def __init__(self, wanted: bool) -> None:
        self._disable = None if wanted else True  # None: off where stderr is not a terminal
        self._photos: Any = None
        self._nodes: Any = None

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in (self._nodes, self._photos):
            if bar is not None:
                bar.close()

    def photo(self, photo: Path | None, number: int, count: int) -> None:
        if photo is None or count == 1:
            return
        if self._photos is None:
            self._photos = self._bar(count, "photos", 0)
        self._photos.update(number - self._photos.n)
        self._photos.set_postfix_str(photo.name, refresh=True)

    def node(self, title: str, done: int, count: int) -> None:
        if self._nodes is None:
            self._nodes = self._bar(count, "nodes", 1 if self._photos is not None else 0)
        self._nodes.reset(total=count)
        self._nodes.update(done)
        self._nodes.set_postfix_str(title, refresh=True)

    def clear(self) -> None:
        """Make room for a line of output."""
        for bar in (self._nodes, self._photos):
            if bar is not None:
                bar.clear()

    def _bar(self, count: int, name: str, position: int) -> Any:
        from tqdm import tqdm

        return tqdm(total=count, desc=name, position=position, leave=False, disable=self._disable)

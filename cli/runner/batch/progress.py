"""Progress bars of a run: photos a minute and time left, and the nodes of one pass."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

_FORMAT = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}, {remaining} left{postfix}"


class Bars:
    """A bar over the photos (where there are several) and a bar over the nodes of one pass.

    Args:
        wanted: else there are none; there are none either where stderr is no terminal.
        count: of photos.
    """

    def __init__(self, wanted: bool, count: int) -> None:
        self._disable = None if wanted else True  # None: off where stderr is not a terminal
        self._count = count
        self._photos: Any = None
        self._nodes: Any = None
        self._started = time.monotonic()
        self._done = 0

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in (self._nodes, self._photos):
            if bar is not None:
                bar.close()

    def start(self, photo: Path | None) -> None:
        """A photo begins."""
        if self._count > 1 and photo is not None:
            self._show(photo)

    def finish(self, photo: Path | None) -> None:
        """A photo is done."""
        self._done += 1
        if self._count > 1 and photo is not None:
            self._show(photo)
            self._photos.update(1)

    def node(self, title: str, done: int, count: int) -> None:
        """A node begins."""
        if self._nodes is None:
            self._nodes = self._bar(total=count, desc="nodes", position=int(self._count > 1))
        self._nodes.reset(total=count)
        self._nodes.update(done)
        self._nodes.set_postfix_str(title, refresh=True)

    def clear(self) -> None:
        """Make room for a line of output."""
        for bar in (self._nodes, self._photos):
            if bar is not None:
                bar.clear()

    def rate(self) -> float:
        """Photos a minute so far."""
        return 60 * self._done / max(time.monotonic() - self._started, 1e-9)

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._started

    def _show(self, photo: Path) -> None:
        if self._photos is None:
            self._photos = self._bar(total=self._count, desc="photos", bar_format=_FORMAT)
        rate = f"{self.rate():.1f} a minute, " if self._done else ""
        self._photos.set_postfix_str(rate + photo.name)

    def _bar(self, **options: Any) -> Any:
        from tqdm import tqdm

        return tqdm(**options, leave=False, disable=self._disable)

"""Which files were read only in part, from the warnings that say so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def collect_damaged(found: list[Path]) -> Iterator[None]:
    """Add to `found` the files that this package warns of as damaged, see `photos.warn_cut_off`."""
    package = logging.getLogger(__name__.partition(".")[0])
    collector = _Collector(found)
    package.addHandler(collector)
    try:
        yield
    finally:
        package.removeHandler(collector)


class _Collector(logging.Handler):
    def __init__(self, found: list[Path]) -> None:
        super().__init__(logging.WARNING)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        path = getattr(record, "damaged", None)
        if path is not None:
            self._found.append(path)

"""Where results go, checked before anything is computed, and how they are told."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from ..models.errors import FaceLatentsError


def check_output(
    path: Path, suffixes: Collection[str], sources: Iterable[Path] = (), force: bool = False
) -> None:
    """Check that a file can be written and is none of those that it is made from.

    Args:
        path: the file.
        suffixes: what its name may end in, in lower case.
        sources: what it is made from.
        force: it may take the place of a source.

    Raises:
        FaceLatentsError: another suffix, a source, a folder, or a place that cannot be written to.
    """
    if path.suffix.lower() not in suffixes:
        raise FaceLatentsError(
            f"'{path}': the file name has to end in {' or '.join(sorted(suffixes))}."
        )
    if path.is_dir():
        raise FaceLatentsError(f"'{path}' is a folder. Name a file to write.")
    if not force and path.exists() and any(_same(path, source) for source in sources):
        raise FaceLatentsError(
            f"'{path}' is the original, which would be lost. Write to another file, or add --force."
        )
    check_folder(path.parent)


def check_folder(folder: Path) -> None:
    """Check that files can be written into a folder, there already or not; leaves nothing behind.

    Raises:
        FaceLatentsError: they cannot.
    """
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise FaceLatentsError(
            f"Nothing can be written into '{folder}' ({error.strerror}). Choose another place for "
            "the result."
        ) from error


def print_result(args: argparse.Namespace, lines: Iterable[str], **figures: Any) -> None:
    """Print a result: lines for people, or with `--json` one object for machines."""
    for line in [json.dumps(figures)] if args.json else lines:
        print(line)


def _same(path: Path, source: Path) -> bool:
    return source.exists() and path.samefile(source)

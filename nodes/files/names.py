"""Names of new files: they stay in their folder and replace nothing."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...models.errors import FaceLatentsError

SUFFIX = ".safetensors"

_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f\ud800-\udfff]')
_RESERVED = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$", re.IGNORECASE)  # on Windows
_TIMES = {
    "year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S",
}  # fmt: skip
_LONGEST_NAME = 120
_MOST_FILES = 99_999


def save_numbered(root: Path, prefix: object, save: Callable[[Path], None]) -> Path:
    """Write a new file `<root>/<prefix>_00001_.safetensors`, counting up past existing ones.

    Args:
        root: folder that the file must stay in; made where missing.
        prefix: file name, sub-folders allowed; `%year%` ... `%second%` are filled in.
        save: writes the file at the path it is given.

    Returns:
        The path written.

    Raises:
        FaceLatentsError: a prefix that leaves the folder or is no file name; a folder that cannot
            be written.
    """
    *folders, stem = safe_parts(_fill_in(str(prefix)))
    folder = root.joinpath(*folders)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not folder.resolve().is_relative_to(root.resolve()):
            raise FaceLatentsError(
                f"The folder {folder} leads out of {root} (a link?). Choose another file name."
            )
        path = _reserve(folder, stem)
    except OSError as error:
        raise FaceLatentsError(
            f"Nothing can be saved in {folder}: {error.strerror or error}. Check that the folder "
            "may be written and the disk is not full."
        ) from error
    try:
        save(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def safe_parts(prefix: str, what: str = "file name") -> list[str]:
    """Folder names and file name of a prefix that is relative and stays where it is.

    Args:
        prefix: what was typed; / and \\ both separate folders.
        what: it is called in messages.

    Raises:
        FaceLatentsError: it is empty, absolute, has a drive letter, `..` or forbidden characters.
    """
    text = prefix.strip().replace("\\", "/")
    if text.startswith(("/", "~")) or re.match(r"^[A-Za-z]:", text):
        raise FaceLatentsError(
            f"The {what} {prefix!r} is an absolute path. Only places inside the node's own "
            "folder are allowed: give a name, or folder/name."
        )
    parts = [part.strip() for part in text.split("/")]
    parts = [part for part in parts if part not in ("", ".")]
    if not parts or text.endswith("/"):
        raise FaceLatentsError(f"The {what} {prefix!r} is empty. Give a name, or folder/name.")
    for part in parts:
        if part == "..":
            raise FaceLatentsError(
                f"The {what} {prefix!r} goes up a folder ('..'). Only places inside the node's "
                "own folder are allowed: give a name, or folder/name."
            )
        if _FORBIDDEN.search(part) or _RESERVED.match(part) or part.endswith("."):
            raise FaceLatentsError(
                f"The {what} {prefix!r} holds characters or a name that not every system can "
                "store. Use letters, digits, spaces, - and _."
            )
        if len(part) > _LONGEST_NAME:
            raise FaceLatentsError(
                f"The {what} {prefix[:40]!r}... is longer than {_LONGEST_NAME} characters. "
                "Choose a shorter one."
            )
    return parts


def is_file_name(name: str) -> bool:
    """Whether a name from outside is that of a file in a folder, and of no other place."""
    try:
        return safe_parts(name) == [name]
    except FaceLatentsError:
        return False


def stamp(path: Path | None) -> str:
    """Changes whenever the file does; for IS_CHANGED."""
    try:
        state = None if path is None else path.stat()
    except OSError:
        state = None
    return "missing" if state is None else f"{path}:{state.st_mtime_ns}:{state.st_size}"


def stamp_typed(read: Callable[..., str], *typed: str | None) -> str:
    """`read(*typed)`, a stamp of what was typed; "" where it comes by wire. For IS_CHANGED."""
    if None in typed:
        return ""
    try:
        return read(*typed)
    except FaceLatentsError:
        return "missing"  # the node itself says what is wrong


def save_and_pass(
    value: Any, save: Callable[[Path, Any], None], root: Path, prefix: str
) -> dict[str, Any]:
    """What a node returns that saves its input with :func:`save_numbered` and hands it on."""
    path = save_numbered(root, prefix, lambda target: save(target, value))
    return {"ui": {"text": [f"Saved {path}"]}, "result": (value,)}


def _reserve(folder: Path, stem: str) -> Path:
    """Create the next free numbered file, empty; two savers at once never get the same one."""
    pattern = re.compile(re.escape(stem) + r"_(\d{5,})_" + re.escape(SUFFIX) + "$", re.IGNORECASE)
    taken = [int(m[1]) for name in os.listdir(folder) if (m := pattern.match(name))]
    for number in range(max(taken, default=0) + 1, _MOST_FILES + 1):
        path = folder / f"{stem}_{number:05}_{SUFFIX}"
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    raise FaceLatentsError(
        f"{folder} holds {_MOST_FILES} files named {stem}_..., more are not possible. Choose "
        "another file name."
    )


def _fill_in(prefix: str) -> str:
    now = time.localtime()
    for unit, code in _TIMES.items():
        prefix = prefix.replace(f"%{unit}%", time.strftime(code, now))
    return prefix

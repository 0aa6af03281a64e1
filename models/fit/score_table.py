"""Tables (CSV) that give photos a label or a score."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..errors import FaceLatentsError

WITH = frozenset({"1", "yes", "y", "true", "with", "positive", "on"})
WITHOUT = frozenset({"0", "-1", "no", "n", "false", "without", "negative", "off"})
MOST_ROWS = 100_000

_FILE_NAMES = frozenset({"file", "filename", "file_name", "image", "photo", "name", "path"})
_LABEL, _SCORE = "label", "score"


@dataclass(frozen=True)
class ScoreTable:
    """What a table says of each photo.

    Attributes:
        files: file names without folders, each once.
        values: as many scores; 1 and 0 for labels.
        labels: True where the values are labels.
    """

    files: tuple[str, ...]
    values: tuple[float, ...]
    labels: bool


def parse_score_table(text: str, what: str) -> ScoreTable:
    """Read a table of two columns, the file's name and its label or score.

    A first line of names is optional. The second column is one of labels where it is called
    `label` or holds only the words of `WITH` and `WITHOUT`, else one of scores. Columns may be
    separated by commas, semicolons or tabs; further columns are ignored.

    Args:
        text: of the file.
        what: the file, for messages.

    Raises:
        FaceLatentsError: what is wrong, with the line.
    """
    rows = _rows(text)
    if not rows:
        raise FaceLatentsError(
            f"{what} is empty. Write one line per photo: file,label or file,score."
        )
    header = ""
    if rows[0][1][0].strip().lower() in _FILE_NAMES:
        header = rows[0][1][1].strip().lower() if len(rows[0][1]) > 1 else ""
        rows = rows[1:]
    if len(rows) > MOST_ROWS:
        raise FaceLatentsError(f"{what} has more than {MOST_ROWS} lines. Use fewer photos.")
    found: dict[str, str] = {}
    for line, cells in rows:
        if len(cells) < 2 or not cells[0].strip() or not cells[1].strip():
            raise FaceLatentsError(
                f"{what}, line {line}: expected a file name and a label or score, got "
                f"{','.join(cells)[:60]!r}."
            )
        name = PurePosixPath(cells[0].strip().replace("\\", "/")).name
        value = cells[1].strip()
        if found.get(name, value) != value:
            raise FaceLatentsError(
                f"{what}, line {line}: {name} has a second value ({value}, before "
                f"{found[name]}). Keep one of them."
            )
        found[name] = value
    words = [value.lower() for value in found.values()]
    if header == _LABEL or (header != _SCORE and all(w in WITH | WITHOUT for w in words)):
        return ScoreTable(tuple(found), _labels(found, what), True)
    return ScoreTable(tuple(found), _scores(found, what), False)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise FaceLatentsError(f"The table cannot be read: {error}.") from error


def _labels(found: dict[str, str], what: str) -> tuple[float, ...]:
    values = []
    for name, word in found.items():
        if word.lower() not in WITH | WITHOUT:
            raise FaceLatentsError(
                f"{what}: the label of {name} is {word!r}. Labels are {_some(WITH)} for photos "
                f"with the attribute and {_some(WITHOUT)} for those without; numbers in between "
                "are scores (call the column score)."
            )
        values.append(float(word.lower() in WITH))
    if len(set(values)) < 2:
        raise FaceLatentsError(
            f"{what} gives all photos the same label. A direction needs photos with and without "
            "the attribute."
        )
    return tuple(values)


def _scores(found: dict[str, str], what: str) -> tuple[float, ...]:
    values = []
    for name, word in found.items():
        try:
            value = float(word)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise FaceLatentsError(f"{what}: the score of {name} is {word!r}, which is no number.")
        values.append(value)
    return tuple(values)


def _some(words: Sequence[str] | frozenset[str]) -> str:
    return ", ".join(sorted(words)[:4])

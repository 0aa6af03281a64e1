"""Fit Direction from photos in the input folder: two folders, or one with a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ....models.errors import FaceLatentsError
from ....models.face_model import FaceModel
from ....models.fit.score_table import ScoreTable, parse_score_table
from ....models.threads import one_thread
from ... import validate, widgets
from ...files.names import safe_parts, stamp, stamp_typed
from ...registry import node
from ..photo_folders import encode_folder, folder_stamp, photo_folder
from .common import SETTINGS, Fit, FitNode

LARGEST_TABLE = 8 * 2**20  # bytes


@node("FaceLatentsFitDirectionFolders", "Fit Direction from Folders", widgets.DIRECTION)
class FitDirectionFolders(FitNode):
    """Makes a direction of your own from two folders of photos: without and with what you are
    after. Put both into ComfyUI's input folder. Says how well the direction works on photos it has
    not seen.
    """

    ALIASES = (
        "make direction, train direction, train from folder, two folders, dataset, attribute, lda, "
        "own direction, own slider, custom slider"
    )
    INPUTS = {
        "face_model": widgets.face_model("to encode with"),
        "folder_without": widgets.text(
            "without", "Folder inside the input folder: photos without the attribute."
        ),
        "folder_with": widgets.text(
            "with", "Folder inside the input folder: photos with it, otherwise alike."
        ),
        **SETTINGS,
        "min_score": widgets.min_score(),
    }

    @one_thread()
    def execute(
        self,
        face_model: FaceModel,
        folder_without: str,
        folder_with: str,
        min_score: float,
        **settings: Any,
    ) -> dict[str, Any]:
        fit = Fit(face_model, **settings)
        folders = [photo_folder(folder_without), photo_folder(folder_with)]
        if folders[0].resolve() == folders[1].resolve():
            raise FaceLatentsError(
                f"Fit Direction: folder_without and folder_with are both '{folder_with}'. Give two "
                "folders: photos without the attribute, and photos with it."
            )
        groups, notes = [], []
        for folder, typed in zip(folders, (folder_without, folder_with), strict=True):
            found = encode_folder(folder, face_model, min_score=min_score, what=typed.strip())
            groups.append(found.codes)
            if found.notable:
                notes.append(f"folder '{typed.strip()}': {found.report()}")
        with validate.explain_errors("Fit Direction from Folders"):
            return fit.groups(groups[0], groups[1], notes)

    @classmethod
    def IS_CHANGED(
        cls, folder_without: str | None = None, folder_with: str | None = None, **_: object
    ) -> str:
        return stamp_typed(_folders_stamp, folder_without, folder_with)


@node("FaceLatentsFitDirectionTable", "Fit Direction from Table", widgets.DIRECTION)
class FitDirectionTable(FitNode):
    """Makes a direction of your own from a folder of photos and a CSV file in it: one line per
    photo with its name and a label (yes, no) or a score (any number). Says how well the direction
    works on photos it has not seen.
    """

    ALIASES = (
        "make direction, train direction, own direction, custom slider, csv, labels, scores, "
        "regression, dataset, spreadsheet"
    )
    INPUTS = {
        "face_model": widgets.face_model("to encode with"),
        "folder": widgets.text("", "Folder inside the input folder that holds the photos."),
        "table": widgets.text(
            "",
            "Name of the CSV file in that folder, with lines file,label or file,score. Empty: "
            "the only one there.",
        ),
        **SETTINGS,
        "min_score": widgets.min_score(),
    }

    @one_thread()
    def execute(
        self, face_model: FaceModel, folder: str, table: str, min_score: float, **settings: Any
    ) -> dict[str, Any]:
        fit = Fit(face_model, **settings)
        place = photo_folder(folder)
        path = _table_path(place, table)
        listed = _read(path)
        values = dict(zip(listed.files, listed.values, strict=True))
        found = encode_folder(
            place, face_model, min_score=min_score, what=folder.strip(), names=set(listed.files)
        )
        targets = [values[file.name] for file in found.files]
        missing = len(listed.files) - len(found.files) - len(found.skipped)
        notes = [f"{path.name}: {missing} photo(s) are not in the folder"] if missing > 0 else []
        if found.notable:
            notes.append(found.report())
        what = "Fit Direction from Table"
        with validate.explain_errors(what):
            if not listed.labels:
                return fit.scores(found.codes, targets, notes)
            chosen = torch.tensor(targets) > 0
            if not chosen.any() or chosen.all():
                raise FaceLatentsError(
                    f"{what}: the photos that were found all have the same label. {found.report()}"
                )
            return fit.groups(found.codes[~chosen], found.codes[chosen], notes)

    @classmethod
    def IS_CHANGED(cls, folder: str | None = None, table: str | None = None, **_: object) -> str:
        return stamp_typed(_table_stamp, folder, table)


def _folders_stamp(*folders: str) -> str:
    return folder_stamp([photo_folder(folder) for folder in folders])


def _table_stamp(folder: str, table: str) -> str:
    return f"{_folders_stamp(folder)}:{stamp(_table_path(photo_folder(folder), table))}"


def _table_path(folder: Path, name: str) -> Path:
    """The CSV file that a person means, inside the folder.

    Raises:
        FaceLatentsError: there is none, several to choose from, or a name that leads elsewhere.
    """
    typed = name.strip()
    there = sorted(path.name for path in folder.glob("*") if path.suffix.lower() == ".csv")
    if not typed:
        if len(there) == 1:
            typed = there[0]
        elif there:
            raise FaceLatentsError(
                f"The folder '{folder.name}' holds several tables: {', '.join(there[:8])}. Write "
                "the name of one into 'table'."
            )
        else:
            raise FaceLatentsError(
                f"The folder '{folder.name}' holds no CSV file. Save one there with a line per "
                "photo: file,label or file,score."
            )
    parts = safe_parts(typed)
    path = folder.joinpath(*parts)
    if len(parts) != 1 or path.suffix.lower() != ".csv" or path.name not in there:
        raise FaceLatentsError(
            f"There is no table '{typed}' in the folder '{folder.name}'. Tables there: "
            f"{', '.join(there[:8]) or 'none'}."
        )
    if not path.resolve().is_relative_to(folder.resolve()):
        raise FaceLatentsError(f"The table '{typed}' is a link out of its folder. Copy it there.")
    return path


def _read(path: Path) -> ScoreTable:
    try:
        if path.stat().st_size > LARGEST_TABLE:
            raise FaceLatentsError(f"{path.name} is larger than {LARGEST_TABLE >> 20} MB.")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FaceLatentsError(f"{path.name} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FaceLatentsError(
            f"{path.name} is no UTF-8 text. Save it as CSV (UTF-8) in your spreadsheet program."
        ) from error
    return parse_score_table(text, path.name)
